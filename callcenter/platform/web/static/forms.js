// Says what is wrong with what was typed: beside the field, and in the language of the page, where
// a browser says it in a bubble and in its own. Without this file that is what happens.
const words = document.body.dataset;
let first = null; // of the fields of a form that was not sent

/** As people here write days: 25.11.2026, 25.11.2026 14:05. */
function shown(value) {
  const [day, time] = value.split("T");
  return [day.split("-").reverse().join("."), time].filter(Boolean).join(" ");
}

function fault(field) {
  const state = field.validity;
  const isDay = field.type.startsWith("date");
  if (state.valueMissing) return words.missing;
  if (state.rangeUnderflow && isDay) return `${words.earliest} ${shown(field.min)}`;
  if (state.rangeUnderflow) return `${words.least} ${field.min}`;
  if (state.rangeOverflow && isDay) return `${words.latest} ${shown(field.max)}`;
  if (state.rangeOverflow) return `${words.most} ${field.max}`;
  if (state.tooShort) return `${words.short} ${field.minLength}`;
  return words.wrong;
}

function faultLine(field) {
  const at = `${field.id || field.name}-wrong`;
  return (field.closest("label") ?? field).parentElement.querySelector(`[id="${at}"]`);
}

function tell(field) {
  let line = faultLine(field);
  if (!line) {
    line = document.createElement("p");
    line.id = `${field.id || field.name}-wrong`;
    line.className = "fault";
    (field.closest("label") ?? field).after(line);
    field.dataset.described = field.getAttribute("aria-describedby") ?? "";
    field.setAttribute("aria-describedby", `${line.id} ${field.dataset.described}`.trim());
  }
  line.textContent = fault(field);
  field.setAttribute("aria-invalid", "true");
}

function forget(field) {
  const line = faultLine(field);
  if (!line || !field.validity.valid) return;
  line.remove();
  field.removeAttribute("aria-invalid");
  if (field.dataset.described) field.setAttribute("aria-describedby", field.dataset.described);
  else field.removeAttribute("aria-describedby");
}

document.addEventListener(
  "invalid",
  (event) => {
    event.preventDefault();
    tell(event.target);
    if (first) return;
    first = event.target;
    setTimeout(() => {
      first.focus();
      first = null;
    });
  },
  true,
);
document.addEventListener("input", (event) => {
  if (event.target.validity) forget(event.target);
});

// What was typed into a form that failed is in its fields again when its page is opened anew. It is
// kept in this tab alone, and only until the next page that is no error. Not what people say of
// themselves: a browser may write that to a disk, and the server keeps it as a draft.
const TICKED = "[type=checkbox], [type=radio]";
const TYPED =
  "textarea, select, input:not([type=hidden], [type=password], [type=file], [autocomplete=one-time-code])";

/** Which form it is, whatever else there is on the page by then. */
function named(form) {
  const fixed = "[type=hidden]:not([name=form_token], [name=version])";
  const values = [...form.elements].filter((each) => each.matches(fixed)).map((each) => each.value);
  return [form.getAttribute("action"), ...values].join(" ");
}

function isChanged(field) {
  if (field.matches("select")) return !field.selectedOptions[0]?.defaultSelected;
  if (field.matches(TICKED)) return field.checked !== field.defaultChecked;
  return field.value !== field.defaultValue;
}

function typedInto(form) {
  return [...form.elements]
    .filter((each) => each.name && each.matches(TYPED) && isChanged(each))
    .map(({ name, value, checked }) => ({ name, value, checked }));
}

function fillAgain({ form: formName, typed }) {
  const form = [...document.forms].find((each) => named(each) === formName);
  if (!form || typed.length === 0) return;
  for (const { name, value, checked } of typed) {
    for (const field of [...form.elements].filter((each) => each.name === name)) {
      if (!field.matches(TICKED)) field.value = value;
      else if (field.value === value) field.checked = checked;
    }
  }
  for (let each = form.closest("details"); each; each = each.parentElement.closest("details")) {
    each.open = true;
  }
  const line = document.createElement("p");
  line.className = "message";
  line.setAttribute("role", "status");
  line.textContent = words.again;
  form.before(line);
  line.scrollIntoView({ block: "center" });
}

// A form that leads back to its page leaves it where it was: work goes on from there.
const PLACE = "place";
const failed = words.page === "web/error.html";
const left = JSON.parse(sessionStorage.getItem(PLACE));
if (failed && left) {
  sessionStorage.setItem(PLACE, JSON.stringify({ ...left, failed }));
  document.querySelector("[data-restored]").hidden = left.typed.length === 0;
} else {
  sessionStorage.removeItem(PLACE);
}
if (
  left?.path === location.pathname &&
  !location.hash &&
  !document.querySelector("main [role=alert]:not([hidden])")
) {
  const field = left.id ? document.getElementById(left.id) : null;
  field?.focus({ preventScroll: true });
  if (field && left.caret !== null) field.setSelectionRange(left.caret, left.caret);
  scrollTo(0, left.at);
}
if (left?.failed && !failed && left.path === location.pathname) fillAgain(left);
document.addEventListener("submit", (event) => {
  // The language of a page that says what failed may be chosen, and nothing is forgotten by that.
  if (event.target.method !== "post" || event.defaultPrevented || failed) return;
  const { id, selectionStart } = document.activeElement;
  const place = {
    path: location.pathname,
    at: scrollY,
    id,
    caret: selectionStart ?? null,
    form: named(event.target),
    typed: "draft" in event.target.dataset ? [] : typedInto(event.target),
  };
  sessionStorage.setItem(PLACE, JSON.stringify(place));
});
