// Keeps a page of streams live: fragments come by socket, by poll while the socket is gone, and are morphed in. Clocks run
// on between updates.
import { morph } from "./morph.js";

const live = document.querySelector("[data-live]");
const said = document.querySelector("[data-said]");
const POLL_MS = 3000;
const SETTLE_MS = 1000;
const GOOD_NEWS_MS = 8000;
const BAD_NEWS_MS = 30000;

// ---------------------------------------------------------------------------------------------- what changed
function update(target, next) {
  if (target.querySelector(".is-ghost")) return; // somebody drags in it; the answer to the drop brings it up to date
  next.removeAttribute("hx-swap-oob");
  morph(target, next, (element, attribute) => {
    if (attribute === "data-tick" || attribute === "data-countdown") started.delete(element);
  });
  window.htmx.process(target);
  clocks();
  bulk();
  if (target.id === "stream-list" && !target.children.length) location.reload();
  announce();
}

// By poll, or as the answer to a button.
document.addEventListener("htmx:oobBeforeSwap", (event) => {
  const { target, fragment } = event.detail;
  if (!target.id?.startsWith("stream-")) return;
  event.detail.shouldSwap = false;
  const next = fragment.id === target.id ? fragment : fragment.querySelector(`#${CSS.escape(target.id)}`);
  if (next) update(target, next);
});

// By socket. It speaks of every stream of the list; those on other pages of it are nobody's concern here.
document.addEventListener("htmx:wsBeforeMessage", (event) => {
  event.preventDefault();
  apply(event.detail.message);
});

// Also the answer to a verb of the page's own script.
export function apply(html) {
  const template = document.createElement("template");
  template.innerHTML = html;
  if (template.content.querySelector("[data-list-changed]")) followList();
  for (const next of [...template.content.children]) {
    const target = next.id && document.getElementById(next.id);
    if (target) update(target, next);
    else if (next.matches(".notes")) notes(next);
  }
}

// They stand in the corner, seen wherever on the page the button was, and go by themselves or when clicked.
let fading;
function notes(next) {
  const region = document.querySelector(".notes");
  if (!region) return;
  region.replaceChildren(...next.childNodes);
  region.hidden = next.hidden;
  region.classList.add("is-answer");
  region.onclick = () => { region.hidden = true; };
  clearTimeout(fading);
  const isGood = !region.querySelector(".note:not(.tone-live)");
  fading = setTimeout(() => { region.hidden = true; }, isGood ? GOOD_NEWS_MS : BAD_NEWS_MS);
}

// Start becomes Stop under the pointer: the second click of a double click must not undo the first.
document.addEventListener("click", (event) => {
  if (event.detail < 2 || !event.target.closest("button[hx-post]")) return;
  event.preventDefault();
  event.stopImmediatePropagation();
}, true);

let announced = document.querySelector("[data-headline]")?.textContent;
function announce() {
  const headline = document.querySelector("[data-headline]")?.textContent;
  if (said && headline && announced !== headline) said.textContent = headline;
  announced = headline;
}

// ---------------------------------------------------------------------------------------------- clocks
const started = new WeakMap();

function clock(seconds) {
  const whole = Math.floor(seconds);
  const [h, m, s] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const two = (n) => String(n).padStart(2, "0");
  return h ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`;
}

function clocks() {
  const now = performance.now();
  for (const element of document.querySelectorAll("[data-tick]")) {
    if (!started.has(element)) started.set(element, now);
    const seconds = Number(element.dataset.tick) + (now - started.get(element)) / 1000;
    const shown = Math.min(seconds, Number(element.dataset.tickMax ?? Infinity));
    element.textContent = clock(shown);
    const meter = element.closest(".card-body")?.querySelector("[data-tick-meter]");
    if (meter) meter.value = shown;
  }
  for (const element of document.querySelectorAll("[data-countdown]")) {
    if (!started.has(element)) started.set(element, now);
    const left = Number(element.dataset.countdown) - (now - started.get(element)) / 1000;
    element.textContent = String(Math.max(0, Math.ceil(left)));
  }
}
setInterval(clocks, 1000);
clocks();

// ---------------------------------------------------------------------------------------------- socket or poll
let connected = false;
let poll = null;

let listChanged = false;

function ask() {
  const address = live.dataset.poll;
  if (address && !document.hidden) window.htmx.ajax("GET", address, { source: live, swap: "none", target: live });
}

// Streams came or went; in the background it waits until somebody looks. Where no list is yet, it is another page.
function followList() {
  listChanged = document.hidden;
  if (listChanged) return;
  if (document.getElementById("stream-list")) ask();
  else location.reload();
}

function polling(on) {
  clearInterval(poll);
  poll = on ? setInterval(ask, POLL_MS) : null;
}

if (live) {
  live.addEventListener("htmx:wsOpen", () => {
    // What happened while nobody listened: the page asks once.
    if (poll) ask();
    connected = true;
    polling(false);
  });
  live.addEventListener("htmx:wsClose", () => {
    connected = false;
    if (!poll) polling(true);
  });
  setTimeout(() => { if (!connected && !poll) polling(true); }, SETTLE_MS);
  document.addEventListener("visibilitychange", () => { 
    if (listChanged) followList();
    else if (!connected) ask();
  });
}

// ---------------------------------------------------------------------------------------------- ticking rows
const ticks = () => [...document.querySelectorAll("input[name=stream]")];
const all = document.querySelector("[data-tick-all]");

function bulk() {
  const number = ticks().filter((box) => box.checked).length;
  for (const button of document.querySelectorAll("[data-bulk]")) button.disabled = number === 0;
  if (all) {
    all.checked = number > 0 && number === ticks().length;
    all.indeterminate = number > 0 && number < ticks().length;
  }
}

document.addEventListener("change", (event) => {
  if (event.target === all) for (const box of ticks()) box.checked = all.checked;
  if (event.target === all || event.target.name === "stream") bulk();
});
bulk();
