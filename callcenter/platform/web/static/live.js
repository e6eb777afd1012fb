// Keeps what is live on a page up to date. Without this file the page loads itself anew every three
// seconds. Parts of several elements come as [data-part], each for the element of that id.
"use strict";

const SILENCE = 4000; // milliseconds without an event after which nothing counts as known
const AGAIN = 3000; // milliseconds before the next try, where the browser has given up
const RENEW = 200000; // milliseconds, less than a stream lasts: a page is never without one
const PRESS = 10000; // milliseconds for which what is pressed is not replaced
const UNCHANGED = "="; // the page shows the truth already

const source = document.querySelector("[data-events]");
const live = document.querySelectorAll("[data-live]");
const lost = document.getElementById("lost");
let events = null;
let begun = null; // the stream that is to follow, which has said nothing yet
let heard = Date.now();
let pressed = 0; // since when: a link that is replaced before it is let go leads nowhere
let waiting = null; // what came meanwhile

function show(isLive) {
  if (lost.hidden === isLive) return;
  // Old figures must not be taken for new ones.
  for (const each of live) each.hidden = !isLive;
  lost.hidden = isLive;
  document.dispatchEvent(new Event("live"));
}

/** Replaces what differs, so that nothing is announced again that was there before. */
function replace(board, fresh) {
  const before = [...board.children];
  const after = [...fresh.children];
  const at = board.contains(document.activeElement) ? document.activeElement.href : null;
  after.forEach((each, index) => {
    if (!before[index]) board.append(each);
    else if (!before[index].isEqualNode(each)) before[index].replaceWith(each);
  });
  before.slice(after.length).forEach((each) => each.remove());
  // Whoever was on a link stays on it, though it may be another element now.
  if (at && !board.contains(document.activeElement)) {
    [...board.querySelectorAll("a")].find((link) => link.href === at)?.focus();
  }
}

function put(html) {
  if (Date.now() - pressed < PRESS) {
    waiting = html;
    return;
  }
  waiting = null;
  const fresh = document.createElement("template");
  fresh.innerHTML = html; // escaped by the server, and no script runs from it
  const parts = fresh.content.querySelectorAll("[data-part]");
  if (parts.length === 0) replace(live[0], fresh.content);
  for (const each of parts) replace(document.getElementById(each.dataset.part), each);
  document.dispatchEvent(new Event("live"));
}

/** Begins a stream, which takes the place of the one before with the first that it says. */
function listen() {
  begun?.close();
  const stream = new EventSource(source.dataset.events);
  begun = stream;
  stream.onmessage = (event) => {
    if (begun === stream) {
      events?.close();
      [events, begun] = [stream, null];
    }
    heard = Date.now();
    if (event.data !== UNCHANGED) put(event.data);
    show(true);
  };
  stream.onerror = () => {
    if (stream.readyState === EventSource.CLOSED) setTimeout(listen, AGAIN);
  };
}

for (const each of live) each.addEventListener("pointerdown", () => (pressed = Date.now()));
for (const end of ["pointerup", "pointercancel"]) {
  addEventListener(end, () => {
    pressed = 0;
    if (waiting !== null) setTimeout(() => waiting !== null && put(waiting));
  });
}
setInterval(() => {
  if (Date.now() - heard > SILENCE) show(false);
}, 500);
setInterval(listen, RENEW);
// A stream that begins now knows of what was done just now.
document.addEventListener("outdated", listen);
listen();
