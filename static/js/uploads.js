// Uploads by tus: several at once, with pause, resume, and going on after anything that broke them off.
// The server knows the open uploads, so the same file picked again goes on from any window or browser.
const panel = document.getElementById("uploader");
const words = JSON.parse(document.getElementById("upload-words").textContent);
const token = document.querySelector("meta[name=csrf-token]").content;
const AT_ONCE = 2;
const RETRIES = [0, 1, 2, 4, 8, 15, 30, 30, 60, 60, 60, 60, 60, 60, 60].map((seconds) => seconds * 1000);

const say = (text, values = {}) => text.replace(/{(\w+)}/g, (_, name) => values[name] ?? "");
const announce = (text) => { document.getElementById("upload-news").textContent = text; };
const listChanged = () => window.htmx?.trigger(document.body, "library:changed");
const keyOf = (file) => `${file.name}\n${file.size}\n${file.lastModified}`;

function size(bytes) {
  const units = ["B", "KiB", "MiB", "GiB"];
  const power = Math.min(units.length - 1, Math.floor(Math.log2(Math.max(1, bytes)) / 10));
  return `${(bytes / 1024 ** power).toLocaleString(undefined, { maximumFractionDigits: power ? 1 : 0 })} ${units[power]}`;
}

function span(seconds) {
  if (seconds < 60) return say(words.seconds, { n: Math.max(1, Math.round(seconds)) });
  const minutes = Math.round(seconds / 60);
  return minutes < 60 ? say(words.minutes, { n: minutes }) : say(words.hours, { n: Math.floor(minutes / 60), m: minutes % 60 });
}

// Bytes per second over the last ten seconds.
class Speed {
  marks = [];
  at(bytes, now = performance.now()) {
    this.marks.push([now, bytes]);
    while (this.marks.length > 2 && now - this.marks[0][0] > 10000) this.marks.shift();
    const [since, before] = this.marks[0];
    return now - since < 500 ? 0 : ((bytes - before) * 1000) / (now - since);
  }
  clear() { this.marks = []; }
}

class Transfer {
  state = "waiting";
  speed = new Speed();

  constructor(file) {
    this.file = file;
    this.element = document.getElementById("transfer").content.firstElementChild.cloneNode(true);
    this.part = (name) => this.element.querySelector(name);
    this.part(".transfer-name").textContent = file.name;
    this.part("progress").setAttribute("aria-label", file.name);
    this.label("pause", words.pause); this.label("resume", words.resume); this.label("cancel", words.cancel);
    this.element.addEventListener("click", (event) => this.press(event.target.closest("[data-do]")?.dataset.do));
    this.upload = new tus.Upload(file, {
      endpoint: panel.dataset.endpoint,
      chunkSize: Number(panel.dataset.chunk),
      retryDelays: RETRIES,
      storeFingerprintForResuming: false,
      metadata: { filename: file.name, filetype: file.type, lastmodified: String(file.lastModified) },
      onBeforeRequest: (request) => request.setHeader("X-CSRFToken", token),
      onUploadUrlAvailable: listChanged,
      onProgress: (sent, total) => this.progressed(sent, total),
      onSuccess: () => this.finished(),
      onError: (error) => this.failed(error),
    });
    this.note(words.waiting);
  }

  button(name) { return this.part(`[data-do=${name}]`); }
  label(name, text) {
    this.button(name).setAttribute("aria-label", say(text, { name: this.file.name }));
    this.button(name).title = say(text, { name: "" }).trim();
  }
  note(text) { this.part(".transfer-note").textContent = text; }
  press(name) { if (name) this[name](); }

  enter(state) {
    const focused = this.element.contains(document.activeElement);
    this.state = state;
    this.element.className = `transfer is-${state}`;
    this.button("pause").hidden = state !== "running" && state !== "waiting";
    this.button("resume").hidden = state !== "paused" && state !== "broken";
    if (focused && document.activeElement.hidden) this.part("[data-do]:not([hidden])").focus();
    next();
  }

  async start() {
    this.enter("running");
    this.speed.clear();
    this.note(words.starting);
    if (!this.upload.url) await this.findOpen();
    if (this.state === "running") this.upload.start();
  }

  async findOpen() {
    try {
      const answer = await fetch(panel.dataset.endpoint, { headers: { Accept: "application/json" } });
      const found = answer.ok ? (await answer.json()).uploads : [];
      const same = found.find((one) => keyOf({ name: one.name, size: one.size, lastModified: one.last_modified }) === keyOf(this.file));
      if (same) { this.upload.url = same.url; this.note(words.resuming); }
    } catch { /* the upload itself will say that the server cannot be reached */ }
  }

  progressed(sent, total) {
    const percent = Math.floor((sent * 100) / total);
    this.percent = percent;
    this.part("progress").value = percent;
    this.part(".transfer-percent").textContent = `${percent} %`;
    const rate = this.speed.at(sent);
    if (rate > 0 && this.state === "running") this.note(say(words.sending, { speed: size(rate), left: span((total - sent) / rate) }));
  }

  async pause() {
    this.enter("paused");
    this.note(say(words.paused, { percent: this.percent ?? 0 }));
    await this.upload.abort();
  }

  resume() { this.note(words.waiting); this.enter("waiting"); }

  async cancel() {
    const over = this.state === "done" || this.state === "failed";
    const before = this.state;
    this.state = "over";
    if (!over) {
      try { await this.upload.abort(true); } catch (error) { this.state = before; this.failed(error); return; }
      announce(`${this.file.name}: ${words.cancelled}`);
      listChanged();
    }
    this.remove();
  }

  remove() {
    const focused = this.element.contains(document.activeElement);
    transfers.delete(keyOf(this.file));
    this.element.remove();
    if (focused) document.getElementById("pick").focus();
    next();
  }

  finished() {
    this.progressed(this.file.size, this.file.size);
    this.enter("done");
    this.note(words.done);
    this.label("cancel", words.dismiss);
    announce(`${this.file.name}: ${words.done}`);
    listChanged();
    setTimeout(() => { if (!this.element.matches(":focus-within")) this.remove(); }, 6000);
  }

  failed(error) {
    const response = error.originalResponse;
    const status = response?.getStatus() ?? 0;
    if (status >= 400 && status < 500 && status !== 409 && status !== 423) this.refused(status, response.getBody());
    else this.broken(response?.getBody());
    listChanged();
  }

  refused(status, text) {
    this.enter("failed");
    this.label("cancel", words.dismiss);
    this.note(status === 401 ? `${words.signed_out} ` : text || say(words.failed, { why: status }));
    if (status === 401) {
      const link = Object.assign(document.createElement("a"), { href: panel.dataset.signIn, textContent: words.sign_in });
      this.part(".transfer-note").append(link);
    }
    announce(`${this.file.name}: ${this.part(".transfer-note").textContent}`);
  }

  broken(text) {
    this.enter("broken");
    this.note(navigator.onLine ? say(words.failed, { why: text && text.length < 200 ? text : words.no_answer }) : words.offline);
    announce(`${this.file.name}: ${this.part(".transfer-note").textContent}`);
  }
}

const transfers = new Map();
const inState = (...states) => [...transfers.values()].filter((one) => states.includes(one.state));

// Starting one changes its state at once and comes back here: each turn looks at the states anew.
function next() {
  const [first] = inState("waiting");
  if (first && inState("running").length < AT_ONCE) first.start();
}

function add(files) {
  for (const file of files) {
    if (transfers.has(keyOf(file))) { announce(say(words.twice, { name: file.name })); continue; }
    const transfer = new Transfer(file);
    transfers.set(keyOf(file), transfer);
    document.getElementById("transfers").append(transfer.element);
  }
  next();
}

const pick = document.getElementById("pick");
pick.addEventListener("change", () => { add([...pick.files]); pick.value = ""; });

// Videos may be dropped anywhere on the page.
const zone = panel.querySelector(".dropzone");
const carriesFiles = (event) => event.dataTransfer?.types.includes("Files");
addEventListener("dragover", (event) => { if (carriesFiles(event)) { event.preventDefault(); zone.classList.add("is-over"); } });
addEventListener("dragleave", (event) => { if (!event.relatedTarget) zone.classList.remove("is-over"); });
addEventListener("drop", (event) => {
  if (!carriesFiles(event)) return;
  event.preventDefault();
  zone.classList.remove("is-over");
  add([...event.dataTransfer.files]);
});

addEventListener("online", () => inState("broken").forEach((one) => one.resume()));
addEventListener("beforeunload", (event) => { if (inState("running", "waiting").length) event.preventDefault(); });
