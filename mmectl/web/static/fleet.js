"use strict";
/* Instances and their models: a canvas each, so that thousands of cells stay smooth, and a table
   of the same for those who do not see it. */

const STATES = ["loading", "busy", "ready", "resting", "disk"];
const HEIGHT = 190; // of the cells in memory, in CSS pixels; of thousands up to MOST_HEIGHT
const MOST_HEIGHT = 420;
const AREA = 64; // of a cell at the mean, where there is room for it
const SMALL = 8; // side of a cell that is on disk only, and of its gap
const TOP = 4; // between those in memory and those on disk only
const GAP = 1;

class Fleet {
  constructor(root, picked) {
    this.root = root;
    this.picked = picked;
    this.instances = new Map();
    this.wide = new ResizeObserver(() => this.instances.forEach((one) => one.layOut()));
    this.wide.observe(root);
    Fleet.shown = this;
    this.recolour();
  }

  /* The style is asked once, not at each drawing. */
  recolour() {
    const style = getComputedStyle(document.documentElement);
    this.colours = Object.fromEntries(STATES.map((s) => [s, style.getPropertyValue(`--${s}`)]));
    this.ink = style.getPropertyValue("--ink");
    this.instances.forEach((one) => one.drawSoon());
  }

  clear() {
    this.instances.clear();
    this.root.replaceChildren();
  }

  take({ instances = {}, left = [] }) {
    for (const [name, change] of Object.entries(instances)) {
      if (!this.instances.has(name)) this.instances.set(name, new Instance(this, name));
      this.instances.get(name).take(change);
    }
    for (const name of left) {
      this.instances.get(name)?.section.remove();
      this.instances.delete(name);
    }
  }
}

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  Fleet.shown?.recolour();
});

class Instance {
  constructor(fleet, name) {
    this.fleet = fleet;
    this.name = name;
    this.models = new Map(); // name -> [megabytes, state]
    this.places = []; // {name, x, y, w, h}
    this.where = new Map(); // name -> its place
    this.chosen = null;
    this.changed = null; // names to be drawn in the next frame; null: none
    this.section = element("section", { className: "instance" });
    this.title = element("h2");
    this.facts = element("p", { className: "facts" });
    this.canvas = element("canvas", { tabIndex: 0, height: HEIGHT });
    this.canvas.setAttribute("role", "img");
    this.table = new CellTable(this);
    this.section.append(this.title, this.facts, this.canvas, this.table.root);
    fleet.root.append(this.section);
    this.canvas.addEventListener("mousemove", (event) => this.pick(this.at(event)));
    this.canvas.addEventListener("click", (event) => openPage(this.at(event)));
    this.canvas.addEventListener("keydown", (event) => this.move(event));
  }

  take({ head, models = {}, gone = [] }) {
    if (head) this.showHead(head);
    let moved = gone.length > 0;
    for (const [name, cell] of Object.entries(models)) {
      const before = this.models.get(name);
      moved ||= !before || before[0] !== cell[0] || (before[1] === "disk") !== (cell[1] === "disk");
      this.models.set(name, cell);
    }
    for (const name of gone) this.models.delete(name);
    this.sayCounts();
    if (moved) this.layOut();
    else this.drawSoon(Object.keys(models));
    this.table.changed();
  }

  sayCounts() {
    const counts = Object.fromEntries(STATES.map((state) => [state, 0]));
    for (const [, state] of this.models.values()) counts[state] += 1;
    const said = STATES.filter((state) => counts[state]).map((s) => `${counts[s]} ${s}`);
    this.canvas.setAttribute("aria-label", `${this.models.size} models: ${said.join(", ")}`);
  }

  showHead(head) {
    const live = head.live ?? {};
    this.title.textContent = `${this.name}, ${head.state}`;
    this.title.classList.toggle("bad", head.state === "Failed");
    this.facts.replaceChildren(
      text(`${head.variant}, ${head.instance_type ?? ""}, ${head.config ?? ""}`),
      bar("memory", head.memory_used_mb, head.memory_limit_mb),
      bar("disk", head.disk_used_mb, head.disk_limit_mb),
      text(`${(live.requests_per_second ?? 0).toFixed(1)} requests a second`),
      text(`p50 ${milliseconds(live.p50_ms)}, p99 ${milliseconds(live.p99_ms)}`),
      text(`${live.hits ?? 0} of ${counted(live.requests, "request")} hit, ${counted(live.errors, "error")}`),
      text(`${counted(live.loads, "load")}, ${counted(live.evictions, "eviction")}, ${counted(head.restarts, "restart")}`),
    );
  }

  layOut() {
    const width = Math.max(this.section.clientWidth, 200);
    const held = [], rest = [];
    for (const [name, [size, state]] of this.models) {
      if (state === "disk") rest.push(name);
      else held.push({ name, size: Math.max(size, 0.05) });
    }
    held.sort((one, other) => other.size - one.size || (one.name < other.name ? -1 : 1));
    const wanted = Math.min(Math.max((held.length * AREA) / width, HEIGHT), MOST_HEIGHT);
    const top = held.length ? wanted : 0;
    const small = inRows(rest, width, top + TOP, SMALL);
    this.places = [...squarified(held, 0, 0, width, top), ...small];
    this.where = new Map(this.places.map((place) => [place.name, place]));
    this.resize(width, small.length ? small.at(-1).y + SMALL : top + TOP);
    this.drawSoon();
  }

  resize(width, height) {
    const scale = window.devicePixelRatio || 1;
    this.canvas.width = width * scale;
    this.canvas.height = height * scale;
    this.canvas.style.width = `${width}px`;
    this.canvas.style.height = `${height}px`;
    this.pen = this.canvas.getContext("2d");
    this.pen.scale(scale, scale);
  }

  /* In the next frame: all cells, or those of these names. */
  drawSoon(names) {
    if (this.changed === null) requestAnimationFrame(() => this.draw());
    if (!names || this.changed === undefined) this.changed = undefined; // all
    else this.changed = [...(this.changed ?? []), ...names];
  }

  draw() {
    const names = this.changed;
    this.changed = null;
    if (!this.pen) return;
    const places = names ? names.map((name) => this.where.get(name)).filter(Boolean) : this.places;
    for (const place of places) this.drawCell(place, this.models.get(place.name)?.[1] ?? "disk");
  }

  drawCell(place, state) {
    const { pen } = this;
    const { colours } = this.fleet;
    const { x, y } = place;
    const [width, height] = [Math.max(place.w - GAP, 1), Math.max(place.h - GAP, 1)];
    pen.clearRect(x, y, place.w, place.h);
    if (state === "disk") {
      pen.lineWidth = 1;
      pen.strokeStyle = colours.disk;
      pen.strokeRect(x + 0.5, y + 0.5, width - 1, height - 1);
    } else {
      pen.fillStyle = colours[state];
      pen.fillRect(x, y, width, height);
    }
    const named = place.w > 60 && place.h > 16;
    const plain = state === "ready" || state === "resting" || state === "disk";
    if (named || !plain || place.name === this.chosen) this.drawInside(place, state, named);
  }

  /* Whatever must not reach beyond the cell. */
  drawInside({ name, x, y, w, h }, state, named) {
    const { pen } = this;
    const { ink } = this.fleet;
    const [width, height] = [Math.max(w - GAP, 1), Math.max(h - GAP, 1)];
    pen.save();
    pen.beginPath();
    pen.rect(x, y, width, height);
    pen.clip();
    pen.strokeStyle = ink;
    if (state === "loading") hatch(pen, x, y, width, height);
    if (state === "busy") pen.strokeRect(x + 1.5, y + 1.5, width - 3, height - 3);
    if (name === this.chosen) {
      pen.lineWidth = 4;
      pen.strokeRect(x, y, width, height);
    }
    if (named) {
      pen.fillStyle = state === "resting" || state === "disk" ? ink : "#fff";
      pen.font = "12px system-ui, sans-serif";
      pen.fillText(short(pen, name.replace(/\.tar\.gz$/, ""), w - 10), x + 5, y + 14);
    }
    pen.restore();
  }

  at({ offsetX, offsetY }) {
    return this.places.find(({ x, y, w, h }) =>
      offsetX >= x && offsetX < x + w && offsetY >= y && offsetY < y + h)?.name ?? null;
  }

  pick(name) {
    if (name === this.chosen) return;
    const before = this.chosen;
    this.chosen = name;
    this.drawSoon([before, name].filter(Boolean));
    if (!name) return;
    const [size, state] = this.models.get(name);
    this.fleet.picked.textContent = `${name}: ${state}${size ? `, ${size} MB` : ""}`;
  }

  move(event) {
    if (event.key === "Enter") openPage(this.chosen);
    const end = { Home: this.places[0], End: this.places.at(-1) }[event.key];
    if (!(end || event.key in AWAY) || !this.places.length) return;
    event.preventDefault();
    const now = this.where.get(this.chosen);
    this.pick((end ?? (now ? neighbour(this.places, now, event.key) : this.places[0])).name);
  }
}

/* The cells as text, made once somebody opens it. */
class CellTable {
  constructor(instance) {
    this.instance = instance;
    this.root = element("details", { className: "astable" });
    this.root.append(element("summary", { textContent: "As a table" }));
    this.root.addEventListener("toggle", () => this.changed());
  }

  changed() {
    if (!this.root.open) return;
    this.names = [...this.instance.models.keys()].sort();
    if (this.list) this.list.again();
    else this.make();
  }

  make() {
    const scroller = element("div", { className: "list", tabIndex: -1 });
    const table = element("table");
    table.setAttribute("role", "grid");
    table.setAttribute("aria-label", `Models on ${this.instance.name}`);
    const head = table.createTHead().insertRow();
    for (const [title, kind] of [["Model", ""], ["State", "wordy"], ["Memory", "wordy"]]) {
      head.append(element("th", { textContent: title, className: kind }));
    }
    table.append(spacer(), this.body(0, 60), spacer());
    scroller.append(table);
    this.root.append(scroller);
    this.list = new List(scroller, async (first, count) => this.body(first, count), {
      open: openPage,
    });
  }

  body(first, count) {
    const body = element("tbody", { className: "rows" });
    Object.assign(body.dataset, { first, total: this.names.length });
    this.names.slice(first, first + count).forEach((name, n) => {
      const [size, state] = this.instance.models.get(name);
      const row = element("tr", { tabIndex: -1 });
      row.dataset.name = name;
      row.setAttribute("aria-rowindex", first + n + 2);
      const texts = [name, WORDS[state] ?? state, size ? `${size} MB` : "-"];
      row.append(...texts.map((text) => element("td", { textContent: text, title: text })));
      body.append(row);
    });
    return body;
  }
}

const WORDS = { disk: "on disk" };

function spacer() {
  const body = element("tbody", { className: "space" });
  body.insertRow().insertCell();
  return body;
}

function openPage(name) {
  if (name) location.hash = `#/models?name=${encodeURIComponent(name)}`;
}

/* The end of a name that is too long: names of one folder begin alike. */
function short(pen, name, width) {
  const shown = (from) => (from ? `\u2026${name.slice(from)}` : name);
  let from = 0;
  while (from < name.length && pen.measureText(shown(from)).width > width) from += 1;
  return shown(from);
}

function counted(number, noun) {
  return `${number ?? 0} ${noun}${number === 1 ? "" : "s"}`;
}

function hatch(pen, x, y, w, h) {
  pen.beginPath();
  for (let at = -h; at < w; at += 6) {
    pen.moveTo(x + at, y + h);
    pen.lineTo(x + at + h, y);
  }
  pen.stroke();
}

function element(name, properties = {}) {
  return Object.assign(document.createElement(name), properties);
}

function text(content) {
  return element("span", { textContent: content });
}

function bar(label, used, limit) {
  const meter = element("meter", { min: 0, max: limit || 1, value: used || 0 });
  meter.setAttribute("aria-label", label);
  const span = element("span", { className: "bar" });
  span.append(`${label} `, meter, ` ${used} of ${limit} MB`);
  return span;
}

function milliseconds(value) {
  return value === null || value === undefined ? "-" : `${value.toFixed(1)} ms`;
}
