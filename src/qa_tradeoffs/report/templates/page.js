// A table is sorted by the column whose heading is clicked. Without this script the headings are plain text.
const UNITS = { "µs": 1e-6, ms: 1e-3, s: 1, min: 60, h: 3600, KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30, M: 1e6 };

function value(text) { // "1.74 ms", "76.9 (73.3–80.6)", "1,020 of 2,000"; null for words
  const found = text.match(/^([+-]?[\d,]*\.?\d+(?:e[+-]?\d+)?)\s*([A-Za-zµ]*)/);
  return found ? parseFloat(found[1].replaceAll(",", "")) * (UNITS[found[2]] ?? 1) : null;
}

function compare(one, other) { // numbers by size, before words
  const [a, b] = [value(one), value(other)];
  return a !== null && b !== null ? a - b : a !== null ? -1 : b !== null ? 1 : one.localeCompare(other);
}

for (const heading of document.querySelectorAll("thead th")) {
  const button = document.createElement("button");
  button.textContent = heading.textContent;
  button.title = "Sort by this column";
  heading.replaceChildren(button);
  button.addEventListener("click", () => {
    const [body, column] = [heading.closest("table").tBodies[0], heading.cellIndex];
    const way = heading.ariaSort === "ascending" ? -1 : 1;
    for (const other of heading.parentElement.cells) other.removeAttribute("aria-sort");
    heading.setAttribute("aria-sort", way > 0 ? "ascending" : "descending");
    body.append(...[...body.rows].sort((a, b) => way * compare(a.cells[column].textContent, b.cells[column].textContent)));
  });
}
