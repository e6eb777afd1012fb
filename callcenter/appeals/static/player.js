// The player of a recording: caller and consultant apart, a picture of both, keys. Without this
// file the form leads to the audio itself, with the reason all the same.
"use strict";

const why = document.getElementById("why");
const player = document.getElementById("player");
const refused = document.getElementById("refused");
const canvas = player.querySelector("canvas");
const clock = document.getElementById("now");
const playing = document.getElementById("play");
const SPEEDS = [0.75, 1, 1.25, 1.5, 1.75, 2];
const STEP = 5; // seconds
const RATE = 8000; // of the telephone: decoded as it is, an hour takes 230 MB and not 1.4 GB
const COLUMNS = 2000; // of the picture, however long the recording is

let audio = null; // sought in by ranges, so that it begins before the whole is here
let ears = null; // how loud each of the two is
let peaks = null; // of the caller, of the consultant

const whole = () =>
  Number.isFinite(audio?.duration) ? audio.duration : player.dataset.length / 1000;

function clockTime(seconds) {
  const [m, s] = [Math.floor(seconds / 60), String(Math.floor(seconds % 60)).padStart(2, "0")];
  return m < 60 ? `${m}:${s}` : `${Math.floor(m / 60)}:${String(m % 60).padStart(2, "0")}:${s}`;
}

function peaksOf(samples) {
  const width = Math.max(1, Math.ceil(samples.length / COLUMNS));
  const found = new Float32Array(Math.ceil(samples.length / width));
  for (let i = 0; i < samples.length; i++) {
    const column = Math.floor(i / width);
    found[column] = Math.max(found[column], Math.abs(samples[i]));
  }
  return found;
}

// The audio is decoded for the picture, and let go of: nothing of it is kept, here or on a disk.
async function picture(address) {
  const answer = await fetch(address, { cache: "no-store" });
  if (!answer.ok) throw new Error(String(answer.status));
  const decoder = new OfflineAudioContext(2, 1, RATE);
  const decoded = await decoder.decodeAudioData(await answer.arrayBuffer());
  const last = decoded.numberOfChannels - 1;
  peaks = [peaksOf(decoded.getChannelData(0)), peaksOf(decoded.getChannelData(last))];
  draw();
}

function draw() {
  const now = audio ? audio.currentTime : 0;
  clock.textContent = clockTime(now);
  canvas.setAttribute("aria-valuemax", Math.round(whole()));
  canvas.setAttribute("aria-valuenow", Math.round(now));
  canvas.setAttribute("aria-valuetext", clockTime(now));
  const scale = window.devicePixelRatio;
  canvas.width = canvas.clientWidth * scale;
  canvas.height = canvas.clientHeight * scale;
  const style = getComputedStyle(canvas);
  const [heard, ahead] = ["--accent", "--line"].map((name) => style.getPropertyValue(name));
  const brush = canvas.getContext("2d");
  const at = (now / whole()) * canvas.width;
  const lane = canvas.height / 2;
  brush.fillStyle = ahead;
  brush.fillRect(0, lane, canvas.width, scale);
  (peaks ?? []).forEach((loud, which) => {
    const most = Math.max(0.02, ...loud); // a quiet side is drawn as tall as a loud one
    for (let x = 0; x < canvas.width; x++) {
      const from = Math.floor((x / canvas.width) * loud.length);
      const to = Math.max(from + 1, Math.floor(((x + 1) / canvas.width) * loud.length));
      const tall = (Math.max(...loud.subarray(from, to)) / most) * lane * 0.9 + scale;
      brush.fillStyle = x < at ? heard : ahead;
      brush.fillRect(x, lane * (which + 0.5) - tall / 2, 1, tall);
    }
  });
  brush.fillStyle = style.getPropertyValue("--focus");
  brush.fillRect(at - scale, 0, 2 * scale, canvas.height);
}

function follow() {
  draw();
  if (!audio.paused) requestAnimationFrame(follow);
}

function hear(whom) {
  ears.caller.gain.value = whom === "consultant" ? 0 : 1;
  ears.consultant.gain.value = whom === "caller" ? 0 : 1;
  for (const each of player.querySelectorAll("[data-heard]"))
    each.setAttribute("aria-pressed", String(each.dataset.heard === whom));
}

function faster(by) {
  const next = SPEEDS.indexOf(audio.playbackRate) + by;
  audio.playbackRate = SPEEDS[Math.min(Math.max(next, 0), SPEEDS.length - 1)];
  document.getElementById("speed").textContent = `${audio.playbackRate}×`;
}

function go(to) {
  audio.currentTime = Math.min(Math.max(to, 0), whole());
  draw();
}

function play() {
  // Paused before it could begin is no failure.
  if (audio.paused) audio.play().catch((error) => error.name === "AbortError" || fail());
  else audio.pause();
}

function fail() {
  if (!refused.hidden) return; // the element and its promise both tell
  ears.caller.context.close();
  refused.hidden = false;
  player.hidden = true;
  why.hidden = false;
}

function begin(address) {
  audio = new Audio(address);
  const world = new AudioContext();
  const apart = new ChannelSplitterNode(world, { numberOfOutputs: 2 });
  ears = { caller: new GainNode(world), consultant: new GainNode(world) };
  new MediaElementAudioSourceNode(world, { mediaElement: audio }).connect(apart);
  // Each goes into both ears: a headset may have one.
  apart.connect(ears.caller, 0).connect(world.destination);
  apart.connect(ears.consultant, 1).connect(world.destination);
  for (const event of ["play", "pause", "ended"])
    audio.addEventListener(event, () => {
      playing.setAttribute("aria-pressed", String(!audio.paused));
      follow();
    });
  audio.addEventListener("error", fail);
  why.hidden = refused.hidden = true;
  player.hidden = false;
  playing.focus();
  play();
  picture(address).catch(draw); // it can be heard all the same
}

why.addEventListener("submit", (event) => {
  event.preventDefault();
  begin(`${why.action}?${new URLSearchParams(new FormData(why))}`);
});
// A click leaves the focus where it is: the space bar goes on playing and pausing.
player.addEventListener("mousedown", (event) => {
  if (event.target.closest("button")) event.preventDefault();
});
player.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (button === playing) play();
  else if (button?.dataset.step) go(audio.currentTime + Number(button.dataset.step));
  else if (button?.dataset.heard) hear(button.dataset.heard);
  else if (button?.dataset.speed) faster(Number(button.dataset.speed));
  else if (event.target === canvas) go((event.offsetX / canvas.clientWidth) * whole());
});
document.addEventListener("keydown", (event) => {
  if (player.hidden || event.ctrlKey || event.altKey || event.metaKey) return;
  if (event.target.matches("input, select, textarea")) return;
  if (event.key === " " && !event.target.matches("button, a, summary")) play();
  else if (event.key === "ArrowLeft") go(audio.currentTime - STEP);
  else if (event.key === "ArrowRight") go(audio.currentTime + STEP);
  else if (event.key === "+" || event.code === "NumpadAdd" || event.code === "Equal") faster(1);
  else if (event.key === "-" || event.code === "NumpadSubtract") faster(-1);
  else return;
  event.preventDefault();
});
window.addEventListener("resize", draw);
