// Sounds while a danger stands on the page that its reader may acknowledge.
"use strict";

const AGAIN_AFTER = 5000; // milliseconds
const button = document.getElementById("sound");
let world = null;

/** Two short high tones, unlike the bell of a telephone. */
function sound() {
  world ??= new AudioContext();
  const loud = new GainNode(world, { gain: 0 });
  const tone = new OscillatorNode(world, { frequency: 880 });
  const now = world.currentTime;
  for (const start of [now, now + 0.4]) {
    loud.gain.setValueAtTime(0.2, start);
    loud.gain.setValueAtTime(0, start + 0.2);
  }
  tone.connect(loud).connect(world.destination);
  tone.start(now);
  tone.stop(now + 0.6);
}

/** Browsers let a page sound only after a press in it: until then the button is shown. */
function look() {
  const isDanger = document.querySelector("[data-sounds]") !== null;
  const maySound = navigator.userActivation.hasBeenActive;
  button.hidden = !isDanger || maySound;
  if (isDanger && maySound) sound();
}

button.addEventListener("click", look);
setInterval(look, AGAIN_AFTER);
look();
