(function () {
  "use strict";
  var figures = JSON.parse(document.getElementById("payload").textContent);
  Object.keys(figures).forEach(function (key) {
    var figure = figures[key];
    Plotly.newPlot("plot-" + key, figure.data, figure.layout, { responsive: true, displayModeBar: false });
  });
  document.querySelectorAll("button[data-log]").forEach(function (button) {
    button.addEventListener("click", function () {
      var logarithmic = button.getAttribute("aria-pressed") !== "true";
      button.setAttribute("aria-pressed", String(logarithmic));
      Plotly.relayout("plot-" + button.dataset.log, { "yaxis.type": logarithmic ? "log" : "linear", "yaxis.autorange": true });
    });
  });
  function content(cell) {
    var given = cell.dataset.value, text = (given === undefined ? cell.textContent : given).trim();
    var isNumber = /^[-+]?[\d.,]+(e[-+]?\d+)?\s*%?$/i.test(text);
    return { text: text === "–" ? "" : text, number: isNumber ? parseFloat(text.replace(/[,\s%]/g, "")) : NaN };
  }
  function compare(a, b, sign) {
    if (!a.text || !b.text) { return a.text ? -1 : b.text ? 1 : 0; }
    return sign * (isNaN(a.number) || isNaN(b.number) ? a.text.localeCompare(b.text) : a.number - b.number);
  }
  document.querySelectorAll("table.sorted thead th").forEach(function (head) {
    head.classList.add("sortable");
    head.tabIndex = 0;
    function sort() {
      var table = head.closest("table"), body = table.tBodies[0], place = head.cellIndex;
      var descending = head.getAttribute("aria-sort") === "ascending";
      table.querySelectorAll("th").forEach(function (other) { other.removeAttribute("aria-sort"); });
      head.setAttribute("aria-sort", descending ? "descending" : "ascending");
      Array.from(body.rows).map(function (row) {
        return { row: row, key: content(row.cells[place]) };
      }).sort(function (a, b) {
        return compare(a.key, b.key, descending ? -1 : 1);
      }).forEach(function (item) { body.appendChild(item.row); });
    }
    head.addEventListener("click", sort);
    head.addEventListener("keydown", function (event) { if (event.key === "Enter" || event.key === " ") { event.preventDefault(); sort(); } });
  });
  document.querySelectorAll(".scroll").forEach(function (part) {
    var cue = document.createElement("p");
    cue.className = "cue";
    cue.textContent = "scroll sideways for more →";
    part.before(cue);
    function update() {
      cue.hidden = part.scrollWidth <= part.clientWidth + 1;
      part.classList.toggle("cut", !cue.hidden && part.scrollLeft + part.clientWidth < part.scrollWidth - 1);
      if (cue.hidden) { part.removeAttribute("tabindex"); } else { part.tabIndex = 0; }
    }
    part.addEventListener("scroll", update);
    new ResizeObserver(update).observe(part);
    update();
  });
  window.addEventListener("beforeprint", function () {
    document.querySelectorAll("details").forEach(function (part) { part.open = true; });
    document.querySelectorAll(".plot").forEach(function (plot) { Plotly.Plots.resize(plot); });
  });
})();
