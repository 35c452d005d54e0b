// The verbs of a stream's page, in place: each is a button that sends a form, here it is sent without leaving the page
// and the answer is the page's fresh parts. Also the dialog to insert a video from, and the playlist dragged by hand.
import { apply } from "./stream.js";

const token = () => document.querySelector("meta[name=csrf-token]").content;
const said = document.querySelector("[data-said]");

async function send(address, body) {
  const headers = { "HX-Request": "true", "X-CSRFToken": token() };
  const answer = await fetch(address, { method: "POST", headers, body });
  const login = document.querySelector("meta[name=login-path]")?.content;
  // Signed out meanwhile, or no longer ours to see: the page itself says it best.
  if (!answer.ok || new URL(answer.url).pathname === login) location.reload();
  else apply(await answer.text());
}

// One press at a time of one button; pressed again it waits for its answer.
async function press(button) {
  if (button.hasAttribute("data-pending")) return;
  button.setAttribute("data-pending", "");
  const { id, name, value, formAction } = button;
  const menu = button.closest("[popover]");
  const opener = menu && document.querySelector(`[popovertarget="${CSS.escape(menu.id)}"]`)?.id;
  menu?.hidePopover?.();
  if (dialog?.open) dialog.close();
  try {
    await send(formAction, new URLSearchParams(name ? { [name]: value } : {}));
    if (name === "way") announce(button.closest("[data-index]")?.id);
  } catch {
    // The connection is gone; the page shows that by itself.
  } finally {
    document.getElementById(id)?.removeAttribute("data-pending");
    button.removeAttribute("data-pending");
    if (document.activeElement === document.body) document.getElementById(opener ?? id)?.focus();
  }
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-verb]");
  if (!button) return;
  event.preventDefault();
  if (!button.disabled) press(button);
});

document.addEventListener("submit", (event) => {
  const form = event.target.closest("form[data-verb-form]");
  if (!form) return;
  event.preventDefault();
  send(form.action, new URLSearchParams(new FormData(form))).catch(() => {});
});

// ---------------------------------------------------------------------------------------------- the playlist by hand
function announce(id) {
  const row = id && document.getElementById(id);
  const list = document.querySelector("[data-steer-list]");
  if (!row || !list || !said) return;
  const values = { title: row.dataset.title, place: Number(row.dataset.index) + 1 };
  said.textContent = list.dataset.saidMoved.replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);
}

function dropped({ item, oldIndex, newIndex }) {
  if (oldIndex === newIndex) return;
  const to = Number(item.dataset.index) + newIndex - oldIndex;
  send(item.dataset.move, new URLSearchParams({ to })).then(() => announce(item.id)).catch(() => {});
}

const list = document.querySelector("[data-steer-list]");
if (list && window.Sortable) {
  window.Sortable.create(list, { handle: ".handle", animation: 120, ghostClass: "is-ghost", onEnd: dropped });
}

// ---------------------------------------------------------------------------------------------- insert next
const dialog = document.getElementById("insert");
const search = dialog?.querySelector("[data-insert-search]");
let address = "";
let asked = 0;

async function choices() {
  const number = ++asked;
  const answer = await fetch(`${address}?${new URLSearchParams({ q: search.value })}`, { headers: { "HX-Request": "true" } });
  if (!answer.ok || answer.redirected) location.reload();
  const html = await answer.text();
  if (number === asked) dialog.querySelector("[data-insert-list]").innerHTML = html;
}

document.addEventListener("click", (event) => {
  const link = event.target.closest("a[data-insert]");
  if (!link || !dialog?.showModal || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  address = link.href;
  search.value = "";
  dialog.showModal();
  search.focus();
  choices().catch(() => {});
});

let typing;
search?.addEventListener("input", () => {
  clearTimeout(typing);
  typing = setTimeout(() => choices().catch(() => {}), 200);
});
dialog?.addEventListener("click", (event) => {
  if (event.target === dialog || event.target.closest("[data-insert-close]")) dialog.close();
});
