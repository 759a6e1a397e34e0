// What is better live: copying, saving without losing what was typed, progress, and a palette. All works without it.
const $ = (query, inside = document) => inside.querySelector(query);
const all = (query, inside = document) => [...inside.querySelectorAll(query)];
const base = document.body.dataset.base.replace(/\/$/, "");
const say = (text) => { const toast = $("[data-toast]"); if (toast) toast.textContent = text; };

/** Ask for a page; a document is parsed by XHR, which needs no trusted types. */
function ask(method, url, body = null, headers = {}) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open(method, url);
    request.responseType = "document";
    for (const [name, value] of Object.entries(headers)) request.setRequestHeader(name, value);
    request.onload = () => resolve(request);
    request.onerror = () => reject(new Error("no connection"));
    request.send(body);
  });
}

function take(key, ends) {
  document.body.dataset.formKey = key;
  document.body.dataset.ends = ends;
  for (const input of all("input[name=form_key]")) input.value = key;
}

/** Give what is in a part of the page its behaviour. */
function enliven(inside) {
  // What cannot be copied can still be selected.
  for (const button of all("[data-copy]", inside)) {
    button.hidden = false;
    button.addEventListener("click", async () => {
      const from = document.getElementById(button.dataset.copy);
      try {
        await navigator.clipboard.writeText(from.textContent);
        button.textContent = "Copied";
      } catch {
        getSelection().selectAllChildren(from);
        button.textContent = "Selected: press Ctrl C";
      }
      setTimeout(() => { button.textContent = "Copy"; }, 3000);
    });
  }
  for (const every of all("[data-every]", inside)) {
    every.hidden = false;
    $("input", every).addEventListener("change", (event) => {
      for (const one of all(`input[name="${every.dataset.every}"]`)) one.checked = event.target.checked;
    });
  }
  // Typing a secret means replacing it.
  for (const choice of all(".choice", inside)) {
    const field = $("input[type=password], textarea", choice);
    const replace = $("input[value=replace]", choice);
    if (field && replace) field.addEventListener("input", () => { replace.checked = true; });
  }
}
enliven(document);

// Saving: the page stays until it is saved.
let sending = false;
async function send(form, button) {
  if (sending) return;
  sending = true;
  const data = new FormData(form);
  if (button?.name) data.append(button.name, button.value);
  const body = form.enctype === "multipart/form-data" ? data : new URLSearchParams(data);
  try {
    const answer = await ask("POST", form.action, body);
    if (answer.status === 401) { signInAgain(form, button); return; }
    if (answer.status < 400) {
      if (form.hasAttribute("data-stay")) { show(answer.response, form, false); return; }
      location.assign(answer.responseURL);
      return;
    }
    show(answer.response, form, true);
  } catch {
    say("Not saved: there is no connection to Keycairn. Everything you typed is still here.");
  } finally {
    sending = false;
  }
}

/** Put what the service answered into the page; secrets and files that were chosen stay in their fields. */
function show(page, form, failed) {
  if (!page) { say("Not saved: the answer cannot be read. Everything you typed is still here."); return; }
  const path = form.getAttribute("action");
  const fresh = $("main", page);
  if (page.body.dataset.formKey) take(page.body.dataset.formKey, page.body.dataset.ends);
  if ($("[data-error-page]", fresh) && form.elements.length > form.querySelectorAll("input[type=hidden], button").length) {
    refuse(form, $("[data-error-page]", fresh));  // the answer has no form: what was typed stays where it is
    return;
  }
  const typed = all("input[type=password], textarea[autocomplete=off], input[type=file]", form);
  const main = document.adoptNode(fresh);
  $("main").replaceWith(main);
  document.title = page.title;
  const again = all("form", main).find((one) => one.getAttribute("action") === path);
  for (const old of again && failed ? typed : []) {
    const field = $(`[name="${CSS.escape(old.name)}"]`, again);
    if (field?.type === "file") field.files = old.files; else if (field) field.value = old.value;
  }
  enliven(main);
  ($("[data-focus]", main) || main).focus();
  say("");
}

/** Say above a form why it was refused. */
function refuse(form, why) {
  form.previousElementSibling?.matches("[data-error-page]") && form.previousElementSibling.remove();
  const note = document.createElement("div");
  note.className = "note bad";
  note.tabIndex = -1;
  note.role = "alert";
  note.dataset.errorPage = "";
  const title = document.createElement("h2");
  title.textContent = `Not saved: ${$("h1", why).textContent}`;
  const kept = document.createElement("p");
  kept.textContent = "Everything you typed is still here.";
  note.append(title, ...all("p:not(.buttons)", why).map((one) => document.adoptNode(one)), kept);
  form.before(note);
  note.focus();
  say("");
}

function signInAgain(form, button) {
  const dialog = $("[data-again]");
  const token = $("input", dialog);
  const wrong = $("[data-again-error]", dialog);
  dialog.showModal();
  $("[data-again-go]", dialog).onclick = async (event) => {
    event.preventDefault();
    try {
      const answer = await ask("POST", `${base}/sign-in`, new URLSearchParams({ "secret:token": token.value, back: "/signed-in" }));
      const key = answer.response?.body.dataset.formKey;
      if (answer.status >= 400 || !key) { wrong.textContent = "No such token works here."; return; }
      token.value = "";
      wrong.textContent = "";
      take(key, answer.response.body.dataset.ends);
      dialog.close();
      if (form) await send(form, button);
    } catch {
      wrong.textContent = "There is no connection to Keycairn.";
    }
  };
}

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.method !== "post" || form.hasAttribute("data-plain") || form.action.endsWith("/sign-in")) return;
  event.preventDefault();
  send(form, event.submitter);
});

if (document.body.dataset.ends) {
  setInterval(() => {
    const left = new Date(document.body.dataset.ends) - Date.now();
    if (left > 0 && left < 300_000) say("Your session ends in less than 5 minutes. Save, or open any page to go on.");
  }, 15_000);
}

// What is under way: asked for each second while somebody looks.
let tag = "";
async function refresh() {
  if (document.visibilityState === "visible" && $("[data-live]")) {
    try {
      const answer = await ask("GET", location.href, null, tag ? { "If-None-Match": tag } : {});
      if (answer.status === 200) {
        tag = answer.getResponseHeader("ETag") || "";
        for (const part of all("[data-live]")) {
          const fresh = answer.response.getElementById(part.id);
          if (fresh) part.replaceWith(document.adoptNode(fresh)); else part.removeAttribute("data-live");
        }
        if (answer.response.body.dataset.formKey) take(answer.response.body.dataset.formKey, answer.response.body.dataset.ends);
      } else if (answer.status === 401) { signInAgain(null); return; }
    } catch { say("There is no connection to Keycairn. Trying again."); }
  }
  if ($("[data-live]")) setTimeout(refresh, 1000);
}
if ($("[data-live]")) setTimeout(refresh, 1000);

// The palette.
const palette = $("[data-palette]");
if (palette) {
  const field = $("[role=combobox]", palette);
  const list = $("[role=listbox]", palette);
  const slash = $("[data-palette-key]", palette);
  const places = all(".side a, [data-place]").map((link) => ({ label: link.textContent, words: link.dataset.words, href: link.href }));
  let answered = { words: "", places: [] };
  let asking = 0;
  let chosen = 0;
  let entered = false;
  try { slash.checked = localStorage.getItem("keycairn-slash") !== "off"; } catch { slash.checked = true; }
  slash.addEventListener("change", () => { try { localStorage.setItem("keycairn-slash", slash.checked ? "on" : "off"); } catch { /* a browser that keeps nothing */ } });
  const typed = () => field.value.trim().toLowerCase();
  const draw = () => {
    const words = typed().split(/\s+/);
    const pages = places.filter((place) => words.every((word) => `${place.label} ${place.words}`.toLowerCase().includes(word)));
    const found = [...pages, ...(answered.words === typed() ? answered.places : [])].slice(0, 20);
    chosen = Math.max(0, Math.min(chosen, found.length - 1));
    list.replaceChildren(...found.map((place, number) => {
      const row = document.createElement("li");
      row.id = `place-${number}`;
      row.role = "option";
      row.setAttribute("aria-selected", String(number === chosen));
      const name = document.createElement("bdi");
      name.textContent = place.label;
      row.append(name);
      if (place.kind) {
        const kind = document.createElement("span");
        kind.className = "muted small";
        kind.textContent = ` ${place.kind}`;
        row.append(kind);
      }
      row.addEventListener("click", () => location.assign(place.href));
      row.dataset.href = place.href;
      return row;
    }));
    if (found.length) field.setAttribute("aria-activedescendant", `place-${chosen}`); else field.removeAttribute("aria-activedescendant");
  };
  const go = () => { const row = list.children[chosen]; if (row) location.assign(row.dataset.href); };
  const look = async () => {
    const words = typed();
    const answer = await fetch(`${base}/places.json?q=${encodeURIComponent(words)}`).catch(() => null);
    if (words !== typed()) return;
    answered = { words, places: answer?.ok ? await answer.json() : [] };
    draw();
    if (entered) go();
  };
  const open = () => {
    field.value = "";
    chosen = 0;
    entered = false;
    draw();
    palette.showModal();
  };
  for (const button of all("[data-palette-open]")) { button.hidden = false; button.addEventListener("click", open); }
  field.addEventListener("input", () => {
    chosen = 0;
    entered = false;
    draw();
    clearTimeout(asking);
    if (typed()) asking = setTimeout(look, 120);
  });
  field.addEventListener("keydown", (event) => {
    const move = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (move) { event.preventDefault(); chosen = (chosen + move + list.children.length) % Math.max(1, list.children.length); draw(); list.children[chosen]?.scrollIntoView({ block: "nearest" }); }
    if (event.key === "Enter") {
      event.preventDefault();
      if (list.children.length || answered.words === typed()) go(); else entered = true;  // what is asked for may still come
    }
  });
  document.addEventListener("keydown", (event) => {
    const typing = event.target.matches("input, textarea, select");
    if ((event.key === "k" && (event.ctrlKey || event.metaKey)) || (event.key === "/" && slash.checked && !typing)) {
      event.preventDefault();
      open();
    }
  });
}
$("[data-focus]")?.focus();
