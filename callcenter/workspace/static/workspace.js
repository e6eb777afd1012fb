// The workspace: forms are sent without leaving it, and the appeal of the call opens beside it.
"use strict";

const workspace = (() => {
  const [call, appeal, helps] = ["call", "appeal", "helps"].map((id) => document.getElementById(id));
  const TITLE = document.title;
  const IN_CALL = "[data-rings], [data-appeal]:not([data-over])";
  const LATE = 10000; // milliseconds after which an answer is not waited for
  let notice = null; // of the desktop, while it rings
  let then = null; // what is done when whoever is called is there
  let sent = Promise.resolve(); // answer to what was sent last
  let loading = null; // number of the appeal whose panel is on its way

  // Forms

  function token() {
    const { name, value } = document.querySelector("input[name=form_token]");
    return new URLSearchParams([[name, value]]);
  }

  async function send(address, body) {
    const signal = AbortSignal.timeout(LATE);
    const answer = await fetch(address, { method: "POST", body, signal });
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    // Not on a page of an error, or of sign-in.
    const answered = answer.status === 204 ? page.body : page.getElementById("refusal");
    tell(answered);
    document.dispatchEvent(new Event("outdated"));
    return answer.ok && answered !== null;
  }

  /** Shows what was answered; null: it was not done. */
  function tell(answered) {
    const said = answered ?? document.getElementById("undone").content.cloneNode(true);
    document.getElementById("refusal").replaceChildren(...said.childNodes);
  }

  /** Sends a form after those before it. False: it was refused, or not done. */
  function ask(address, body) {
    sent = sent
      .then(() => send(address, body))
      .catch(() => {
        tell(null);
        return false;
      });
    return sent;
  }

  document.addEventListener("submit", (event) => {
    const { target: form, submitter: button } = event;
    const to = button?.hasAttribute("formaction") ? button.formAction : form.action;
    if (!new URL(to).pathname.startsWith("/workspace")) return;
    event.preventDefault();
    for (const each of [form.closest(".more"), form.closest("#call > details")]) {
      each?.removeAttribute("open");
    }
    then = form.dataset.then ?? null;
    if (window.Notification?.permission === "default") Notification.requestPermission();
    ask(to, new URLSearchParams(new FormData(form, button)));
  });

  // What is live has no form.
  document.addEventListener("click", ({ target }) => {
    const { ask: address, opens } = target.closest("button")?.dataset ?? {};
    if (address) ask(address, token());
    if (opens) read(opens);
  });

  /** What is written counts as read, and alerts nobody any more, once it is shown: not before. */
  async function read(number) {
    if (number === loading) return; // pressed twice
    document.dispatchEvent(new Event("appeal-closes"));
    const isShown = await load(number);
    if (document.querySelector(IN_CALL)) return showAppeal();
    if (loading) return; // another one was opened meanwhile
    tell(isShown ? new DocumentFragment() : null);
    const take = document.querySelector(`form[action="/appeals/${number}/written/take"]`);
    if (isShown) take?.requestSubmit();
  }

  // What was saved after a call may free the next one.
  document.addEventListener("appeal-changed", () => {
    if (document.querySelector("[data-over]")) document.dispatchEvent(new Event("outdated"));
  });

  // What leads elsewhere opens beside this page, always in the same window.
  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[href]:not([href^='#'])");
    if (link) link.target = "beside";
  });

  // What is live

  /** What may be done with the call, while there is one. */
  function showCall() {
    const state = document.querySelector("[data-call]:not([hidden] *)");
    call.hidden = state === null && document.getElementById("lost").hidden;
    const thirdParty = state?.dataset.thirdParty ?? "none";
    document.getElementById("third-party").hidden = thirdParty === "none";
    if (thirdParty === "here" && then) {
      ask(then, token());
      then = null;
    }
    const is = state?.dataset.call.split(" ") ?? [];
    for (const each of call.querySelectorAll("[data-on]")) {
      if (state) each.setAttribute("aria-pressed", String(is.includes(each.dataset.on)));
      else each.removeAttribute("aria-pressed");
    }
  }

  /** The appeal of the call opens when it is answered; from its ring on none is open. */
  function showAppeal() {
    const own = document.querySelector("[data-appeal]")?.dataset.appeal;
    const opened = document.getElementById("appeal-panel");
    if (document.querySelector("[data-rings]")) {
      if (opened ? opened.dataset.number !== own : appeal.querySelector("a")) closeAppeal();
      return;
    }
    if (!own || own === loading || own === opened?.dataset.number) return;
    // What is open is still written when the call is over.
    if (opened && document.querySelector("[data-appeal][data-over]")) return;
    load(own);
  }

  /** Whether the panel of this appeal has come; another one that is on its way never does. */
  async function load(number) {
    htmx.trigger(appeal, "htmx:abort");
    const opened = document.getElementById("appeal-panel");
    const place = opened ? { target: opened, swap: "outerHTML" } : { target: appeal };
    const from = { source: appeal, ...place };
    loading = number;
    await htmx.ajax("GET", `/appeals/${number}/panel`, from).catch(() => {}); // none has come
    if (loading !== number) return false;
    loading = null;
    const shown = document.getElementById("appeal-panel");
    return shown !== opened && shown?.dataset.number === number;
  }

  /** What was typed there is kept as a draft. */
  function closeAppeal() {
    document.dispatchEvent(new Event("appeal-closes"));
    const none = document.createElement("p");
    none.textContent = appeal.dataset.none;
    appeal.replaceChildren(none);
    helps.replaceChildren();
  }

  // Folds of the panel that help during a call stand open beside it.
  document.addEventListener("htmx:load", ({ target }) => {
    if (target.id !== "appeal-panel") return;
    const folds = [...target.querySelectorAll("[data-helps]")];
    for (const each of folds) {
      each.open = true;
      each.firstElementChild.dataset.into = `#${each.dataset.fold}`; // its digit leads there
    }
    helps.replaceChildren(...folds);
  });

  function ring() {
    const rings = document.querySelector("[data-rings]");
    const sign = rings ? "☎ " : document.querySelector("[data-offered]") ? "✉ " : "";
    document.title = `${sign}${TITLE}`;
    if (!rings) {
      notice?.close();
      notice = null;
    } else if (!notice && !document.hasFocus() && window.Notification?.permission === "granted") {
      // No word of who it is: others may see the screen.
      notice = new Notification(TITLE, { body: rings.textContent, tag: "call" });
      notice.addEventListener("click", () => window.focus());
    }
  }

  for (const each of document.querySelectorAll("details[data-loads]")) {
    each.addEventListener("toggle", async () => {
      if (!each.open) return;
      const loaded = each.querySelector(".loaded");
      await htmx.ajax("GET", each.dataset.loads, loaded);
      if (each.contains(document.activeElement)) enter(loaded); // of keys.js
    });
  }

  const began = new WeakMap();

  function clock(seconds) {
    const [minutes, hours] = [Math.floor(seconds / 60), Math.floor(seconds / 3600)];
    const two = (number) => String(number).padStart(2, "0");
    return hours
      ? `${hours}:${two(minutes % 60)}:${two(seconds % 60)}`
      : `${minutes}:${two(seconds % 60)}`;
  }

  function tick() {
    const now = performance.now();
    for (const each of document.querySelectorAll("[data-seconds], [data-left]")) {
      const { seconds, left } = each.dataset;
      if (!began.has(each)) began.set(each, now - 1000 * (seconds ?? 0));
      const passed = Math.floor((now - began.get(each)) / 1000);
      if (seconds) each.textContent = clock(passed);
      else each.textContent = each.textContent.replace(/[\d:]+/, clock(Math.max(0, left - passed)));
    }
  }

  document.addEventListener("live", () => {
    showCall();
    showAppeal();
    ring();
    tick();
  });
  setInterval(tick, 1000);
  tick();
  document.addEventListener("DOMContentLoaded", showAppeal); // of a call that was there before

  return { ask, closeAppeal, token };
})();
