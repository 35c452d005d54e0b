// A destination's fields: choosing a platform fills its server in and shows where its key is found.

for (const form of document.querySelectorAll("[data-destination-form]")) {
  const platform = form.querySelector("select");
  const url = form.querySelector("input[name$=url]");
  const name = form.querySelector("input[name$=name]");
  const helps = [...form.querySelectorAll("[data-platform-help]")];
  const known = (key) => new Set(helps.map((help) => help.dataset[key]));
  const ingests = [...form.querySelectorAll("[data-ingest]")];
  const servers = new Set(ingests.map((each) => each.dataset.ingest));

  const show = () => {
    for (const help of helps) help.hidden = help.dataset.platformHelp !== platform.value;
    mark();
  };
  // The server that is in the field now needs no button to take it.
  const mark = () => {
    for (const each of ingests) each.toggleAttribute("disabled", each.dataset.ingest === url.value);
  };
  form.addEventListener("click", (event) => {
    const button = event.target.closest("button[data-ingest]");
    if (!button) return;
    url.value = button.dataset.ingest;
    mark();
    url.focus();
  });
  url.addEventListener("input", mark);
  platform.addEventListener("change", () => {
    const chosen = helps.find((help) => help.dataset.platformHelp === platform.value);
    // What a person typed is theirs; what we filled in is replaced.
    if (!url.value || servers.has(url.value)) url.value = chosen.dataset.url;
    if (known("name").has(name.value)) name.value = chosen.dataset.name;
    show();
  });
  show();
}
