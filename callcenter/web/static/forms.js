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

function told(field) {
  const at = `${field.id || field.name}-wrong`;
  return (field.closest("label") ?? field).parentElement.querySelector(`[id="${at}"]`);
}

function tell(field) {
  let line = told(field);
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
  const line = told(field);
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

// A form that leads back to its page leaves it where it was: work goes on from there.
const PLACE = "place";
const left = JSON.parse(sessionStorage.getItem(PLACE));
sessionStorage.removeItem(PLACE);
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
document.addEventListener("submit", (event) => {
  if (event.target.method !== "post" || event.defaultPrevented) return;
  const { id, selectionStart } = document.activeElement;
  const place = { path: location.pathname, at: scrollY, id, caret: selectionStart ?? null };
  sessionStorage.setItem(PLACE, JSON.stringify(place));
});
