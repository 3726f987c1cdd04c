"use strict";
// Two rows on the same images: probabilities stand in the page, differences and their intervals were computed before.
const facts = JSON.parse(document.getElementById("facts").textContent);
const { steps, side } = facts;
const names = facts.rows.map((row) => row.name);
const form = document.getElementById("pair");
const { a, b, swap } = form.elements;
const SHOWN = 40;
const unpacked = new Map();

function probabilities(row) {
  if (!unpacked.has(row)) {
    const bytes = Uint8Array.from(atob(facts.rows[row].probability), (letter) => letter.charCodeAt(0));
    const view = new DataView(bytes.buffer);
    unpacked.set(row, Array.from(facts.images, (_, image) => view.getUint16(2 * image, true)));
  }
  return unpacked.get(row);
}

const signed = (value) => `${value < 0 ? "−" : "+"}${Math.abs(value).toFixed(4)}`;
const put = (cell, text) => { document.querySelector(`[data-cell="${cell}"]`).textContent = text; };
const p = (value) => (value === null ? "–" : value < 0.0001 ? "< 0.0001" : value.toFixed(4));
const plain = (value) => (value / steps).toFixed(4);

// pairs stand in the order (0, 1), (0, 2) ... (1, 2) ...
const place = (first, second) => first * names.length - (first * (first + 1)) / 2 + second - first - 1;

function difference(first, second, kind) {
  if (first < second) return facts.pairs[place(first, second)][kind];
  const [value, low, high, chance] = facts.pairs[place(second, first)][kind];
  return [-value, high === null ? null : -high, low === null ? null : -low, chance];
}

function told([value, low, high]) {
  return low === null ? signed(value) : `${signed(value)} [${signed(low)}, ${signed(high)}]`;
}

function scatter(first, second) {
  const figure = document.querySelector("#scatter svg");
  figure.querySelectorAll(".points, .half").forEach((old) => old.remove());
  const draw = (kind, attributes) => {
    const made = document.createElementNS("http://www.w3.org/2000/svg", kind);
    Object.entries(attributes).forEach(([key, value]) => made.setAttribute(key, value));
    figure.append(made);
  };
  const at = (value) => {
    const share = (value + 0.5) / (steps + 1);
    return (Math.log(share / (1 - share)) / Math.log(steps) / 2 + 0.5) * side;
  };
  const where = Array.from({ length: steps + 1 }, (_, value) => Math.min(Math.max(at(value), 0), side));
  const paths = ["", ""];
  facts.pneumonia.forEach((ill, image) => {
    paths[ill] += `M${where[first[image]].toFixed(1)} ${(side - where[second[image]]).toFixed(1)}h0`;
  });
  paths.forEach((d, ill) => d && draw("path", { d, class: `points c${ill}` }));
  draw("line", { class: "half", x1: side / 2, x2: side / 2, y1: 0, y2: side });
  draw("line", { class: "half", x1: 0, x2: side, y1: side / 2, y2: side / 2 });
  const [across, up] = figure.querySelectorAll(".axis");
  across.textContent = `A: ${a.value}`;
  up.textContent = `B: ${b.value}`;
}

function images(first, second, called) {
  const apart = facts.images.map((_, image) => image).filter((image) => called[0][image] !== called[1][image]);
  apart.sort((x, y) => Math.abs(first[y] - second[y]) - Math.abs(first[x] - second[x]) || x - y);
  const body = document.querySelector("#images tbody");
  body.replaceChildren(...apart.slice(0, SHOWN).map((image) => {
    const row = document.createElement("tr");
    const right = called[0][image] === Boolean(facts.pneumonia[image]) ? "A" : "B";
    const cells = [facts.images[image], facts.kinds[facts.kind[image]], plain(first[image]), plain(second[image]), right];
    cells.forEach((text, number) => {
      const cell = document.createElement(number ? "td" : "th");
      if (!number) cell.scope = "row";
      if (number === 1 || number === 4) cell.className = "text";
      cell.textContent = text;
      row.append(cell);
    });
    return row;
  }));
  const more = apart.length > SHOWN ? `, the ${SHOWN} with the largest difference` : "";
  put("disagreed", `${apart.length.toLocaleString("en")} images are called differently${more}:`);
}

function show() {
  const [one, other] = [names.indexOf(a.value), names.indexOf(b.value)];
  const [first, second] = [probabilities(one), probabilities(other)];
  const called = [first, second].map((values) => values.map((value) => value >= steps / 2));
  const counts = { both: [0, 0], a: [0, 0], b: [0, 0], none: [0, 0] };
  facts.pneumonia.forEach((ill, image) => {
    const [x, y] = called.map((values) => values[image] === Boolean(ill));
    counts[x ? (y ? "both" : "a") : y ? "b" : "none"][ill] += 1;
  });
  for (const [name, [well, ill]] of Object.entries(counts)) {
    for (const [kind, value] of Object.entries({ ill, well, all: ill + well })) put(`${name}-${kind}`, value.toLocaleString("en"));
  }
  put("title", `${a.value} and ${b.value}`);
  put("areas", [one, other].map((row) => facts.rows[row].auc.toFixed(4)).join(", "));
  ["auc", "accuracy"].forEach((kind, number) => {
    const found = difference(one, other, number);
    put(kind, told(found));
    put(`${kind}-p`, p(found[3]));
  });
  scatter(first, second);
  images(first, second, called);
}

function fromAddress() {
  const asked = new URLSearchParams(location.hash.slice(1));
  a.value = names.includes(asked.get("a")) ? asked.get("a") : names[0];
  b.value = names.includes(asked.get("b")) ? asked.get("b") : names.find((name) => name !== a.value);
  if (a.value === b.value) b.value = names.find((name) => name !== a.value);
  show();
}

function chosen(changed) {
  if (a.value === b.value) {
    const other = changed === a ? b : a;
    other.value = names.find((name) => name !== changed.value);
  }
  history.replaceState(null, "", `#${new URLSearchParams({ a: a.value, b: b.value })}`);
  show();
}

[a, b].forEach((select) => {
  select.append(...names.map((name) => new Option(name, name)));
  select.addEventListener("change", () => chosen(select));
});
swap.addEventListener("click", () => {
  [a.value, b.value] = [b.value, a.value];
  chosen(a);
});
form.addEventListener("submit", (event) => event.preventDefault());
window.addEventListener("hashchange", fromAddress);
form.hidden = false;
document.getElementById("compared").hidden = false;
fromAddress();
