// Keeps the page of a provisioning live: fragments come by socket, by poll while the socket is gone, and are morphed in.
import { morph } from "./morph.js";

const live = document.querySelector("[data-live]");
const said = document.querySelector("[data-said]");
const POLL_MS = 3000;
const SETTLE_MS = 1500;
const AT_END_PX = 24;

const isAtEnd = (box) => box.scrollHeight - box.scrollTop - box.clientHeight < AT_END_PX;

// Who reads at the end stays at the end; who scrolled back stays there.
function follow(element, change) {
  const read = [...element.querySelectorAll("[data-follow]")].filter((box) => !isAtEnd(box));
  change();
  for (const box of element.querySelectorAll("[data-follow]")) if (!read.includes(box)) box.scrollTop = box.scrollHeight;
}

function update(target, next) {
  const before = target.className;
  follow(target, () => morph(target, next, (element, name) => { if (name === "data-tick") started.delete(element); }));
  // «open» is a person's; the end of a step is the one thing that changes it from here.
  const details = target.querySelector("details");
  if (details && before !== target.className) details.open = /step-(running|failed)/.test(target.className);
}

function apply(html) {
  const template = document.createElement("template");
  template.innerHTML = html;
  const steps = document.getElementById("provision-steps");
  for (const next of [...template.content.children]) {
    const target = document.getElementById(next.id);
    if (target) update(target, next);
    else if (next.matches("li")) steps.append(next);
  }
  announce();
}

let headline = document.querySelector("[data-headline]")?.textContent;
function announce() {
  const now = document.querySelector("[data-headline]")?.textContent;
  if (now && now !== headline) said.textContent = now;
  headline = now;
}

// ---------------------------------------------------------------------------------------------- clocks
const started = new WeakMap();

function clocks() {
  const now = performance.now();
  for (const element of document.querySelectorAll("[data-tick]")) {
    if (!started.has(element)) started.set(element, now);
    const seconds = Math.floor(Number(element.dataset.tick) + (now - started.get(element)) / 1000);
    element.textContent = `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
  }
}
setInterval(clocks, 1000);

// ---------------------------------------------------------------------------------------------- socket or poll
let connected = false;
let poll = null;

async function ask() {
  if (document.hidden) return;
  const answer = await fetch(live.dataset.poll, { redirect: "error" }).catch(() => null);
  if (answer?.ok) apply(await answer.text());
}

function polling(on) {
  clearInterval(poll);
  poll = on ? setInterval(ask, POLL_MS) : null;
}

if (live) {
  document.addEventListener("htmx:wsBeforeMessage", (event) => {
    event.preventDefault();
    apply(event.detail.message);
  });
  live.addEventListener("htmx:wsOpen", () => { connected = true; polling(false); });
  live.addEventListener("htmx:wsClose", () => { connected = false; if (!poll) polling(true); });
  setTimeout(() => { if (!connected && !poll) polling(true); }, SETTLE_MS);
  for (const box of document.querySelectorAll("[data-follow]")) box.scrollTop = box.scrollHeight;
}
