"use strict";
/* What answers may do to the page: the last request for it wins, and one that a timer sent disturbs
   nobody: not the keyboard, not a press that has begun, not how far something was scrolled. */

const SENT = [1, 2, 3]; // readyState of a request that is under way
const HELD = 5000; // ms that a press is waited for: where a list or a menu opens, its end is not heard of
const MOVED = ".wide, .events, .long, pre"; // what may be scrolled by itself
let asked = null; // the last request for the page
let pressed = null; // when a press began; null: none goes on
let before = null; // what an answer is to leave as it is: the keyboard's place, what was scrolled
const pressing = new WeakMap(); // what had the keyboard within what asked, by request
const said = new WeakMap(); // what was put last into a place

function timed(element) {
  return /every/.test(element.getAttribute("hx-trigger") ?? "");
}

document.addEventListener("pointerdown", () => { pressed = performance.now(); }, true);
for (const end of ["pointerup", "pointercancel"]) {
  document.addEventListener(end, () => setTimeout(() => { pressed = null; }), true); // after the click
}

document.addEventListener("htmx:beforeRequest", (event) => {
  const { elt, target } = event.detail;
  if (!timed(elt)) return;
  // nobody looks at a hidden tab, and what somebody asked for is not overtaken
  if (document.hidden || (target === main() && isAsked())) event.preventDefault();
});

document.addEventListener("htmx:beforeSend", ({ detail }) => {
  if (detail.target === main()) asked = detail.xhr;
});

document.addEventListener("htmx:beforeSwap", ({ detail }) => {
  const { target, xhr, serverResponse, requestConfig } = detail;
  const late = requestConfig.target === main() && xhr !== asked;
  const timer = timed(requestConfig.elt);
  const same = said.get(target) === serverResponse;
  const disturbs = timer && (isPressed() || writes(target));
  if (late || disturbs || (timer && same)) detail.shouldSwap = false;
  const turns = target === main() && !timer; // to another page
  before = detail.shouldSwap && !turns
    ? { focus: focused(target), moved: moved(target), typed: timer ? typed(target) : [] } : null;
  if (target === main() && !late && !disturbs) clearFailed();
  if (detail.shouldSwap) said.set(target, serverResponse);
});

document.addEventListener("htmx:afterSwap", ({ detail }) => {
  const { target, pathInfo } = detail;
  if (before) {
    for (const [n, [left, top]] of before.moved.entries()) target.querySelectorAll(MOVED)[n]?.scrollTo(left, top);
    for (const { id, value } of before.typed) {
      const field = document.getElementById(id);
      if (field) field.value = value;
    }
    if (before.focus && !target.contains(document.activeElement)) before.focus();
  }
  before = null;
  const shown = /^\/page\/(endpoint|traffic|models|try|logs|bench)\??(.*)$/.exec(pathInfo.finalRequestPath ?? "");
  if (shown) showAddress(shown[1], new URLSearchParams(shown[2]));
});

/* Whether a page is under way. */
function isAsked() {
  return asked !== null && SENT.includes(asked.readyState);
}

function isPressed() {
  return pressed !== null && performance.now() - pressed < HELD;
}

/* Whether somebody is about to fill a field there. */
function writes(target) {
  const now = document.activeElement;
  return target.contains(now) && now.matches("input, select, textarea");
}

/* Fields that were filled, and not asked with yet. */
function typed(target) {
  return [...target.querySelectorAll("input[id]")].filter((one) => one.value !== one.defaultValue);
}

/* The page was read: what went wrong before is no more. */
function clearFailed() {
  const failed = document.getElementById("failed");
  if (failed.contains(document.activeElement)) main().focus({ preventScroll: true });
  failed.replaceChildren();
  said.delete(failed); // the same may go wrong again
}

/* What the address says beside what it says already. */
function addToAddress(more) {
  const [page, query] = location.hash.replace(/^#\/?/, "").split("?");
  const parameters = new URLSearchParams(query ?? "");
  for (const [name, value] of Object.entries(more)) parameters.set(name, value);
  showAddress(page, parameters);
}

/* A reload shows the same. */
function showAddress(page, parameters) {
  for (const [name, value] of [...parameters]) if (!value) parameters.delete(name);
  const address = `#/${page}${parameters.size ? `?${parameters}` : ""}`;
  if (location.hash !== address) history.replaceState(null, "", address);
}

function moved(target) {
  return [...target.querySelectorAll(MOVED)].map((one) => [one.scrollLeft, one.scrollTop]);
}

/* What gives the keyboard back to what has it within `target`, or null. */
function focused(target) {
  const now = document.activeElement;
  if (!now || now === target || !target.contains(now)) return null;
  const kind = (one) => one.id || [
    one.name, one.getAttribute("href"), one.getAttribute("aria-label"), one.getAttribute("value"), one.textContent,
  ].join("\n");
  const alike = () => [...target.querySelectorAll(now.localName)].filter((one) => kind(one) === wanted);
  const wanted = kind(now);
  const place = alike().indexOf(now);
  return () => {
    const way = target.querySelector("[data-close]") ?? target.closest("[tabindex]") ?? main();
    (alike()[place] ?? way).focus({ preventScroll: true });
  };
}

/* What is disabled while it is asked for loses the keyboard. */
document.addEventListener("htmx:beforeRequest", ({ detail: { elt, xhr } }) => {
  const now = document.activeElement;
  if (elt.contains(now)) pressing.set(xhr, now);
});
document.addEventListener("htmx:afterRequest", ({ detail: { xhr } }) => {
  const button = pressing.get(xhr);
  const lost = () => document.activeElement === document.body && button?.isConnected;
  setTimeout(() => { if (lost()) button.focus({ preventScroll: true }); }); // it is enabled then
});
