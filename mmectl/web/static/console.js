"use strict";
/* The console's page: the token, the way from page to page, live messages, files. */

const KEY = "mmectl-console-token";
const main = () => document.getElementById("main");
const dialog = () => document.getElementById("dialog");
let live = null; // what stops the stream; there is one on every page: events are seen meanwhile
let watched = false; // whether the stream is that of a page with instances

function takeToken() {
  const given = /^#token=([\w-]+)$/.exec(location.hash);
  if (given) {
    sessionStorage.setItem(KEY, given[1]);
    history.replaceState(null, "", "/#/endpoint"); // no copied address has it
  }
}

function authorization() {
  return `Bearer ${sessionStorage.getItem(KEY) ?? ""}`;
}

function say(text) {
  document.getElementById("said").textContent = text;
}

function showPage() {
  const [name, query] = location.hash.replace(/^#\/?/, "").split("?");
  const page = name || "endpoint";
  for (const link of document.querySelectorAll("nav a")) {
    if (link.dataset.page === page) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  // models?name=x opens the page with that model beside it
  const parameters = new URLSearchParams(query ?? "");
  const model = page === "models" ? parameters.get("name") : null;
  if (model) parameters.delete("name");
  const address = `/page/${encodeURIComponent(page)}?${parameters}`;
  htmx.ajax("GET", address, { target: "#main", swap: "innerHTML" }).then(() => {
    if (model) openModel(model);
    main().focus({ preventScroll: true });
  });
}

function openModel(target) {
  // a tarball's name leads to its model, as models show takes both
  htmx.ajax("GET", `/page/model?name=${encodeURIComponent(target)}`, { target: "#model" });
}

/* Take messages for as long as the page is open; `root` is null where no instances are shown. */
async function follow(root) {
  let before = live;
  live = new AbortController();
  const { signal } = live;
  const fleet = root && new Fleet(root, document.getElementById("picked"));
  while (!signal.aborted) {
    try {
      const answer = await fetch("/live", { headers: { Authorization: authorization() }, signal });
      before?.abort(); // not earlier: the server would forget what it saw
      before = null;
      if (answer.status === 204) return; // AWS
      if (!answer.ok) throw new Error(await answer.text());
      for await (const message of lines(answer.body)) {
        if (signal.aborted) return;
        if (!fleet) continue;
        if ("error" in message) showProblem(message.error);
        if (message.head) showHead(message.head);
        fleet.take(message);
      }
      throw new Error("the console ended");
    } catch (error) {
      before?.abort();
      if (signal.aborted) return;
      if (fleet) showProblem(`${error.message}; trying again`);
      await new Promise((go) => setTimeout(go, 2000));
      if (!signal.aborted) fleet?.clear();
    }
  }
}

function showProblem(text) {
  const problem = document.getElementById("problem");
  problem.hidden = text === null;
  problem.textContent = text ?? "";
}

async function* lines(body) {
  let rest = "";
  const reader = body.pipeThrough(new TextDecoderStream()).getReader(); // Safari iterates over none
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const whole = (rest + value).split("\n");
    rest = whole.pop();
    for (const line of whole) yield JSON.parse(line);
  }
}

function showHead(head) {
  document.getElementById("status").textContent = head.status;
  document.getElementById("config").textContent = head.config ?? "-";
  const alarms = Object.entries(head.alarms ?? {});
  const list = document.getElementById("alarms");
  list.replaceChildren(...alarms.map(([name, state]) => {
    const item = document.createElement("span");
    item.className = state === "ALARM" ? "tag bad" : "tag";
    item.textContent = `${name}: ${state}`;
    return item;
  }));
  const update = document.getElementById("update");
  update.hidden = !head.update;
  if (head.update) {
    const share = Math.round(100 * head.update.share);
    update.textContent = `Update to ${head.update.config}: ${head.update.stage ?? head.status}, ` +
      `${share} % of the traffic on the new instances`;
  }
}

function takeFiles() {
  const drop = document.getElementById("drop");
  if (!drop) return;
  const file = document.getElementById("file");
  const preview = document.getElementById("preview");
  file.addEventListener("change", () => {
    if (preview.src) URL.revokeObjectURL(preview.src);
    const [chosen] = file.files;
    preview.hidden = !chosen || !chosen.type.startsWith("image/");
    if (!preview.hidden) preview.src = URL.createObjectURL(chosen);
  });
  drop.addEventListener("dragover", (event) => event.preventDefault());
  drop.addEventListener("drop", (event) => {
    event.preventDefault();
    file.files = event.dataTransfer.files;
    file.dispatchEvent(new Event("change"));
  });
}

function showTimes(root) {
  for (const time of root.querySelectorAll("time")) {
    const given = Number(time.textContent);
    if (!given) continue;
    const at = new Date(given < 1e11 ? given * 1000 : given); // seconds or milliseconds
    time.dateTime = at.toISOString();
    time.textContent = at.toLocaleTimeString();
  }
}

takeToken();
window.addEventListener("hashchange", () => { takeToken(); showPage(); });
window.addEventListener("DOMContentLoaded", showPage);
document.addEventListener("htmx:configRequest", (event) => {
  event.detail.headers.Authorization = authorization();
});
document.addEventListener("htmx:responseError", (event) => {
  say(`${event.detail.xhr.status}: ${event.detail.xhr.responseText.trim()}`);
});
document.addEventListener("htmx:sendError", () => say("the console does not answer: it has ended"));
document.addEventListener("htmx:afterSwap", (event) => {
  const root = event.detail.target;
  say("");
  showTimes(root);
  if (root === dialog() && !root.open) root.showModal();
  if (root === main()) {
    takeFiles();
    const fleet = root.querySelector("[data-live]");
    if (fleet || watched || !live) follow(fleet);
    watched = fleet !== null;
  }
  const log = document.getElementById("log");
  if (log && document.getElementById("follow").checked) log.scrollTop = log.scrollHeight;
  const done = root.querySelector("[data-done]");
  if (done && document.getElementById("model")) openModel(done.dataset.model);
});
document.addEventListener("htmx:timeout", () => say("no answer for 2 minutes; it may still go on"));
document.addEventListener("click", async (event) => {
  if (event.target.className === "skip") {
    event.preventDefault(); // the address names a page
    main().focus();
  }
  const { copy } = event.target.dataset;
  if (copy !== undefined) {
    const copied = navigator.clipboard.writeText(copy).then(() => true, () => false);
    say((await copied) ? "copied" : "the browser does not let it be copied: select it");
  }
  if ("close" in event.target.dataset) dialog().close();
});
setInterval(() => {
  const log = document.getElementById("log");
  if (log && document.getElementById("follow").checked) htmx.trigger(log, "tail");
}, 3000);
