"use strict";
/* Tables of thousands of rows: those that are seen are in the document, and a few beside them. */

const BESIDE = 30; // rows above and below what is seen
const NEAR = 12; // rows that are left where more are read
const ROW = 33; // pixels of a row until one was measured

class List {
  /* `source(first, count, signal)` resolves to a tbody whose dataset says `first` and `total`. */
  constructor(scroller, source, { open = () => {}, toggle = () => {}, shown = () => {} } = {}) {
    Object.assign(this, { scroller, source, open, toggle, shown });
    this.table = scroller.querySelector("table");
    [this.above, this.below] = scroller.querySelectorAll("tbody.space td");
    this.rows = scroller.querySelector("tbody.rows");
    this.active = 0;
    this.asked = null;
    this.height = ROW;
    scroller.addEventListener("scroll", () => this.look(), { passive: true });
    this.table.addEventListener("keydown", (event) => this.move(event));
    this.table.addEventListener("focusin", ({ target }) => this.enter(target.closest("tr")));
    this.take(this.rows);
  }

  get total() { return Number(this.rows.dataset.total); }
  get first() { return Number(this.rows.dataset.first); }
  get length() { return this.rows.rows.length; }

  /* Rows that are seen: the first, and how many. */
  get seen() {
    const { scrollTop, clientHeight } = this.scroller;
    const first = Math.min(Math.floor(scrollTop / this.height), Math.max(this.total - 1, 0));
    return [first, Math.ceil(clientHeight / this.height) + 1];
  }

  look() {
    const [first, count] = this.seen;
    const there = (from, length, near) => Math.max(first - near, 0) >= from
      && Math.min(first + count + near, this.total) <= from + length;
    const { asked } = this;
    if (there(this.first, this.length, NEAR)) return;
    if (!asked || !there(asked.first, asked.count, 0)) this.load();
  }

  /* Read anew what is seen, whatever is there; resolves to what went wrong, or null. */
  async load() {
    const [seen, shown] = this.seen;
    const asked = { first: Math.max(seen - BESIDE, 0), count: shown + 2 * BESIDE };
    if (this.asked?.first === asked.first) return this.asked.done;
    this.asked?.stop.abort();
    this.asked = asked;
    asked.stop = new AbortController();
    asked.done = this.source(asked.first, asked.count, asked.stop.signal).then((body) => {
      if (!this.scroller.isConnected) return null; // the page was left
      if (this.asked !== asked) return this.asked?.done ?? null;
      this.asked = null;
      if (this.failed) say("");
      this.failed = false;
      this.take(body);
      if (this.seen[0] !== seen) this.look(); // it was scrolled meanwhile
      return null;
    }, (error) => {
      if (!this.scroller.isConnected) return null;
      if (this.asked !== asked) return this.asked?.done ?? null;
      this.asked = null;
      this.failed = true;
      say(error.message);
      return error.message;
    });
    return asked.done;
  }

  take(body) {
    const held = this.rows.contains(document.activeElement) ? document.activeElement : null;
    this.height = this.rows.rows[0]?.offsetHeight || this.height; // before anything is changed
    if (body !== this.rows) merge(this.rows, body);
    // a row that is put elsewhere loses the keyboard
    if (held?.isConnected && held !== document.activeElement) held.focus({ preventScroll: true });
    const { height } = this;
    space(this.above, this.first * height);
    space(this.below, Math.max(this.total - this.first - this.length, 0) * height);
    this.table.setAttribute("aria-rowcount", this.total + 1);
    const row = document.activeElement?.closest("tr");
    if (row?.parentNode === this.rows) this.active = this.first + row.sectionRowIndex;
    this.active = Math.max(Math.min(this.active, this.total - 1), 0);
    this.shown(this.rows);
    this.mark(held && row?.parentNode !== this.rows);
  }

  /* The one row that Tab leads to; the first that is seen where the last one is far away. */
  mark(focused) {
    for (const other of this.rows.querySelectorAll("tr[tabindex='0']")) other.tabIndex = -1;
    const row = this.row(this.active);
    const tab = row ?? this.row(this.seen[0]) ?? this.rows.rows[0];
    if (tab) tab.tabIndex = 0;
    if (focused) (row ?? this.scroller).focus({ preventScroll: true });
  }

  row(index) { return this.rows.rows[index - this.first]; }

  enter(row) {
    if (!row || row.parentNode !== this.rows) return;
    this.active = this.first + row.sectionRowIndex;
    this.mark(false);
  }

  /* Begin at the top with other rows. */
  restart() {
    this.scroller.scrollTop = 0;
    this.active = 0;
    return this.again();
  }

  /* What is under way may be older than what was just done. */
  again() {
    this.asked?.stop.abort();
    this.asked = null;
    return this.load();
  }

  async move(event) {
    const row = event.target.closest("tr");
    if (row?.parentNode !== this.rows) return;
    const page = Math.max(this.seen[1] - 2, 1);
    const to = {
      ArrowDown: this.active + 1, ArrowUp: this.active - 1, Home: 0, End: this.total - 1,
      PageDown: this.active + page, PageUp: this.active - page,
    }[event.key];
    if (event.key === "Enter" && event.target === row) this.open(row.dataset.name);
    else if (event.key === " " && event.target === row) this.toggle(row.dataset.name);
    else if (to === undefined) return;
    event.preventDefault();
    if (to !== undefined) await this.go(Math.max(Math.min(to, this.total - 1), 0));
  }

  async go(index) {
    this.active = index;
    const { scroller, height } = this;
    const head = this.table.tHead.offsetHeight;
    const [top, bottom] = [index * height, (index + 1) * height + head];
    if (top < scroller.scrollTop) scroller.scrollTop = top;
    else if (bottom > scroller.scrollTop + scroller.clientHeight) {
      scroller.scrollTop = bottom - scroller.clientHeight;
    }
    if (!this.row(index)) {
      scroller.focus({ preventScroll: true }); // until its row is there
      await this.load();
    }
    if (this.active === index) this.mark(true);
  }
}

/* Give `rows` what the other part has; rows of the same name stay, with the keyboard on them. */
function merge(rows, part) {
  const fresh = [...part.rows];
  const names = new Set(fresh.map((row) => row.dataset.name));
  for (const row of [...rows.rows]) if (!names.has(row.dataset.name)) row.remove();
  const known = new Map([...rows.rows].map((row) => [row.dataset.name, row]));
  let at = rows.rows[0] ?? null;
  for (const row of fresh) {
    const there = known.get(row.dataset.name);
    if (there) renew(there, row);
    if (there && there === at) at = at.nextElementSibling;
    else rows.insertBefore(there ?? row, at);
  }
  Object.assign(rows.dataset, part.dataset);
}

function renew(row, fresh) {
  row.setAttribute("aria-rowindex", fresh.getAttribute("aria-rowindex"));
  const cells = [...fresh.cells];
  if (row.cells.length !== cells.length) row.replaceChildren(...fresh.childNodes); // other columns
  [...row.cells].forEach((cell, n) => {
    if (!cell.isEqualNode(cells[n])) cell.replaceWith(cells[n]);
  });
}

function space(cell, height) {
  cell.style.height = `${height}px`;
  cell.closest("tbody").hidden = height <= 0;
}
