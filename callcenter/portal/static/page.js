// Leaving quickly, and what makes that whole: a visit is one entry of the browser's history. Pages
// work without any of this.
"use strict";
(() => {
  const PRESSES = 3; // of Shift alone, each within so many milliseconds of the one before
  const PRESS_INTERVAL = 5000;
  let pressed = 0;
  let timer;
  let loading;

  // The other site takes the place of ours: Back leads to what was before.
  function leave() {
    const link = document.querySelector(".leave");
    document.body.replaceChildren(); // first: nothing is seen while the other site is loaded
    location.replace(link.href);
    navigator.sendBeacon(link.getAttribute("ping"));
  }

  // Escape would stop the other site from loading, and is no "activation" of a page.
  function count(presses) {
    pressed = presses;
    clearTimeout(timer);
    if (pressed === PRESSES) return leave();
    if (pressed) timer = setTimeout(count, PRESS_INTERVAL, 0);
    const status = document.querySelector(".exit [role=status]");
    status.textContent = pressed === PRESSES - 1 ? status.dataset.last : "";
  }

  // A page in place of this one, without an entry of history. What is typed stays if it fails.
  async function show(address, request) {
    const failed = document.getElementById("failed");
    loading?.abort();
    loading = new AbortController();
    const { signal } = loading;
    failed.hidden = true;
    document.body.setAttribute("aria-busy", "true");
    try {
      const answer = await fetch(address, { ...request, signal });
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      if (!page.querySelector(".leave")) throw new TypeError("this is no page of ours");
      document.documentElement.lang = page.documentElement.lang;
      document.title = page.title;
      document.body.replaceWith(page.body);
      document.body.focus();
      scrollTo(0, 0);
    } catch {
      if (signal.aborted) return; // another page was asked for meanwhile
      document.body.removeAttribute("aria-busy");
      failed.hidden = false;
      failed.scrollIntoView({ block: "center" });
    }
  }

  addEventListener("click", (event) => {
    const link = event.target.closest("a");
    if (link?.matches(".leave")) {
      event.preventDefault();
      leave();
    } else if (link?.origin === location.origin && !event.ctrlKey && !event.metaKey) {
      event.preventDefault();
      show(link.href);
    }
  });

  addEventListener("submit", (event) => {
    const { target, submitter } = event;
    if (!submitter) return; // an old browser does not say which button it was
    event.preventDefault();
    const body = new URLSearchParams(new FormData(target));
    if (submitter.name) body.append(submitter.name, submitter.value);
    show(submitter.getAttribute("formaction") ?? target.action, { method: "POST", body });
  });

  addEventListener("keydown", (event) => {
    const { key, altKey, ctrlKey, metaKey, repeat } = event;
    // Keyboards of screens send Shift for their own layers, others with Alt or Ctrl for languages.
    const isAlone = key === "Shift" && !altKey && !ctrlKey && !metaKey;
    if (!repeat) count(isAlone && matchMedia("(pointer: fine)").matches ? pressed + 1 : 0);
  });
  addEventListener("pointerdown", () => count(0));

  // Browsers hold whole pages for Back: what was typed into this one is not in it.
  addEventListener("pagehide", () => document.body.replaceChildren());
  addEventListener("pageshow", (event) => event.persisted && location.reload());
})();
