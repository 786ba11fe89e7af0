"use strict";
/* Places of cells: {name, x, y, w, h} in CSS pixels. Pure. */

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

/* Squares of one size in rows, from `top` on. */
function inRows(names, width, top, side) {
  const across = Math.max(Math.floor(width / side), 1);
  return names.map((name, n) => ({
    name, x: (n % across) * side, y: top + Math.floor(n / across) * side, w: side, h: side,
  }));
}

const AWAY = { ArrowRight: ["x", "w", 1], ArrowLeft: ["x", "w", -1], ArrowDown: ["y", "h", 1], ArrowUp: ["y", "h", -1] };

/* The next cell in an arrow's direction: the nearest one that the middle of `from` points at. */
function neighbour(places, from, key) {
  const [at, size, sign] = AWAY[key];
  const [other, wide] = at === "x" ? ["y", "h"] : ["x", "w"];
  const middle = from[other] + from[wide] / 2;
  let [best, least] = [from, Infinity];
  for (const place of places) {
    const ahead = sign > 0 ? place[at] - from[at] - from[size] : from[at] - place[at] - place[size];
    if (place === from || ahead < -0.5) continue;
    const beside = Math.max(place[other] - middle, middle - place[other] - place[wide], 0);
    const far = Math.max(ahead, 0) + 8 * beside;
    if (far < least) [best, least] = [place, far];
  }
  return best;
}
