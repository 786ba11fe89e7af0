"use strict";
/* The console's page: the way from page to page, live messages. */

const main = () => document.getElementById("main");
const dialog = () => document.getElementById("dialog");
let shownStatus = null; // of the endpoint; null: none yet
let wanted = null; // the page that was asked for last: its address, and the model to open beside it
let handBack = null; // what gives the keyboard back to what opened the dialog
let fleet = null; // what shows instances; null on other pages
const live = stream(heard); // on every page: events are seen meanwhile

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
  const comes = wanted?.address === address && isAsked(); // it opens the model that was named last
  wanted = { address, model };
  if (comes) return;
  // one source has one request at a time: each page has its own
  const source = document.querySelector(`nav a[data-page="${CSS.escape(page)}"]`) ?? document.body;
  htmx.ajax("GET", address, { source, target: "#main", swap: "innerHTML" })
    .catch(() => {}); // what went wrong is said where it is heard of
}

function openModel(target, left = false) {
  // a tarball's name leads to its model, as models show takes both; `left`: it may be removed
  const address = `/page/model?name=${encodeURIComponent(target)}${left ? "&left=1" : ""}`;
  htmx.ajax("GET", address, { target: "#model", source: "#model" });
  addToAddress({ name: target });
}

/* A message of the stream: at first all, then what changed; shown where instances are. */
function heard(message) {
  if (message.unknown) {
    // a tab that was asleep may have brought an older token: the others go on with theirs
    if (message.unknown === authorization()) begin(true);
    else if (sessionStorage.getItem(KEY)) live.join(authorization());
    return;
  }
  if (!fleet) return;
  if (message.clear) fleet.clear();
  if ("error" in message) showProblem(message.error);
  if (message.head) showHead(message.head);
  fleet.take(message);
}

function showProblem(text) {
  const problem = document.getElementById("problem");
  problem.hidden = text === null;
  const older = fleet.instances.size ? ". What is shown below is from before that." : "";
  problem.textContent = text ? `${text}${older}` : "";
}

function showHead(head) {
  // how it is said, and the reason of a failure, are not in the stream
  if (shownStatus && shownStatus !== head.status) {
    htmx.ajax("GET", "/page/endpoint", { source: "#facts", target: "#facts", select: "#facts > *" });
  }
  shownStatus = head.status;
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

function showTimes(root) {
  for (const time of root.querySelectorAll("time")) {
    const given = Number(time.textContent);
    if (!given) continue;
    const at = new Date(given < 1e11 ? given * 1000 : given); // seconds or milliseconds
    time.dateTime = at.toISOString();
    const today = at.toDateString() === new Date().toDateString();
    time.textContent = today ? at.toLocaleTimeString() : at.toLocaleString();
  }
}

/* Show the page of the address, or how to sign in. `anew`: the token is none any more. */
async function begin(anew = false) {
  fleet = null;
  if (!(await signedIn(anew))) {
    showSignIn(begin);
    return;
  }
  live.join(authorization());
  showPage();
}

window.addEventListener("hashchange", () => {
  if (location.hash.startsWith("#code=") || !sessionStorage.getItem(KEY)) begin();
  else showPage();
});
window.addEventListener("DOMContentLoaded", () => begin());
window.addEventListener("pagehide", () => live.leave());
window.addEventListener("pageshow", (event) => { if (event.persisted) live.join(authorization()); });
document.addEventListener("htmx:configRequest", (event) => {
  event.detail.headers.Authorization = authorization();
});
document.addEventListener("htmx:responseError", (event) => {
  if (event.detail.xhr.status === 401) {
    begin(true);
    return;
  }
  say(`${event.detail.xhr.status}: ${event.detail.xhr.responseText.trim()}`);
});
document.addEventListener("htmx:sendError", () => say(GONE));
document.addEventListener("htmx:afterSwap", (event) => {
  const root = event.detail.target;
  say("");
  showTimes(root);
  if (root === dialog() && !root.open) {
    handBack = focused(main());
    root.showModal();
  }
  if (root === main()) {
    takeFiles();
    for (const form of root.querySelectorAll("form[data-kept]")) fill(form);
    const place = root.querySelector("[data-live]");
    shownStatus = null;
    fleet = place && new Fleet(place, document.getElementById("picked"));
    if (fleet) live.join(authorization()); // which tells all once more
    const models = document.getElementById("models");
    if (models) new Models(models);
    if (wanted?.address === event.detail.pathInfo.requestPath) {
      if (wanted.model && models) openModel(wanted.model);
      wanted = null;
      main().focus({ preventScroll: true });
    }
  }
  const log = document.getElementById("log");
  if (log && root === main()) log.scrollTop = log.scrollHeight;
  if (root.id === "runs") nextName();
  if (root.id === "tried") showSent(root);
  const done = root.querySelector("[data-done]");
  if (done && document.getElementById("models")) Models.shown.changed(done.dataset.done);
});
dialog().addEventListener("close", () => {
  // what opened it may have been drawn anew meanwhile
  const lost = () => document.activeElement === document.body
    || dialog().contains(document.activeElement); // what was pressed there, until the page is drawn
  if (lost()) handBack?.();
  if (lost()) main().focus({ preventScroll: true }); // what opened it is gone, or disabled
  handBack = null;
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
