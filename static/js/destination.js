// A destination's fields: choosing a platform fills its server in and shows where its key is found.

for (const form of document.querySelectorAll("[data-destination-form]")) {
  const platform = form.querySelector("select");
  const url = form.querySelector("input[name$=url]");
  const name = form.querySelector("input[name$=name]");
  const helps = [...form.querySelectorAll("[data-platform-help]")];
  const known = (key) => new Set(helps.map((help) => help.dataset[key]));
  const servers = new Set([...form.querySelectorAll("#ingest-urls option")].map((option) => option.value));

  const show = () => {
    for (const help of helps) help.hidden = help.dataset.platformHelp !== platform.value;
  };
  platform.addEventListener("change", () => {
    const chosen = helps.find((help) => help.dataset.platformHelp === platform.value);
    // What a person typed is theirs; what we filled in is replaced.
    if (!url.value || servers.has(url.value)) url.value = chosen.dataset.url;
    if (known("name").has(name.value)) name.value = chosen.dataset.name;
    show();
  });
  url.setAttribute("list", "ingest-urls");
  show();
}
