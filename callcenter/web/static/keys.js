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
  const found = document.querySelector(what);
  if (!found || found.closest("[hidden]")) return false;
  found[how]();
  return true;
}

function closeMenu() {
  const menu = document.querySelector(".more[open]");
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

reachable();
window.addEventListener("resize", reachable);

document.addEventListener("click", (event) => {
  if (!event.target.closest(".more")) closeMenu();
});

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey || event.isComposing) return;
  const target = event.target;
  if (target.matches("input, select, textarea")) {
    if (event.key === "Escape") target.blur();
    return;
  }
  // By place on the keyboard and not by letter: in a Kazakh or Russian layout J is another letter.
  let done = false;
  if (event.code === "KeyJ" || event.key === "ArrowDown") done = step(1);
  else if (event.code === "KeyK" || event.key === "ArrowUp") done = step(-1);
  else if (event.code === "Slash" || event.key === "/") done = use("[data-search]", "focus");
  else if (/^[0-9]$/.test(event.key)) done = use(`[data-digit="${event.key}"]`, "click");
  else if (/^Key[PT]$/.test(event.code)) done = use(`[data-letter="${event.code}"]`, "click");
  else if (event.key === "Escape") done = closeMenu() || use("[data-back]", "click");
  // What is not on this page keeps the key's usual meaning: arrows scroll.
  if (done) event.preventDefault();
});
