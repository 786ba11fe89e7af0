"use strict";
/* The page Models: a list of whatever length; sorted, filtered; several chosen and acted upon. */

const EVERY = 15000; // milliseconds between two looks at what others changed

class Models {
  constructor(root) {
    this.root = root;
    this.chosen = new Set();
    this.sort = root.dataset.sort;
    this.down = root.dataset.down === "1";
    this.details = false;
    this.filter = document.getElementById("filter");
    this.list = new List(root, (first, count, signal) => this.read(first, count, signal), {
      open: openModel,
      toggle: (name) => this.toggle(name),
      shown: (body) => this.show(body),
    });
    root.addEventListener("click", (event) => this.click(event));
    this.filter.addEventListener("input", () => this.later());
    document.getElementById("pick").addEventListener("submit", (event) => event.preventDefault());
    document.getElementById("pick").addEventListener("click", ({ target }) => {
      if (target.id === "details") this.readDetails(target);
    });
    document.querySelector(".bulk")?.addEventListener("click", ({ target }) => this.act(target));
    this.heads();
    Models.shown = this;
  }

  later() {
    clearTimeout(this.waits);
    this.waits = setTimeout(() => { if (this.root.isConnected) this.restart(); }, 200);
  }

  restart() {
    const [filter, down] = [this.filter.value, this.down ? "1" : ""];
    addToAddress({ filter, sort: this.sort === "name" ? "" : this.sort, down });
    this.list.restart();
  }

  address(first, count) {
    const asked = { filter: this.filter.value, sort: this.sort, first, count };
    if (this.down) asked.down = 1;
    if (this.details) asked.details = 1;
    return `/page/rows?${new URLSearchParams(asked)}`;
  }

  async read(first, count, signal) {
    const headers = { Authorization: authorization() };
    const answer = await fetch(this.address(first, count), { headers, signal });
    const holder = element("table");
    const text = await answer.text();
    if (!answer.ok) throw new Error(text.trim());
    holder.innerHTML = text; // of our templates, which escape
    const body = holder.tBodies[0];
    if (!body) throw new Error(holder.textContent.trim() || text.replace(/<[^>]*>/g, " ").trim());
    return body;
  }

  show(body) {
    const total = Number(body.dataset.total);
    put(document.getElementById("count"), this.filter.value ? `${total} found` : "");
    const all = document.getElementById("all");
    if (all) {
      const most = Number(all.dataset.most);
      put(all, total > most ? `Choose the first ${most}` : `Choose all ${total}`);
      all.disabled = !total;
    }
    this.ticks();
  }

  ticks() {
    for (const row of this.list?.rows.rows ?? []) {
      const is = this.chosen.has(row.dataset.name);
      if (row.getAttribute("aria-selected") !== String(is)) row.setAttribute("aria-selected", is);
      const box = row.querySelector("input");
      if (box) box.checked = is;
    }
    if (!document.querySelector(".bulk")) return;
    const count = this.chosen.size;
    put(document.getElementById("chosen"), count ? `${count} chosen` : "none chosen");
    document.getElementById("none").disabled = !count;
    for (const button of document.querySelectorAll("[data-bulk]")) button.disabled = !count;
  }

  toggle(name) {
    if (!document.querySelector(".bulk")) return;
    if (!this.chosen.delete(name)) this.chosen.add(name);
    this.ticks();
  }

  click({ target }) {
    const row = target.closest("tbody.rows tr");
    if (row && target.type === "checkbox") this.toggle(row.dataset.name);
    else if (row && target.type === "button") openModel(row.dataset.name);
    const head = target.closest("th[data-sort]");
    if (!head) return;
    this.down = head.dataset.sort === this.sort && !this.down;
    this.sort = head.dataset.sort;
    this.heads();
    this.restart();
  }

  heads() {
    for (const head of this.root.querySelectorAll("th[data-sort]")) {
      const is = head.dataset.sort === this.sort;
      if (is) head.setAttribute("aria-sort", this.down ? "descending" : "ascending");
      else head.removeAttribute("aria-sort");
    }
  }

  /* The button stays, with the reason, until they were read. */
  async readDetails(button) {
    const [asks, why] = [button.textContent, document.getElementById("unread")];
    const had = document.activeElement === button; // it loses the keyboard as it is disabled
    button.disabled = true;
    button.textContent = "Reading ...";
    why.textContent = "";
    this.details = true;
    const problem = await this.list.again();
    const back = had && [document.body, button].includes(document.activeElement);
    if (problem === null) {
      button.remove();
      if (back) this.filter.focus();
      return;
    }
    this.details = false;
    button.disabled = false;
    button.textContent = asks;
    why.textContent = problem;
    if (back) button.focus();
  }

  async act(button) {
    if (button.id === "none") this.chosen.clear();
    if (button.id === "all") {
      const body = await this.read(0, Number(button.dataset.most)).catch((error) => say(error.message));
      for (const row of body?.rows ?? []) this.chosen.add(row.dataset.name);
    }
    this.ticks();
    if (!button.dataset.bulk) return;
    const values = { name: [...this.chosen] };
    htmx.ajax("POST", `/ask/${button.dataset.bulk}`, { target: "#dialog", source: "#dialog", values });
  }

  /* Something was done: what is shown may not be true any more. */
  async changed(what) {
    if (what === "remove") this.chosen.clear();
    const open = document.querySelector("#model [data-name]");
    if (open) openModel(open.dataset.name, true);
    await this.list.again();
  }
}

/* Nothing is said again that is said already. */
function put(place, text) {
  if (place.textContent !== text) place.textContent = text;
}

setInterval(() => {
  const there = Models.shown?.root.isConnected && !document.hidden;
  if (there && !Models.shown.list.asked) Models.shown.list.load();
}, EVERY);
