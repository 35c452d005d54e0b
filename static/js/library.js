// The list of videos: deleting happens in place, so that uploads in this window go on.
const dialog = document.getElementById("confirm");
const here = () => location.pathname + location.search;

// «Delete chosen» asks first, in the dialog that single videos use.
document.addEventListener("submit", (event) => {
  const button = event.submitter;
  if (!button?.dataset.ask) return;
  event.preventDefault();
  const chosen = document.querySelectorAll("input[name=file][form=bulk]:checked").length;
  dialog.querySelector("form").action = event.target.action;
  dialog.querySelector("h2").textContent = chosen ? button.dataset.ask : button.dataset.askNone;
  dialog.querySelector("p").textContent = chosen ? button.dataset.askText : "";
  const yes = dialog.querySelector("[data-confirm-yes]");
  yes.hidden = !chosen;
  yes.className = "btn btn-danger";
  yes.textContent = button.textContent.trim();
  dialog.showModal();
}, true);
dialog.addEventListener("close", () => { dialog.querySelector("[data-confirm-yes]").hidden = false; });

dialog.querySelector("form").addEventListener("submit", (event) => {
  event.preventDefault();
  event.stopPropagation();
  const action = event.target.getAttribute("action");
  const values = { next: here(), confirmed: "1", csrfmiddlewaretoken: event.target.elements.csrfmiddlewaretoken.value };
  const bulk = document.getElementById("bulk");
  if (bulk && new URL(action, location).pathname === new URL(bulk.action).pathname) values.file = new FormData(bulk).getAll("file");
  dialog.close();
  htmx.ajax("POST", action, { source: "#files", target: "#files", swap: "outerHTML", values });
});

// A row whose file is gone (deleted elsewhere) stops asking: the list is shown anew.
document.addEventListener("htmx:responseError", (event) => {
  if (event.detail.xhr.status === 404 && event.detail.target?.matches(".file-row")) htmx.trigger(document.body, "library:changed");
});
