// Keeps an operators' page up to date: asks for its live part every few seconds and changes only what differs. What a
// person has open, focused or selected stays. While nobody looks, nothing is asked.
import { morph } from "./morph.js";

document.documentElement.dataset.js = "";
const live = document.querySelector("[data-live]");
let asking = false;

const parsed = (html) => new DOMParser().parseFromString(html, "text/html");

async function fetched(url) {
  const answer = await fetch(url, { headers: { "X-Live": "1" } });
  if (answer.redirected) location.reload(); // signed out meanwhile
  if (!answer.ok) throw new Error(String(answer.status));
  return parsed(await answer.text());
}

function stale(is) {
  for (const sign of document.querySelectorAll("[data-stale]")) sign.hidden = !is;
}

async function refresh() {
  if (document.hidden || asking) return;
  asking = true;
  try {
    const next = (await fetched(location.href)).getElementById(live.id);
    if (!next) throw new Error("another page");
    morph(live, next);
    stale(false);
  } catch {
    stale(true);
  } finally {
    asking = false;
  }
}

if (live) {
  setInterval(refresh, Number(live.dataset.live) * 1000);
  document.addEventListener("visibilitychange", refresh);
}

// What costs a round trip to a server is asked for when it is opened, each time.
document.addEventListener("toggle", async (event) => {
  const box = event.target.open && event.target.querySelector("[data-load]");
  if (!box) return;
  box.setAttribute("aria-busy", "true");
  try {
    box.replaceChildren(...(await fetched(box.dataset.load)).body.childNodes);
  } catch {
    box.textContent = box.dataset.failed;
  } finally {
    box.removeAttribute("aria-busy");
  }
}, true);
