"use strict";

// ---- sorting: numbers from data-value, names as text, missing values always last

const headsOf = (table) => [...table.tHead.rows[0].cells];

function sortTable(table, column, ascending) {
  const heads = headsOf(table);
  heads.forEach((other) => other.removeAttribute("aria-sort"));
  heads[column].setAttribute("aria-sort", ascending ? "ascending" : "descending");
  const sign = ascending ? 1 : -1;
  const key = (row) => {
    const cell = row.cells[column];
    return "value" in cell.dataset ? cell.dataset.value : cell.querySelector(".name").textContent;
  };
  const compare = (a, b) => {
    const [x, y] = [key(a), key(b)];
    if (x === "" || y === "") return (x === "") - (y === "");
    const difference = Number(x) - Number(y);
    return sign * (Number.isNaN(difference) ? x.localeCompare(y) : difference);
  };
  const body = table.tBodies[0];
  body.append(...[...body.rows].sort(compare));
}

for (const table of document.querySelectorAll("table.sortable")) {
  headsOf(table).forEach((head, column) => {
    head.querySelector("button")?.addEventListener("click", () => {
      const ascendingFirst = ["text", "rank", "lower"].some((kind) => head.classList.contains(kind));
      const now = head.getAttribute("aria-sort");
      const ascending = now === null ? ascendingFirst : now === "descending";
      if (view && table.classList.contains("chosen") && head.dataset.key) {
        show({ ...state(), sort: head.dataset.key + (ascending ? "+" : "-") });
      } else {
        sortTable(table, column, ascending);
      }
    });
  });
}

// ---- the view: rows, columns, part and order of the main tables, kept in the fragment of the address

const view = document.getElementById("view");
const chosen = [...document.querySelectorAll("table.chosen")];
const before = new Map(chosen.map((table) => [table, [...table.tBodies[0].rows]]));
const boxes = (name) => [...view.querySelectorAll(`input[name="${name}"]`)];
const unchecked = (name) => boxes(name).filter((box) => !box.checked).map((box) => box.value);

function state() {
  return {
    q: view.elements.q.value.trim(),
    part: view.elements.part?.value ?? "",
    sort: view.dataset.sort ?? "",
    without: unchecked("kind").join(","),
    hide: unchecked("column").join(","),
  };
}

function show(wanted) {
  const hiddenKinds = wanted.without.split(",");
  const hiddenColumns = wanted.hide.split(",");
  view.elements.q.value = wanted.q;
  boxes("kind").forEach((box) => { box.checked = !hiddenKinds.includes(box.value); });
  boxes("column").forEach((box) => { box.checked = !hiddenColumns.includes(box.value); });
  const parts = view.elements.part;
  if (parts) {
    parts.value = [...parts.options].some((option) => option.value === wanted.part) ? wanted.part : "";
    for (const part of ["ranking", "official"]) {
      document.getElementById(part).hidden = parts.value !== "" && parts.value !== part;
    }
  }
  const words = wanted.q.toLowerCase().split(/\s+/).filter(Boolean);
  let rows = 0;
  for (const table of chosen) {
    table.tBodies[0].append(...before.get(table));
    headsOf(table).forEach((head, column) => {
      head.removeAttribute("aria-sort");
      const away = hiddenColumns.includes(head.dataset.key);
      for (const row of table.rows) row.cells[column].hidden = away;
    });
    for (const row of table.tBodies[0].rows) {
      const text = row.querySelector("th").textContent.toLowerCase();
      row.hidden = hiddenKinds.includes(row.dataset.kind) || !words.every((word) => text.includes(word));
    }
    rows = Math.max(rows, [...table.tBodies[0].rows].filter((row) => !row.hidden).length);
    const column = headsOf(table).findIndex((head) => head.dataset.key === wanted.sort.slice(0, -1));
    if (column >= 0) sortTable(table, column, wanted.sort.endsWith("+"));
  }
  const order = view.elements.sort;
  order.value = [...order.options].some((option) => option.value === wanted.sort) ? wanted.sort : "";
  view.dataset.sort = wanted.sort;
  const all = chosen[0].tBodies[0].rows.length;
  tell(rows === all ? "" : `${rows} of ${all} rows shown`);
  const kept = Object.entries(state()).filter(([, value]) => value !== "");
  const fragment = new URLSearchParams(kept).toString();
  const now = location.hash.includes("=") ? location.hash.slice(1) : "";
  if (fragment !== now) history.replaceState(null, "", fragment ? `#${fragment}` : location.pathname + location.search);
}

function fromAddress() {
  const kept = new URLSearchParams(location.hash.includes("=") ? location.hash.slice(1) : "");
  const wanted = { q: "", part: "", sort: "", without: "", hide: "" };
  for (const key of Object.keys(wanted)) wanted[key] = kept.get(key) ?? "";
  return wanted;
}

const tell = (text) => { view.querySelector(".told").textContent = text; };

// ---- copying what is shown

const LATEX = {
  "\\": "\\textbackslash{}", "&": "\\&", "%": "\\%", "$": "\\$", "#": "\\#", "_": "\\_", "{": "\\{", "}": "\\}",
  "~": "\\textasciitilde{}", "^": "\\textasciicircum{}", "†": "$\\dagger$", "‡": "$\\ddagger$", "−": "$-$", "–": "--",
  "±": "$\\pm$", "≤": "$\\leq$", "·": "$\\cdot$", "<": "\\textless{}", ">": "\\textgreater{}",
};
const WRITTEN = {
  CSV: (rows) => rows.map((row) => row.map((cell) => (/[",\n]/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell))
    .join(",")).join("\n"),
  Markdown: (rows) => {
    const line = (row) => `| ${row.map((cell) => cell.replaceAll("|", "\\|").replaceAll("<", "&lt;")).join(" | ")} |`;
    const rule = `| ${rows[0].map((_, column) => (column ? "---:" : "---")).join(" | ")} |`;
    return [line(rows[0]), rule, ...rows.slice(1).map(line)].join("\n");
  },
  LaTeX: (rows) => {
    const safe = (cell) => cell.replace(/[\\&%$#_{}~^†‡−–±≤·<>]/g, (sign) => LATEX[sign]);
    const lines = rows.map((row) => `${row.map(safe).join(" & ")} \\\\`);
    return [`\\begin{tabular}{l${"r".repeat(rows[0].length - 1)}}`, "\\toprule", lines[0], "\\midrule",
      ...lines.slice(1), "\\bottomrule", "\\end{tabular}"].join("\n");
  },
};

function shownRows(table, whole) {
  const columns = headsOf(table).map((head, column) => ({ head, column, key: head.dataset.key }))
    .filter(({ head, key }) => !head.hidden && key !== "rank");
  const bounded = (column) => whole && table.querySelector(`tbody td:nth-child(${column + 1})[data-low]`) !== null;
  const heading = columns.flatMap(({ head, column, key }) => {
    if (bounded(column)) return [key, `${key}_low`, `${key}_high`];
    return [whole ? key : head.textContent.trim()];
  });
  const body = [...table.tBodies[0].rows].filter((row) => !row.hidden).map((row) => columns.flatMap(({ column, key }) => {
    const cell = row.cells[column];
    if (key === "architecture") return [cell.querySelector(".name").textContent];
    const { value, low = "", high = "" } = cell.dataset;
    if (!whole) return [[cell.firstChild.textContent, cell.querySelector("small")?.textContent].filter(Boolean).join(" ").trim()];
    return bounded(column) ? [value, low, high] : [value];
  }));
  return [heading, ...body];
}

async function copy(form) {
  const tables = chosen.filter((table) => !table.closest("section").hidden);
  const text = tables.map((table) => WRITTEN[form](shownRows(table, form === "CSV"))).join("\n\n");
  const box = view.querySelector(".copied");
  box.hidden = false;
  const area = box.querySelector("textarea");
  area.value = text;
  area.select();
  let done = false;
  try {
    await navigator.clipboard.writeText(text);
    done = true;
  } catch {
    done = document.execCommand("copy"); // where a page from a file may not write to the clipboard
  }
  tell(`${form}, ${tables.length === 1 ? "one table" : `${tables.length} tables`}: ${done ? "copied" : "select the text below"}`);
}

if (view && chosen.length) {
  view.hidden = false;
  view.addEventListener("submit", (event) => event.preventDefault());
  view.addEventListener("input", (event) => {
    if (event.target.name === "sort") view.dataset.sort = event.target.value;
    if (event.target.name) show(state());
  });
  view.addEventListener("reset", (event) => {
    event.preventDefault();
    view.querySelector(".copied").hidden = true;
    show({ q: "", part: "", sort: "", without: "", hide: "" });
  });
  view.querySelectorAll("button[name=copy]").forEach((button) => {
    button.addEventListener("click", () => copy(button.value));
  });
  window.addEventListener("hashchange", () => { if (location.hash.includes("=")) show(fromAddress()); });
  if (location.hash.includes("=")) show(fromAddress());
}
