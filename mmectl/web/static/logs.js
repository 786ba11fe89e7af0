"use strict";
/* The log of the containers: new lines are put where their time belongs, each once. */

const LOG_EVERY = 3000; // ms between two looks for new lines
const LOG_LINES = 2000; // that the page keeps

async function followLog() {
  const log = document.getElementById("log");
  if (!log || document.hidden || !document.getElementById("follow").checked) return;
  const chosen = new URLSearchParams(new FormData(document.getElementById("log-form")));
  chosen.set("after", log.dataset.asked);
  const headers = { Authorization: authorization() };
  const answer = await fetch(`/page/lines?${chosen}`, { headers }).catch(() => null);
  if (!log.isConnected) return; // the page was changed meanwhile
  if (answer?.status === 401) begin(true);
  if (!answer?.ok) return;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const found = page.querySelector("[data-asked]");
  if (found && log.isConnected) addLines(log, found);
}

function addLines(log, found) {
  const below = log.scrollHeight - log.scrollTop - log.clientHeight < 40; // not where one reads
  log.dataset.asked = found.dataset.asked;
  const fresh = [...found.children].filter((line) => !document.getElementById(line.id));
  for (const line of fresh) {
    let before = log.lastElementChild;
    while (before && Number(before.dataset.time) > Number(line.dataset.time)) {
      before = before.previousElementSibling;
    }
    if (before) before.after(line);
    else log.prepend(line);
    showTimes(line);
  }
  while (log.childElementCount > LOG_LINES) log.firstElementChild.remove();
  if (below) log.scrollTop = log.scrollHeight;
}

setInterval(followLog, LOG_EVERY);
