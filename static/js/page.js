// What every page does: the CSRF header for htmx, the connection sign, confirmation, passwords shown on wish.
const root = document.documentElement;

document.addEventListener("htmx:configRequest", (event) => {
  const token = document.querySelector("meta[name=csrf-token]");
  if (token) event.detail.headers["X-CSRFToken"] = token.content;
});

// Signed out meanwhile: the answer is the sign-in page, which belongs into the window, not into a fragment.
document.addEventListener("htmx:beforeSwap", (event) => {
  const login = document.querySelector("meta[name=login-path]");
  const answered = event.detail.xhr.responseURL;
  if (!login || !answered || new URL(answered).pathname !== login.content) return;
  event.detail.shouldSwap = false;
  location.reload();
});

// «Reconnecting» is shown after two seconds only: a socket that comes back at once is nobody's concern.
let lost;
const connected = () => { clearTimeout(lost); lost = undefined; delete root.dataset.connection; };
const disconnected = () => { lost ??= setTimeout(() => { root.dataset.connection = "lost"; }, 2000); };
document.addEventListener("htmx:wsOpen", connected);
document.addEventListener("htmx:wsClose", disconnected);
document.addEventListener("htmx:wsError", disconnected);
addEventListener("offline", disconnected);
addEventListener("online", () => { if (!document.querySelector("[ws-connect]")) connected(); });
addEventListener("pagehide", () => clearTimeout(lost));

// A link with data-confirm leads to a page that asks; here the question is asked in place.
const dialog = document.getElementById("confirm");
document.addEventListener("click", (event) => {
  const link = event.target.closest("a[data-confirm]");
  if (!link || !dialog?.showModal || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  dialog.querySelector("form").action = link.href;
  dialog.querySelector("h2").textContent = link.dataset.confirm;
  dialog.querySelector("p").textContent = link.dataset.confirmText || "";
  const button = dialog.querySelector("[data-confirm-yes]");
  button.textContent = link.dataset.confirmAction || link.textContent.trim();
  button.className = `btn btn-${link.dataset.confirmTone || "danger"}`;
  dialog.showModal();
});
dialog?.addEventListener("click", (event) => {
  if (event.target === dialog || event.target.closest("[data-confirm-no]")) dialog.close();
});

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-show-password]");
  if (!button) return;
  const input = document.getElementById(button.getAttribute("aria-controls"));
  const shown = input.type === "password";
  input.type = shown ? "text" : "password";
  button.setAttribute("aria-pressed", String(shown));
});

// A form sent twice by a double click is sent once.
document.addEventListener("submit", (event) => {
  if (event.defaultPrevented || event.target.hasAttribute("data-again")) return;
  const form = event.target;
  if (form.dataset.sent) { event.preventDefault(); return; }
  form.dataset.sent = "1";
  setTimeout(() => { delete form.dataset.sent; }, 4000);
});
addEventListener("pageshow", () => document.querySelectorAll("form[data-sent]").forEach((form) => delete form.dataset.sent));

// A form that came back is taken up where something is wrong.
document.querySelector("[aria-invalid=true]")?.focus();

// The browser's time zone, for accounts that have not chosen one.
const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
document.querySelectorAll("input[data-time-zone]").forEach((input) => { input.value ||= zone || ""; });
const secure = location.protocol === "https:" ? "; Secure" : "";
if (zone) document.cookie = `time_zone=${encodeURIComponent(zone)}; Path=/; Max-Age=31536000; SameSite=Lax${secure}`;
