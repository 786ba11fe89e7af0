"use strict";
/* Instances and their models: a canvas each, so that thousands of cells stay smooth. */

const STATES = ["loading", "busy", "ready", "resting", "disk"];
const HEIGHT = 190; // of the cells in memory, in CSS pixels
const SMALL = 7; // side of a cell that is on disk only
const GAP = 1;

class Fleet {
  constructor(root, picked) {
    this.root = root;
    this.picked = picked;
    this.instances = new Map();
    this.wide = new ResizeObserver(() => this.instances.forEach((one) => one.layOut()));
    this.wide.observe(root);
    Fleet.shown = this;
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
  Fleet.shown?.instances.forEach((one) => one.draw());
});

class Instance {
  constructor(fleet, name) {
    this.fleet = fleet;
    this.name = name;
    this.models = new Map(); // name -> [megabytes, state]
    this.places = []; // {name, x, y, w, h}
    this.chosen = null;
    this.section = element("section", { className: "instance" });
    this.title = element("h2");
    this.facts = element("p", { className: "facts" });
    this.canvas = element("canvas", { tabIndex: 0, height: HEIGHT });
    this.canvas.setAttribute("role", "img");
    this.section.append(this.title, this.facts, this.canvas);
    fleet.root.append(this.section);
    this.canvas.addEventListener("mousemove", (event) => this.pick(this.at(event)));
    this.canvas.addEventListener("click", (event) => this.open(this.at(event)));
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
    const counts = Object.groupBy(this.models.values(), ([, state]) => state);
    const said = STATES.filter((state) => counts[state]).map((s) => `${counts[s].length} ${s}`);
    this.canvas.setAttribute("aria-label", `${this.models.size} models: ${said.join(", ")}`);
    if (moved) this.layOut();
    else this.draw(Object.keys(models));
  }

  showHead(head) {
    const live = head.live ?? {};
    this.title.textContent = `${this.name}, ${head.state}`;
    this.facts.replaceChildren(
      text(`${head.variant}, ${head.instance_type ?? ""}, ${head.config ?? ""}`),
      bar("memory", head.memory_used_mb, head.memory_limit_mb),
      bar("disk", head.disk_used_mb, head.disk_limit_mb),
      text(`${(live.requests_per_second ?? 0).toFixed(1)} requests a second`),
      text(`p50 ${milliseconds(live.p50_ms)}, p99 ${milliseconds(live.p99_ms)}`),
      text(`${live.hits ?? 0} of ${live.requests ?? 0} hits, ${live.errors ?? 0} errors`),
      text(`${live.loads ?? 0} loads, ${live.evictions ?? 0} evictions, ${head.restarts ?? 0} restarts`),
    );
  }

  layOut() {
    const width = Math.max(this.section.clientWidth, 200);
    const held = [...this.models].filter(([, [, state]]) => state !== "disk");
    const rest = [...this.models].filter(([, [, state]]) => state === "disk");
    const sizes = held.map(([name, [size]]) => ({ name, size: Math.max(size, 0.05) }));
    sizes.sort((one, other) => other.size - one.size || (one.name < other.name ? -1 : 1));
    const top = held.length ? HEIGHT : 0;
    this.places = squarified(sizes, 0, 0, width, top);
    const across = Math.floor(width / (SMALL + GAP));
    rest.forEach(([name], n) => {
      const x = (n % across) * (SMALL + GAP);
      const y = top + 4 + Math.floor(n / across) * (SMALL + GAP);
      this.places.push({ name, x, y, w: SMALL, h: SMALL });
    });
    const rows = Math.ceil(rest.length / across);
    this.resize(width, top + 4 + rows * (SMALL + GAP));
    this.where = new Map(this.places.map((place) => [place.name, place]));
    this.draw();
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

  draw(names) {
    if (!this.pen) return;
    const style = getComputedStyle(document.documentElement);
    const colours = Object.fromEntries(STATES.map((s) => [s, style.getPropertyValue(`--${s}`)]));
    const ink = style.getPropertyValue("--ink");
    const places = names ? names.map((name) => this.where.get(name)).filter(Boolean) : this.places;
    for (const place of places) {
      const [, state] = this.models.get(place.name) ?? [0, "disk"];
      this.drawCell(place, state, colours, ink);
    }
  }

  drawCell({ name, x, y, w, h }, state, colours, ink) {
    const { pen } = this;
    const [width, height] = [Math.max(w - GAP, 1), Math.max(h - GAP, 1)];
    pen.clearRect(x, y, w, h);
    pen.fillStyle = colours[state];
    if (state === "disk") {
      pen.strokeStyle = colours.disk;
      pen.strokeRect(x + 0.5, y + 0.5, width - 1, height - 1);
    } else {
      pen.fillRect(x, y, width, height);
    }
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
    if (w > 60 && h > 16) {
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
    this.draw([before, name].filter(Boolean));
    if (!name) return;
    const [size, state] = this.models.get(name);
    this.fleet.picked.textContent = `${name}: ${state}${size ? `, ${size} MB` : ""}`;
  }

  open(name) {
    if (name) location.hash = `#/models?name=${encodeURIComponent(name)}`;
  }

  move(event) {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (event.key === "Enter") this.open(this.chosen);
    if (!step || !this.places.length) return;
    event.preventDefault();
    const now = this.places.findIndex(({ name }) => name === this.chosen);
    const next = Math.min(Math.max(now + step, 0), this.places.length - 1);
    this.pick(this.places[next].name);
  }
}

/* Bruls, Huizing, van Wijk: Squarified Treemaps (2000). Sizes come largest first. */
function squarified(sizes, x, y, w, h) {
  const found = [];
  let total = sizes.reduce((sum, one) => sum + one.size, 0);
  let first = 0;
  while (first < sizes.length && w > 0 && h > 0) {
    const side = Math.min(w, h);
    const scale = (w * h) / total;
    let end = first, sum = 0, worst = Infinity;
    while (end < sizes.length) {
      const area = (sum + sizes[end].size) * scale;
      const [large, small] = [sizes[first].size * scale, sizes[end].size * scale];
      const next = Math.max((side ** 2 * large) / area ** 2, area ** 2 / (side ** 2 * small));
      if (next > worst) break;
      [worst, sum, end] = [next, sum + sizes[end].size, end + 1];
    }
    const thick = (sum * scale) / side;
    let along = 0;
    for (const { name, size } of sizes.slice(first, end)) {
      const length = (size * scale) / thick;
      found.push(w >= h
        ? { name, x, y: y + along, w: thick, h: length }
        : { name, x: x + along, y, w: length, h: thick });
      along += length;
    }
    if (w >= h) [x, w] = [x + thick, w - thick];
    else [y, h] = [y + thick, h - thick];
    total -= sum;
    first = end;
  }
  return found;
}

/* The end of a name that is too long: names of one folder begin alike. */
function short(pen, name, width) {
  let from = 0;
  while (from < name.length && pen.measureText(name.slice(from)).width > width) from += 1;
  return name.slice(from);
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
