"use strict";
/* How this tab gets the token: by the address's code, or by one from another tab of the browser. */

const KEY = "mmectl-console-token";
const PATIENCE = 1000; // ms that other tabs have to answer
let reason = ""; // why the last code was refused
const tabs = new BroadcastChannel("mmectl-console"); // of this address alone

function authorization() {
  return `Bearer ${sessionStorage.getItem(KEY) ?? ""}`;
}

/* Whether this tab has a token in the end; `anew` where the one that it has is none any more. */
async function signedIn(anew = false) {
  if (anew) sessionStorage.removeItem(KEY);
  const given = /^#code=([\w-]+)$/.exec(location.hash);
  if (given) {
    history.replaceState(null, "", "/#/endpoint"); // it is good once
    if (await exchanged(given[1])) return true;
  }
  if (sessionStorage.getItem(KEY)) return true;
  const code = await ofAnotherTab();
  return code !== null && exchanged(code);
}

async function exchanged(code) {
  const answer = await fetch("/sign-in", { method: "POST", body: code }).catch(() => null);
  if (!answer?.ok) {
    reason = answer ? (await answer.text()).trim() : "the console does not answer";
    return false;
  }
  sessionStorage.setItem(KEY, (await answer.json()).token);
  return true;
}

function ofAnotherTab() {
  const id = crypto.randomUUID();
  return new Promise((found) => {
    const timer = setTimeout(() => end(null), PATIENCE);
    const hear = ({ data }) => { if (data.to === id) end(data.code); };
    const end = (code) => {
      clearTimeout(timer);
      tabs.removeEventListener("message", hear);
      found(code);
    };
    tabs.addEventListener("message", hear);
    tabs.postMessage({ from: id });
  });
}

/* Another tab asks: it gets a code of its own, never the token. */
tabs.addEventListener("message", async ({ data }) => {
  if (!data.from || !sessionStorage.getItem(KEY)) return;
  const headers = { Authorization: authorization() };
  const answer = await fetch("/code", { method: "POST", headers }).catch(() => null);
  if (answer?.ok) tabs.postMessage({ to: data.from, code: (await answer.json()).code });
});

/* The page of a tab that has no token: how to get one. `then` is called once it has. */
function showSignIn(then) {
  const main = document.getElementById("main");
  main.replaceChildren(document.getElementById("sign-in").content.cloneNode(true));
  const why = document.getElementById("why");
  why.textContent = reason;
  why.hidden = !reason;
  document.getElementById("code-form").addEventListener("submit", async (event) => {
    event.preventDefault();
    const typed = document.getElementById("code").value.trim();
    if (await exchanged(typed.replace(/^.*#code=/, ""))) then();
    else showSignIn(then);
  });
  document.getElementById("code").focus();
}
