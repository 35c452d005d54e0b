// Bitrate and lag of each destination, drawn from what the server keeps, again every ten seconds. The table beside the
// drawing says the same in words; it is kept up to date as well.
const card = document.querySelector("[data-charts]");
const EVERY_MS = 10_000;
const COLOURS = 6;
const HEIGHT = 132;
const SHORTEST_S = 600; // of time, however little there is to show

const kinds = [
  { name: "kbps", words: card?.dataset.wordsRate, shown: (value) => (value / 1000).toFixed(1) },
  { name: "lag_ms", words: card?.dataset.wordsLag, shown: (value) => String(Math.round(value)) },
];
const drawn = new Map();
let lines = [];

const token = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const colour = (index) => token(`--ez-chart-${(index % COLOURS) + 1}`);
const fill = (template, n) => template.replace("{n}", n);

function clockOf(seconds) {
  const options = { hour: "2-digit", minute: "2-digit", hourCycle: "h23", timeZone: card.dataset.zone };
  return new Intl.DateTimeFormat("en-GB", options).format(new Date(seconds * 1000));
}

function axes(kind) {
  const common = { stroke: token("--ez-muted"), font: "12px system-ui", ticks: { show: false } };
  const grid = { stroke: token("--ez-line"), width: 1 };
  return [
    { ...common, grid: { show: false }, size: 24, gap: 4, values: (_chart, splits) => splits.map(clockOf) },
    { ...common, grid, space: 24, size: 48, gap: 6, values: (_chart, splits) => splits.map((n) => kind.shown(n)) },
  ];
}

function options(kind, width) {
  const series = lines.map((line, index) => ({
    label: line.name,
    stroke: colour(index),
    width: 2,
    dash: index >= COLOURS ? [6, 4] : undefined,
    points: { show: (chart) => chart.data[0].length < 3, size: 5 },
  }));
  return {
    width,
    height: HEIGHT,
    legend: { show: false },
    cursor: { y: false, drag: { x: false, y: false }, sync: { key: "charts" }, points: { size: 7 } },
    scales: { x: { time: true, range: (_chart, least, most) => [Math.min(least, most - SHORTEST_S), most] }, y: { range: (_chart, _least, most) => [0, Math.max(most * 1.15, kind.name === "kbps" ? 500 : 100)] } },
    axes: axes(kind),
    series: [{}, ...series],
    hooks: { setCursor: [(chart) => legend(chart.cursor.idx)] },
  };
}

// What the lines are, with the values under the pointer, else the newest.
function legend(index) {
  const moments = drawn.get("kbps")?.data[0] ?? [];
  const at = index ?? moments.length - 1;
  card.querySelector("[data-legend]").replaceChildren(...lines.map((line, number) => {
    const item = document.createElement("li");
    const mark = document.createElement("span");
    mark.className = `swatch swatch-${(number % COLOURS) + 1}`;
    const values = kinds.filter((kind) => line[kind.name][at] != null).map((kind) => fill(kind.words, kind.shown(line[kind.name][at])));
    const said = document.createElement("span");
    said.className = "muted num";
    said.textContent = values.join(" · ");
    item.append(mark, line.name, " ", said);
    return item;
  }));
}

function draw(moments, fresh) {
  const same = lines.map((line) => line.output_id).join() === fresh.map((line) => line.output_id).join();
  lines = fresh;
  card.dataset.empty = String(moments.length === 0);
  if (!moments.length) return;
  for (const kind of kinds) {
    const box = card.querySelector(`[data-chart=${kind.name}]`);
    const data = [moments, ...lines.map((line) => line[kind.name])];
    if (same && drawn.has(kind.name)) {
      drawn.get(kind.name).setData(data);
    } else {
      drawn.get(kind.name)?.destroy();
      drawn.set(kind.name, new window.uPlot(options(kind, box.clientWidth), data, box));
    }
  }
  legend(drawn.get("kbps").cursor.idx);
}

function table() {
  card.querySelector("[data-charts-rows]").replaceChildren(...lines.map((line) => {
    const row = document.createElement("tr");
    const name = document.createElement("th");
    name.scope = "row";
    name.textContent = line.name;
    row.append(name, ...line.words.map((words) => {
      const cell = document.createElement("td");
      cell.className = "num";
      cell.textContent = words;
      return cell;
    }));
    return row;
  }));
}

let newest = null;

async function ask() {
  if (document.hidden) return;
  const answer = await fetch(card.dataset.url, { headers: { Accept: "application/json" } });
  if (!answer.ok || answer.redirected) return;
  newest = await answer.json();
  draw(newest.moments, newest.lines);
  table();
}

function again() {
  for (const chart of drawn.values()) chart.destroy();
  drawn.clear();
  if (newest) draw(newest.moments, newest.lines);
}

if (card && window.uPlot) {
  const soon = () => ask().catch(() => {});
  soon();
  if (!card.dataset.url.includes("?")) setInterval(soon, EVERY_MS);
  document.addEventListener("visibilitychange", soon);
  new MutationObserver(again).observe(document.documentElement, { attributeFilter: ["data-bs-theme"] });
  new ResizeObserver(() => {
    for (const [name, chart] of drawn) {
      const width = card.querySelector(`[data-chart=${name}]`).clientWidth;
      if (width && width !== chart.width) chart.setSize({ width, height: HEIGHT });
    }
  }).observe(card);
}
