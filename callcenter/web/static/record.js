// Keeps what is typed into a record, unsaved, every few seconds. The page works without this file.
"use strict";

const form = document.querySelector("form[data-draft]");
const told = document.querySelector(".kept");
const similar = document.querySelector("#similar");
let waits = null;

async function keep() {
  waits = null;
  const body = new URLSearchParams(new FormData(form));
  try {
    // Whoever is signed out is led to the page of sign-in: that keeps nothing.
    const answer = await fetch(form.dataset.draft, { method: "POST", body, redirect: "error" });
    if (!answer.ok) return again();
    told.textContent = `${told.dataset.words} ${(await answer.json()).kept}`;
    told.classList.remove("fault");
    const known = await fetch(form.dataset.similar, { method: "POST", body });
    if (known.ok) similar.innerHTML = await known.text(); // ours, escaped by its template
  } catch {
    again(); // the server is away: what is typed stays in the page
  }
}

function again() {
  told.textContent = told.dataset.lost;
  told.classList.add("fault");
  waits = setTimeout(keep, 5000);
}

form.addEventListener("input", () => {
  clearTimeout(waits);
  waits = setTimeout(keep, 1500);
});
// Of districts, those of the chosen region are offered.
for (const part of form.querySelectorAll("[data-within]")) {
  const whole = form.elements[part.dataset.within];
  const narrow = () => {
    for (const each of part.list.options) {
      each.disabled = whole.value !== "" && each.dataset.partOf !== whole.value;
    }
  };
  whole.addEventListener("change", narrow);
  narrow();
}
form.addEventListener("submit", () => clearTimeout(waits));
document.querySelector("form[data-discard]")?.addEventListener("submit", () => {
  clearTimeout(waits);
  waits = null; // or it would be kept once more as the page goes
});
document.addEventListener("visibilitychange", () => {
  if (document.hidden && waits !== null) keep();
});
document.addEventListener("keydown", (event) => {
  if (!(event.ctrlKey || event.metaKey) || event.code !== "KeyS") return;
  event.preventDefault();
  form.requestSubmit();
});
