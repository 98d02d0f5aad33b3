"use strict";
// Titles of columns become buttons that sort the rows of their table; without this file, they stay as they are.
for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0];
  const titles = Array.from(table.tHead.rows[0].cells);
  const value = (row, column) => row.cells[column].textContent.trim();
  const compare = (a, b) => {
    const [x, y] = [parseFloat(a), parseFloat(b)];
    if (Number.isNaN(x) && Number.isNaN(y)) return a.localeCompare(b, undefined, { numeric: true });
    return x - y;
  };
  titles.forEach((title, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...title.childNodes);
    title.append(button);
    title.setAttribute("aria-sort", "none");
    button.addEventListener("click", () => {
      const rises = title.getAttribute("aria-sort") !== "ascending";
      for (const other of titles) other.setAttribute("aria-sort", "none");
      title.setAttribute("aria-sort", rises ? "ascending" : "descending");
      const isText = Array.from(body.rows).some((row) => Number.isNaN(parseFloat(value(row, column))) && value(row, column) !== "–");
      const order = Array.from(body.rows).sort((one, other) => {
        const [a, b] = [value(one, column), value(other, column)];
        if ((a === "–") !== (b === "–")) return a === "–" ? 1 : -1; // what is undefined comes last
        const found = isText ? a.localeCompare(b, undefined, { numeric: true }) : compare(a, b);
        return rises ? found : -found;
      });
      body.append(...order);
    });
  });
}
