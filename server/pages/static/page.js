// What a script adds to pages that work without one: dropping and pasting a file, progress while
// it is sent, the film beside its timeline, and the switch of light and dark.

const one = (selector, within = document) => within.querySelector(selector);
const all = (selector, within = document) => [...within.querySelectorAll(selector)];
const root = document.documentElement;

for (const each of all(".script-only")) each.hidden = false;

theme();
drop();
dress(null);
follow();

// Light or dark: the server reads the cookie, so that the next page begins in the right one.
function theme() {
  const button = one("#theme");
  button.hidden = false;
  button.addEventListener("click", () => {
    const dark = root.dataset.theme
      ? root.dataset.theme === "dark"
      : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
    document.cookie = `theme=${root.dataset.theme}; path=/; max-age=31536000; samesite=strict`;
  });
}

function drop() {
  const form = one("#drop");
  if (!form) return;
  const input = one("#file");
  const over = (event, on) => {
    if (!event.dataTransfer?.types.includes("Files")) return;
    event.preventDefault();
    form.classList.toggle("over", on);
  };
  document.addEventListener("dragover", (event) => over(event, true));
  document.addEventListener("dragleave", (event) => event.relatedTarget ?? over(event, false));
  document.addEventListener("drop", (event) => {
    over(event, false);
    take(event.dataTransfer?.files);
  });
  document.addEventListener("paste", (event) => take(event.clipboardData?.files));
  input.addEventListener("change", () => take(input.files));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    take(input.files);
  });

  function take(files) {
    if (!files?.length) return;
    const note = files.length > 1 ? form.dataset.one.replace("#", files.length) : "";
    send(form, files[0], note);
    input.value = "";
  }
}

let sending = null;

function send(form, file, note) {
  sending?.abort();
  const body = new FormData(form);
  body.set("file", file, file.name);
  const request = (sending = new XMLHttpRequest());
  const bar = one("#progress-bar");
  const say = (text) => (one("#progress-text").textContent = note ? `${text} ${note}` : text);
  const end = () => {
    one("#progress").hidden = true;
    form.removeAttribute("aria-busy");
  };
  one("#place").replaceChildren();
  settled();
  scrollTo({ top: 0 });
  one("#progress").hidden = false;
  form.setAttribute("aria-busy", "true");
  say(form.dataset.sending);
  bar.value = 0;
  request.upload.addEventListener("progress", ({ loaded, total }) => (bar.value = loaded / total));
  request.upload.addEventListener("load", () => {
    bar.removeAttribute("value");
    say(form.dataset.looking);
  });
  request.addEventListener("load", () => {
    end();
    show(request.responseText, file);
    history.replaceState(null, "", new URL(request.responseURL).pathname);
    follow(file);
  });
  request.addEventListener("error", () => {
    end();
    lost();
  });
  request.addEventListener("abort", end);
  one("#cancel").onclick = () => request.abort();
  request.open("POST", "/");
  request.setRequestHeader("Accept", "text/html");
  request.send(body);
}

function lost() {
  const line = document.createElement("p");
  line.className = "alert";
  line.setAttribute("role", "alert");
  line.textContent = document.body.dataset.lost;
  one("#place").replaceChildren(line);
}

// The answer is a whole page; its result is put in the place of the old one.
function show(html, file) {
  const page = new DOMParser().parseFromString(html, "text/html");
  const result = one("#result", page);
  if (!result) return lost();
  document.title = page.title;
  (one("#place") ?? one("#main")).replaceChildren(document.adoptNode(result));
  dress(file);
  one("#sentence").focus({ preventScroll: true });
}

function settled() {
  for (const each of all("#hero, #recent")) each.remove();
  one("#drop")?.classList.add("with-result");
  one("#main").classList.add("has-result");
}

// A film that takes long is asked after until it has ended; the page is its own address.
async function follow(file = null) {
  const job = one("[data-job]");
  if (!job) return;
  const wait = (seconds) => new Promise((done) => setTimeout(done, 1000 * seconds));
  await wait(1);
  if (!job.isConnected) return;
  try {
    const answer = await fetch(`/jobs/${job.dataset.job}`, { headers: { Accept: "text/html" } });
    const text = await answer.text();
    const page = new DOMParser().parseFromString(text, "text/html");
    const next = one("[data-job]", page);
    if (!next) return show(text, file);
    for (const part of ["progress", "[role=status]"])
      if (one(part, job).outerHTML !== one(part, next).outerHTML)
        one(part, job).replaceWith(document.adoptNode(one(part, next)));
  } catch {
    await wait(4); // the service may be starting again
  }
  follow(file);
}

// Beside the verdict goes the file itself, which the browser has and the server has not kept.
function dress(file) {
  const result = one("#result");
  const view = result && one("#view", result);
  if (one(".again")) one(".again").hidden = Boolean(one("#drop"));
  if (!view || !file) return;
  const address = URL.createObjectURL(file);
  if (result.dataset.kind === "film" && file.type !== "image/gif") return film(view, address);
  const image = one(".original", view);
  const overlay = one(".overlay", view);
  image.addEventListener("load", () => {
    view.hidden = false;
    image.hidden = Boolean(overlay);
    if (overlay) one(".switch", view).hidden = false;
  });
  image.src = address;
  for (const button of all("[data-view]", view))
    button.addEventListener("click", () => {
      const original = button.dataset.view === "original";
      image.hidden = !original;
      overlay.hidden = original;
      for (const each of all("[data-view]", view))
        each.setAttribute("aria-pressed", String(each === button));
    });
}

// The film is played beside its timeline: a part, or a place on the curve, is where it goes.
function film(view, address) {
  const video = document.createElement("video");
  Object.assign(video, { src: address, controls: true, muted: true, playsInline: true });
  video.setAttribute("aria-label", one(".original", view).alt);
  video.addEventListener("loadedmetadata", () => {
    one(".frame", view).replaceChildren(video);
    view.hidden = false;
    const line = one("#timeline");
    if (line) seekable(line, video);
  });
}

function seekable(line, video) {
  const now = one("#now", line);
  const span = Number(line.dataset.span);
  const seek = (time) => (video.currentTime = time);
  line.classList.add("seekable");
  one(".seek-hint", line).hidden = false;
  one(".chart", line)?.addEventListener("click", (event) => {
    const box = event.currentTarget.getBoundingClientRect();
    seek((span * (event.clientX - box.left)) / box.width);
  });
  for (const row of all("tr[data-time]", line)) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = one(".time", row).textContent;
    one(".time", row).replaceChildren(button);
    row.addEventListener("click", () => seek(Number(row.dataset.time)));
  }
  if (!now) return;
  const mark = () => {
    const place = `${(100 * video.currentTime) / span}%`;
    now.setAttribute("x1", place);
    now.setAttribute("x2", place);
    now.setAttribute("visibility", "visible");
  };
  for (const each of ["timeupdate", "seeked", "seeking"]) video.addEventListener(each, mark);
}
