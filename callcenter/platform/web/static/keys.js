// Keys for people who do not want to reach for the mouse. Every page works without this file.
"use strict";

document.documentElement.classList.add("keyboard");

function step(by) {
  const rows = [...document.querySelectorAll("[data-row]")];
  if (rows.length === 0) return false;
  const now = rows.indexOf(document.activeElement);
  const next = now === -1 ? (by > 0 ? 0 : rows.length - 1) : now + by;
  rows[Math.min(Math.max(next, 0), rows.length - 1)].focus();
  return true;
}

function use(what, how) {
  const found = [...document.querySelectorAll(what)].find((each) => each.checkVisibility());
  found?.[how]();
  return found !== undefined;
}

/** A digit chooses in the opened list that has the focus, else on the page. */
function choose(digit) {
  const list = document.activeElement.closest("[data-digits]");
  const opened = list?.querySelector(`[data-digit="${digit}"]`);
  if (!opened) return use(`[data-digit="${digit}"]:not([data-digits] *)`, "click");
  opened.click();
  return true;
}

/**
 * What acts on calls, or on who gets them, has a key with Alt: a digit alone may be a number that is
 * typed. It acts while something is typed too, and once however long it is held.
 */
function useWithAlt(event) {
  const [, name] = /^(?:Digit|Key)(.)$/.exec(event.code) ?? [];
  const found = name && document.querySelector(`[aria-keyshortcuts="Alt+${name}"]`);
  if (!found || found.closest("[hidden]")) return false;
  if (event.repeat) return true;
  guide?.close(); // nothing behind it can have the focus
  if (found.matches("input, select")) found.focus();
  else if (found.dataset.into) enter(document.querySelector(found.dataset.into));
  else found.click();
  if (found.matches("[data-loads] > summary")) found.focus(); // what it loads takes the focus
  else if (found.matches("details[open] > summary")) enter(found.nextElementSibling);
  return true;
}

/** The focus goes to the first of what can be used there. */
function enter(place) {
  const usable = "input:not([type=hidden]), select, textarea, button, summary, a[href]";
  [...(place?.querySelectorAll(usable) ?? [])].find((each) => each.checkVisibility())?.focus();
}

/** By place, and by letter where it stands elsewhere. On the same key is the ? of the guide. */
function leadsToSearch(event) {
  return event.key === "/" || (event.code === "Slash" && event.key !== "?");
}

function closeMenu(which = ".more[open]") {
  const menu = document.querySelector(which);
  if (!menu) return false;
  if (menu.contains(document.activeElement)) menu.querySelector("summary").focus();
  menu.open = false;
  return true;
}

/** What can only be moved sideways has the focus for the arrows, if nothing within it has. */
function reachable() {
  for (const each of document.querySelectorAll(".scroll")) {
    if (each.scrollWidth > each.clientWidth && !each.querySelector("a, button, input, select")) {
      each.tabIndex = 0;
    } else each.removeAttribute("tabindex");
  }
}

// Each as soon as it has a size or gets another: a fold that opens shows what had none.
const sizes = new ResizeObserver(reachable);
function observe(place) {
  place.querySelectorAll(".scroll, .scroll > table").forEach((each) => sizes.observe(each));
}
observe(document);
document.addEventListener("htmx:load", ({ target }) => observe(target));

const guide = document.getElementById("guide");

/** What it says of this page is loaded when it is first opened, and again if that failed. */
function openGuide() {
  if (!guide) return false;
  guide.showModal();
  const missing = guide.querySelector("[hx-get]");
  if (missing) htmx.trigger(missing, "opened");
  return true;
}

guide?.addEventListener("htmx:beforeSwap", ({ detail }) => {
  // Whoever is signed out is led to the page of sign-in.
  if (!new URL(detail.xhr.responseURL).pathname.startsWith("/guides/")) detail.shouldSwap = false;
});

// What is behind the guide gets no keys but those with Alt, which act on calls and close it.
window.addEventListener(
  "keydown",
  (event) => {
    if (guide?.open && !event.altKey) event.stopPropagation();
  },
  { capture: true },
);

document.addEventListener("click", (event) => {
  if (event.target.closest("[data-guide]")) openGuide();
  if (event.target.closest("[data-guide-closes]")) guide?.close();
  if (!event.target.closest(".more")) closeMenu();
});

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.isComposing) return;
  if (event.altKey) {
    if (!event.shiftKey && useWithAlt(event)) event.preventDefault();
    return;
  }
  const target = event.target;
  if (target.matches("input, select, textarea")) {
    if (event.key === "Escape") target.blur();
    // Who is in the empty search already, as on a page that puts the focus there, searches for no slash.
    else if (leadsToSearch(event) && target.matches("[data-search]") && target.value === "") {
      event.preventDefault();
    }
    return;
  }
  // By place on the keyboard and not by letter: in a Kazakh or Russian layout J is another letter.
  let done = false;
  // By letter: it stands elsewhere in each layout.
  if (event.key === "?") done = openGuide();
  else if (event.code === "KeyJ" || event.key === "ArrowDown") done = step(1);
  else if (event.code === "KeyK" || event.key === "ArrowUp") done = step(-1);
  else if (leadsToSearch(event)) done = use("[data-search]", "focus");
  else if (/^[0-9]$/.test(event.key)) done = choose(event.key);
  else if (event.key === "Escape") {
    done = closeMenu(".more[open], .further[open]:focus-within") || use("[data-back]", "click");
  }
  // What is not on this page keeps the key's usual meaning: arrows scroll.
  if (done) event.preventDefault();
});
