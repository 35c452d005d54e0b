// The curves of one VPS: drawn from the minutes the server keeps, again every half minute. The table beside them says
// the same in words.
const card = document.querySelector("[data-machine]");
const EVERY_MS = 30_000;
const HEIGHT = 150;

const plots = [
  { name: "percent", lines: ["cpu", "memory", "disk"], most: 100 },
  { name: "mbit", lines: ["mbit", "limit"], least: 10 },
  { name: "streams", lines: ["streams"], least: 4, whole: true },
];
const drawn = new Map();
let hours = 1;
let newest = null;

const token = (name) => getComputedStyle(card).getPropertyValue(name).trim();
const keyOf = (plot, index) => (plot.lines[index] === "limit" ? "limit" : String(index + 1));

function clockOf(seconds) {
  const options = { hour: "2-digit", minute: "2-digit", hourCycle: "h23", timeZone: card.dataset.zone };
  return new Intl.DateTimeFormat("en-GB", options).format(new Date(seconds * 1000));
}

function options(plot, width) {
  const common = { stroke: token("--body-quiet-color"), font: "12px system-ui", ticks: { show: false } };
  const grid = { stroke: token("--curve-grid"), width: 1 };
  const series = plot.lines.map((line, index) => ({
    label: line,
    stroke: token(`--curve-${keyOf(plot, index)}`),
    width: line === "limit" ? 1 : 1.75,
    dash: line === "limit" ? [5, 4] : undefined,
    paths: plot.whole ? window.uPlot.paths.stepped({ align: 1 }) : undefined,
    points: { show: false },
  }));
  const top = (most) => plot.most ?? Math.max(most * 1.15, plot.least);
  return {
    width,
    height: HEIGHT,
    legend: { show: false },
    cursor: { y: false, drag: { x: false, y: false }, sync: { key: "machine" } },
    scales: { x: { time: true }, y: { range: (_chart, _least, most) => [0, top(most ?? 0)] } },
    axes: [
      { ...common, grid: { show: false }, size: 24, gap: 4, values: (_chart, splits) => splits.map(clockOf) },
      { ...common, grid, space: 28, size: 44, gap: 6, incrs: plot.whole ? [1, 2, 5, 10, 25, 50, 100] : undefined },
    ],
    series: [{}, ...series],
    hooks: { setCursor: [(chart) => legend(plot, chart.cursor.idx)] },
  };
}

// What the lines are, with the value under the pointer, else the newest there is.
function legend(plot, index) {
  const box = card.querySelector(`[data-legend=${plot.name}]`);
  const names = box.dataset.names.split("|");
  const keys = plot.lines.flatMap((line, number) => {
    const values = newest[line] ?? [];
    const value = index == null ? values.findLast((each) => each != null) : values[index];
    if (line === "limit" && value == null) return [];
    const key = document.createElement("span");
    key.className = `key key-${keyOf(plot, number)}`;
    key.textContent = `${names[number]} ${value == null ? "–" : Math.round(value * 10) / 10}`;
    return [key];
  });
  box.replaceChildren(...keys);
}

function draw() {
  newest.limit = newest.moments.map(() => newest.limit_mbit);
  const isEmpty = !newest.cpu.some((value) => value != null);
  card.querySelector("[data-machine-empty]").hidden = !isEmpty;
  card.querySelector(".machine").hidden = isEmpty;
  if (isEmpty) return;
  for (const plot of plots) {
    const box = card.querySelector(`[data-plot=${plot.name}]`);
    const data = [newest.moments, ...plot.lines.map((line) => newest[line])];
    if (drawn.has(plot.name)) drawn.get(plot.name).setData(data);
    else drawn.set(plot.name, new window.uPlot(options(plot, box.clientWidth), data, box));
    legend(plot, drawn.get(plot.name).cursor.idx);
  }
}

function again() {
  for (const chart of drawn.values()) chart.destroy();
  drawn.clear();
  if (newest) draw();
}

async function ask() {
  if (document.hidden) return;
  const answer = await fetch(`${card.dataset.url}?hours=${hours}`, { headers: { Accept: "application/json" } });
  if (!answer.ok || answer.redirected) return;
  newest = await answer.json();
  draw();
}

const soon = () => ask().catch(() => {}); // the page's own sign says when nothing answers

if (card && window.uPlot) {
  soon();
  setInterval(soon, EVERY_MS);
  document.addEventListener("visibilitychange", soon);
  for (const button of card.querySelectorAll("[data-hours]")) {
    button.addEventListener("click", () => {
      hours = Number(button.dataset.hours);
      for (const each of card.querySelectorAll("[data-hours]")) each.setAttribute("aria-pressed", String(each === button));
      soon();
    });
  }
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", again);
  new MutationObserver(again).observe(document.documentElement, { attributeFilter: ["data-theme"] });
  new ResizeObserver(() => {
    for (const [name, chart] of drawn) {
      const width = card.querySelector(`[data-plot=${name}]`).clientWidth;
      if (width && width !== chart.width) chart.setSize({ width, height: HEIGHT });
    }
  }).observe(card);
}
