// Keeps the board up to date. Without this file the page loads itself anew every three seconds.
"use strict";

const SILENCE = 4000; // milliseconds without an event after which nothing counts as known
const AGAIN = 3000; // milliseconds before the next try, where the browser has given up

const board = document.getElementById("board");
const lost = document.getElementById("lost");
const call = document.getElementById("call"); // what may be done with it, where there is one
let heard = Date.now();

function show(known) {
  // Old figures must not be taken for new ones.
  board.hidden = !known;
  lost.hidden = known;
}

function listen() {
  const events = new EventSource(board.dataset.events);
  events.onmessage = (event) => {
    heard = Date.now();
    const at = board.contains(document.activeElement) ? document.activeElement.href : null;
    board.innerHTML = event.data; // escaped by the server, and no script runs from it
    // Whoever was on a link stays on it, though it is another element now.
    if (at) [...board.querySelectorAll("a")].find((link) => link.href === at)?.focus();
    if (call) call.hidden = board.querySelector("[data-call]") === null;
    show(true);
  };
  events.onerror = () => {
    if (events.readyState === EventSource.CLOSED) setTimeout(listen, AGAIN);
  };
}

setInterval(() => {
  if (Date.now() - heard > SILENCE) show(false);
}, 500);
listen();
