// The playlist of the stream editor: drag, move by button, add and take out, all in place. Without this script the
// same buttons send the form and the server does the same.

const editor = document.querySelector("[data-editor]");
const list = editor.querySelector("[data-playlist]");
const said = editor.querySelector("[data-said]");
const total = editor.querySelector("[data-total]");
const empty = editor.querySelector("[data-playlist-empty]");
const row = document.getElementById("playlist-row");

const items = () => [...list.querySelectorAll("[data-item]")];

function fill(template, values) {
  return template.replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);
}

function clock(seconds) {
  const whole = Math.floor(seconds);
  const [h, m, s] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const two = (n) => String(n).padStart(2, "0");
  return h ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`;
}

function renumber() {
  const all = items();
  all.forEach((item, index) => {
    item.querySelector("[data-place]").textContent = index + 1;
    item.querySelector("[data-move=up]").disabled = index === 0;
    item.querySelector("[data-move=down]").disabled = index === all.length - 1;
    for (const button of item.querySelectorAll("[data-move]")) {
      button.value = `${button.dataset.move}:${index}`;
    }
  });
  const seconds = all.reduce((sum, item) => sum + Number(item.dataset.duration), 0);
  total.textContent = fill(total.dataset.template, { count: all.length, total: clock(seconds) });
  empty.hidden = all.length > 0;
}

function say(what, item) {
  const place = items().indexOf(item) + 1;
  said.textContent = fill(list.dataset[what], { title: item.dataset.title, place, count: items().length });
}

function add(source) {
  const item = row.content.firstElementChild.cloneNode(true);
  const title = source.dataset.title;
  Object.assign(item.dataset, { title, duration: source.dataset.duration });
  item.querySelector("input[name=playlist]").value = source.dataset.file;
  item.querySelector(".thumb").replaceWith(source.querySelector(".thumb").cloneNode(true));
  item.querySelector("[data-meta]").replaceChildren(...source.querySelector(".row-meta").cloneNode(true).childNodes);
  const name = item.querySelector("[data-name]");
  name.textContent = name.title = title;
  for (const button of item.querySelectorAll("[data-move]")) {
    button.setAttribute("aria-label", button.getAttribute("aria-label").replace(/«.*»/, () => `«${title}»`));
  }
  list.append(item);
  renumber();
  say("saidAdded", item);
}

function move(item, way) {
  const neighbour = way === "up" ? item.previousElementSibling : item.nextElementSibling;
  if (!neighbour) return;
  neighbour[way === "up" ? "before" : "after"](item);
  renumber();
  say("saidMoved", item);
  const button = item.querySelector(`[data-move=${way}]`);
  (button.disabled ? item.querySelector("[data-move]:not(:disabled)") : button).focus();
}

function remove(item) {
  const next = item.nextElementSibling ?? item.previousElementSibling;
  item.remove();
  renumber();
  say("saidRemoved", item);
  (next?.querySelector("[data-move=remove]") ?? document.getElementById("picker-search")).focus();
}

editor.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-add], button[data-move]");
  if (!button) return;
  event.preventDefault();
  if ("add" in button.dataset) return add(button.closest("[data-file]"));
  const item = button.closest("[data-item]");
  return button.dataset.move === "remove" ? remove(item) : move(item, button.dataset.move);
});

// Said before anything is sent: the server would not even read a body that large.
const picture = editor.querySelector("input[type=file][data-most]");
const tooLarge = editor.querySelector("[data-too-large]");
const isTooLarge = () => (picture?.files[0]?.size ?? 0) > Number(picture?.dataset.most);
picture?.addEventListener("change", () => { tooLarge.hidden = !isTooLarge(); });
editor.addEventListener("submit", (event) => {
  if (!isTooLarge()) return;
  event.preventDefault();
  event.stopPropagation();
  picture.focus();
});

// Enter in the search box searches (htmx does it while typing); it must not save the form.
editor.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && event.target.matches("[data-no-enter]")) event.preventDefault();
});

if (window.Sortable) {
  window.Sortable.create(list, {
    handle: ".handle",
    animation: 120,
    ghostClass: "is-ghost",
    onEnd: ({ item }) => {
      renumber();
      say("saidMoved", item);
    },
  });
}
renumber();
