// The panel of an appeal, wherever a page puts it: what is typed is kept unsaved every few seconds,
// and what is open or being typed stays so when the server sends the panel anew.
const PANEL = "appeal-panel";
const PARTS = `#${PANEL}, [data-helps]`; // a page may put folds that help beside the panel
const LATE = "[hx-get^='/questions/']"; // questions about a person, loaded when they are opened
const OF_RECORD = `#${PANEL} :is([data-draft], [data-discard], #disposition)`;
const AFTER = 1500; // milliseconds without a key after which what is typed is kept
const AGAIN = 5000; // milliseconds before the next try
let waits = null; // the timer of what is not kept yet
let keeping = null; // what is on its way
let sent = null; // the texts of the form as they went to the server
let isFilled = false; // by a preset, in what is on its way
let later = { typed: [], focus: null }; // what was at questions that are not loaded yet

const panel = () => document.getElementById(PANEL);
const recordForm = () => panel()?.querySelector("form[data-draft]");
const texts = (form) => new Map([...new FormData(form)].filter(([, value]) => typeof value === "string"));

function say(words, isFault) {
  const line = panel()?.querySelector(".draft");
  if (!line) return;
  line.textContent = words;
  line.classList.toggle("fault", isFault);
}

async function keep(form) {
  waits = null;
  const body = new URLSearchParams(new FormData(form));
  const line = form.querySelector(".draft").dataset;
  try {
    // Whoever is signed out is led to the page of sign-in: that keeps nothing.
    const answer = await fetch(form.dataset.draft, {
      method: "POST",
      body,
      redirect: "error",
      keepalive: true,
    });
    if (!answer.ok) return again(form);
    if (form !== recordForm()) return; // another appeal is shown by now
    say(`${line.words} ${(await answer.json()).kept}`, false);
    const found = await fetch(form.dataset.similar, { method: "POST", body });
    if (found.ok) form.querySelector("#similar").innerHTML = await found.text(); // escaped by its template
  } catch {
    again(form); // the server is away: what is typed stays in the page
  }
}

function again(form) {
  if (form !== recordForm()) return;
  say(form.querySelector(".draft").dataset.lost, true);
  waits = setTimeout(begin, AGAIN, form);
}

function begin(form) {
  clearTimeout(waits);
  keeping = keep(form).finally(() => (keeping = null));
}

/** Of districts, those of the chosen region are offered. */
function narrow(form) {
  for (const part of form.querySelectorAll("[data-within]")) {
    const whole = form.elements[part.dataset.within].value;
    for (const each of part.list.options) {
      each.disabled = whole !== "" && each.dataset.partOf !== whole;
    }
  }
}

document.addEventListener("input", ({ target }) => {
  const form = target.form;
  if (!form?.matches("[data-draft]")) return;
  clearTimeout(waits);
  waits = setTimeout(begin, AFTER, form);
});
document.addEventListener("change", ({ target }) => {
  const form = target.form;
  if (!form?.matches("[data-draft]")) return;
  narrow(form);
  if (target.name !== "kind") return;
  for (const each of form.querySelectorAll("[data-kinds]")) {
    if (each.dataset.kinds.split(" ").includes(target.value)) each.open = true;
  }
});
function keepNow() {
  const form = recordForm();
  if (form && waits !== null) begin(form);
}

document.addEventListener("visibilitychange", () => document.hidden && keepNow());
document.addEventListener("appeal-closes", keepNow); // the page that shows it takes it away
document.addEventListener("submit", ({ target }) => {
  if (target.matches(OF_RECORD)) {
    clearTimeout(waits);
    waits = null; // or it would be kept once more as the page goes
  }
});

// A draft that is on its way would come after the record, and stand beside it as unsaved. What puts
// the panel anew without the record gets it with what was typed.
document.addEventListener("htmx:confirm", (event) => {
  if (!event.target.closest(PARTS)) return;
  if (event.detail.target.id === PANEL && !event.target.closest(OF_RECORD)) keepNow();
  if (!keeping) return;
  event.preventDefault();
  keeping.finally(() => event.detail.issueRequest(true));
});
document.addEventListener("htmx:beforeRequest", ({ target, detail }) => {
  if (detail.target.id !== PANEL) return;
  if (target.closest(PARTS) && recordForm()) sent = texts(recordForm());
  isFilled = target.matches("[name=preset_id]");
});
document.addEventListener("htmx:beforeSwap", ({ detail }) => {
  if (detail.target.matches(LATE) && !detail.serverResponse.includes("data-key")) {
    detail.shouldSwap = false;
    failLate(detail.target);
  }
  if (detail.target.id !== PANEL) return;
  if (!detail.serverResponse.includes(`id="${PANEL}"`)) {
    // The page of sign-in, or of an error.
    detail.shouldSwap = false;
    const line = panel().querySelector(".draft");
    if (line) say(line.dataset.failed, true);
    return;
  }
  const form = recordForm();
  const isOther = !detail.serverResponse.includes(`data-number="${panel().dataset.number}"`);
  if (isOther && form && waits !== null) begin(form);
  const { id, selectionStart } = document.activeElement;
  const typed = later.typed;
  if (form && sent) {
    // Typed since: the answer does not have it.
    typed.push(...[...texts(form)].filter(([name, value]) => (sent.get(name) ?? "") !== value));
  }
  const folds = [
    ...panel().querySelectorAll("[data-fold][open]"),
    ...typed.map(([name]) => form?.elements[name]?.closest?.("[data-fold]") ?? panel()),
  ];
  const left = {
    number: panel().dataset.number,
    focus: { id, at: selectionStart ?? null },
    open: folds.map((each) => each.dataset.fold),
    typed,
  };
  sent = null;
  document.addEventListener("htmx:afterSwap", () => restore(left), { once: true });
});
document.addEventListener("htmx:sendError", ({ target }) => {
  if (target.matches(LATE)) return failLate(target);
  const line = panel()?.querySelector(".draft");
  if (line && target.closest(PARTS)) say(line.dataset.failed, true);
});

/** What happened, and a button to load it again. */
function failLate(place) {
  place.firstElementChild.hidden = false;
}

function restore({ number, open, typed, focus }) {
  later = { typed: [], focus: null };
  if (panel()?.dataset.number !== number) return;
  for (const each of panel().querySelectorAll("[data-fold]")) {
    if (open.includes(each.dataset.fold)) each.open = true; // its questions are loaded then
  }
  if (typed.length) {
    clearTimeout(waits); // of the form that is gone; they are kept once they are back
    waits = null;
  }
  later.typed = putBack(typed);
  const next = nextField(recordForm());
  if (next) next.focus();
  else if (!focusAgain(focus)) later.focus = focus;
}

/** Puts texts back into their fields; returns those whose fields are not there. */
function putBack(typed) {
  const fields = recordForm()?.elements;
  return typed.filter(([name, value]) => {
    const field = fields?.[name];
    if (!field) return true;
    if (field instanceof HTMLInputElement || field instanceof HTMLTextAreaElement) {
      field.value = value;
      field.dispatchEvent(new Event("input", { bubbles: true }));
    }
    return false;
  });
}

function focusAgain({ id, at }) {
  const field = id ? document.getElementById(id) : null;
  field?.focus({ preventScroll: true });
  if (at !== null) field?.setSelectionRange(at, at);
  return field !== null;
}

/** What is lacking is filled in next, or the first that a preset left empty. */
function nextField(form) {
  if (panel().querySelector(".lacking")) return panel().querySelector("#notified, [aria-invalid]") ?? undefined;
  const fields = ".ordinary :is(select, textarea, input:not([type=hidden], [type=checkbox]))";
  if (isFilled) return [...form.querySelectorAll(fields)].find((each) => !each.value && each.checkVisibility());
}

// The panel is there from the beginning, or comes later.
document.addEventListener("htmx:load", () => {
  const form = recordForm();
  if (!form) return;
  narrow(form);
  later.typed = putBack(later.typed);
  const { focus } = later;
  if (focus && document.activeElement === document.body && focusAgain(focus)) later.focus = null;
});
/** Nothing beside the panel has the focus. */
function isAtWork() {
  const at = document.activeElement;
  return at === document.body || panel().contains(at);
}

document.addEventListener("keydown", (event) => {
  const form = recordForm();
  if (!form || !(event.ctrlKey || event.metaKey)) return;
  if (event.code === "KeyS") form.requestSubmit();
  else if (event.key === "Enter" && isAtWork()) {
    form.querySelector(".bar > [name=after]")?.click(); // htmx sends the button that is clicked
  } else return;
  event.preventDefault();
});
