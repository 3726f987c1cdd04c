"use strict";
// Sort a table by a column: numbers from data-value, names as text, missing values always last.
for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells];
  const body = table.tBodies[0];
  heads.forEach((head, column) => {
    const button = head.querySelector("button");
    if (!button) return;
    button.addEventListener("click", () => {
      const ascendingFirst = ["text", "rank", "lower"].some((kind) => head.classList.contains(kind));
      const now = head.getAttribute("aria-sort");
      const next = now === null ? (ascendingFirst ? "ascending" : "descending")
        : now === "ascending" ? "descending" : "ascending";
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", next);
      const sign = next === "ascending" ? 1 : -1;
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
      body.append(...[...body.rows].sort(compare));
    });
  });
}
