// Leaving quickly, and what makes that whole: a visit is one entry of the browser's history. Pages
// work without any of this.
"use strict";
(() => {
  document.documentElement.classList.add("scripted");
  const PRESSES = 3; // of Shift alone, each within so many milliseconds of the one before
  const PRESS_INTERVAL = 5000;
  const KEEPALIVE_LIMIT = 30_000; // bytes that are sent on when it is left; of at most 64 KiB
  let left = false;
  let pressed = 0;
  let timer;
  let loading;

  // The other site takes the place of ours: Back leads to what was before. Until it is there no
  // page of ours is shown any more; what is being sent goes on.
  function leave() {
    if (left) return;
    left = true;
    const link = document.querySelector(".leave");
    document.body.replaceChildren(); // first: nothing is seen while the other site is loaded
    location.replace(link.href);
    navigator.sendBeacon(link.getAttribute("ping"));
  }

  // Escape would stop the other site from loading, and is no "activation" of a page.
  function countPress(presses) {
    if (left) return;
    pressed = presses;
    clearTimeout(timer);
    if (pressed === PRESSES) return leave();
    if (pressed) timer = setTimeout(countPress, PRESS_INTERVAL, 0);
    const status = document.querySelector(".exit [role=status]");
    status.textContent = pressed === PRESSES - 1 ? status.dataset.last : "";
  }

  // A page in place of this one, without an entry of history. What is typed stays if it fails, also
  // where the answer is a page that says so and has no form.
  async function showPage(address, request) {
    const failed = document.getElementById("failed");
    loading?.abort();
    loading = new AbortController();
    const { signal } = loading;
    failed.hidden = true;
    document.body.setAttribute("aria-busy", "true");
    let refusal;
    try {
      const answer = await fetch(address, { ...request, signal });
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      if (left || signal.aborted) return; // or another page was asked for meanwhile
      if (!answer.ok && !page.forms.length) {
        refusal = page.querySelector(".exit ~ main h1")?.textContent;
      }
      if (refusal || !page.querySelector(".leave")) throw new TypeError("this is no page to show");
      document.documentElement.lang = page.documentElement.lang;
      document.title = page.title;
      document.body.replaceWith(page.body);
      document.body.focus();
      scrollTo(0, 0);
    } catch {
      if (left || signal.aborted) return;
      document.body.removeAttribute("aria-busy");
      failed.textContent = refusal ?? failed.dataset.usual;
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
      showPage(link.href);
    }
  });

  addEventListener("submit", (event) => {
    const { target, submitter } = event;
    if (!submitter) return; // an old browser does not say which button it was
    event.preventDefault();
    const body = new URLSearchParams(new FormData(target));
    if (submitter.name) body.append(submitter.name, submitter.value);
    const keepalive = String(body).length < KEEPALIVE_LIMIT;
    const address = submitter.getAttribute("formaction") ?? target.action;
    showPage(address, { method: "POST", body, keepalive });
  });

  addEventListener("keydown", (event) => {
    const { key, altKey, ctrlKey, metaKey, repeat } = event;
    // Keyboards of screens send Shift for their own layers, others with Alt or Ctrl for languages.
    const isAlone = key === "Shift" && !altKey && !ctrlKey && !metaKey;
    if (!repeat) countPress(isAlone && matchMedia("(pointer: fine)").matches ? pressed + 1 : 0);
  });
  addEventListener("pointerdown", () => countPress(0));

  // Browsers hold whole pages for Back: what was typed into this one is not in it.
  addEventListener("pagehide", () => document.body.replaceChildren());
  addEventListener("pageshow", (event) => event.persisted && location.reload());
})();
