// The telephone of a consultant, by WebRTC. One window of a browser has it. The others wait for that
// one to close, or to give it up when they are asked to take it: never while there is a call.
// It stands in the workspace (workspace.js), whose page is never left: that would end the call.
const telephone = document.getElementById("telephone");
const [answering, hangingUp, takingOver, keypad, voice, microphone, speaker, broken] = [
  "answer", "hang-up", "take-over", "keypad", "voice", "microphone", "speaker", "broken",
].map((id) => document.getElementById(id));
const windows = new BroadcastChannel("telephone"); // those of this browser
const own = { id: crypto.randomUUID(), openedAt: Date.now() };
const EXPIRES = 60; // seconds: who is gone without a word is away after these
const TEST = 5000; // milliseconds for which the microphone is tested
const CONNECT = 4000; // milliseconds after answering in which sound must go
const AGAIN = 5000; // milliseconds before the page is loaded anew
const REFUSALS = 8; // before this telephone says that it is refused
const LEARN = 2000; // milliseconds between two: Asterisk has a new secret a moment after the page
const OWN_CALL = "111 CALL"; // the name of a call that this consultant makes
const RETURN = 15000; // milliseconds within which a call that was asked for is answered by itself

let session = null; // the call that rings or is talked in
let ours = null; // the microphone
let returns = "inCall" in telephone.dataset; // the page was loaded anew in a conversation
let tries = 0; // to get sound through
let refusals = 0; // one after the other
let trouble = null; // why this telephone is out of use: silent or deaf
let bell = null;
let has = false; // this window has the telephone
let waiting = null; // aborts the wait for it

function show(state) {
  telephone.dataset.shown = state;
  for (const each of telephone.querySelectorAll("[data-state]"))
    each.hidden = each.dataset.state !== state;
  answering.hidden = state !== "ringing";
  hangingUp.hidden = state !== "ringing" && state !== "talking";
  keypad.hidden = state !== "talking";
  takingOver.hidden = true; // until the window that has it says that there is no call
  document.getElementById("call-elsewhere").hidden = true;
  if (has) describe();
}

/** What the board says is of before: it is read anew, so that what was done is seen at once. */
function outdate() {
  document.dispatchEvent(new Event("outdated"));
}

function rest() {
  if (has && !session) show(trouble ?? (agent.isRegistered() ? "ready" : "lost"));
}

// Sound

async function listen() {
  const chosen = localStorage.getItem("microphone");
  const audio = { echoCancellation: true, noiseSuppression: true, autoGainControl: true };
  if (chosen) audio.deviceId = chosen; // another one, where this is not plugged in
  const heard = await navigator.mediaDevices.getUserMedia({ audio });
  const [track] = heard.getAudioTracks();
  track.addEventListener("ended", () => out_of_use("silent"));
  ours?.getTracks().forEach((each) => each.stop());
  ours = heard;
  const sender = session?.connection?.getSenders().find((each) => each.track?.kind === "audio");
  await sender?.replaceTrack(track);
}

async function name_devices() {
  const devices = await navigator.mediaDevices.enumerateDevices();
  for (const [select, kind] of [[microphone, "audioinput"], [speaker, "audiooutput"]]) {
    const options = devices.filter((each) => each.kind === kind);
    select.replaceChildren(...options.map((each) => new Option(each.label, each.deviceId)));
    const chosen = localStorage.getItem(select.id);
    if (options.some((each) => each.deviceId === chosen)) select.value = chosen;
    select.disabled = options.length === 0;
  }
  if (speaker.value && speaker.value === localStorage.getItem("speaker"))
    await voice.setSinkId(speaker.value);
}

function ring(on) {
  bell?.close();
  bell = null;
  if (!on) return;
  bell = new AudioContext();
  const tone = new OscillatorNode(bell, { frequency: 425 });
  const loud = new GainNode(bell, { gain: 0 });
  for (let second = 0; second < 60; second += 3) {
    loud.gain.setValueAtTime(0.2, second);
    loud.gain.setValueAtTime(0, second + 1);
  }
  tone.connect(loud).connect(bell.destination);
  tone.start();
}

function test() {
  const world = new AudioContext();
  const meter = document.getElementById("level");
  const ear = new AnalyserNode(world);
  new MediaStreamAudioSourceNode(world, { mediaStream: ours }).connect(ear);
  const samples = new Float32Array(ear.fftSize);
  const until = Date.now() + TEST;
  const look = setInterval(() => {
    ear.getFloatTimeDomainData(samples);
    meter.value = Math.min(1, 3 * Math.max(...samples.map(Math.abs)));
    if (Date.now() < until) return;
    clearInterval(look);
    meter.value = 0;
    world.close();
  }, 50);
}

// Calls

function take(call) {
  if (trouble || (session && !returns)) {
    call.terminate({ status_code: 480 });
    return;
  }
  // The call that was asked for may be here before the end of the one that it replaces.
  const [replaced, done] = [session, () => session === call && leave()];
  session = call;
  if (replaced && !replaced.isEnded()) replaced.terminate();
  call.on("ended", done);
  call.on("failed", done);
  call.on("peerconnection", ({ peerconnection }) => hear(call, peerconnection));
  call.on("accepted", () => {
    ring(false);
    show("talking");
    outdate();
  });
  show("ringing");
  // Somebody who calls may be of another appeal than what is open.
  if (!returns && call.remote_identity.display_name !== OWN_CALL) workspace.closeAppeal();
  outdate();
  if (returns) answer(); // this page asked for it
  else {
    ring(true);
    // Whoever types goes on typing: what is typed answers no call.
    if (!document.activeElement.matches("input, select, textarea")) answering.focus();
  }
}

function leave() {
  session = null;
  ring(false);
  voice.srcObject = null;
  rest();
  outdate();
}

function hear(call, connection) {
  connection.addEventListener("track", (event) => (voice.srcObject = new MediaStream([event.track])));
  const given_up = setTimeout(() => lost(call), CONNECT);
  connection.addEventListener("connectionstatechange", () => {
    telephone.dataset.sound = connection.connectionState;
    if (connection.connectionState === "connected") {
      clearTimeout(given_up);
      tries = 0;
      broken.hidden = true;
    }
    if (connection.connectionState === "failed") lost(call);
  });
}

// No sound goes through. The controller calls once more; the second time it finds nobody here, tells
// the caller so, and gives the call to somebody else.
async function lost(call) {
  if (call.isEnded() || call.connection?.connectionState === "connected") return;
  broken.hidden = false;
  if (tries++) out_of_use("deaf");
  await come_back();
  if (!call.isEnded()) call.terminate(); // the controller knew nothing of it any more
}

async function come_back() {
  returns = true;
  setTimeout(() => (returns = false), RETURN);
  // The call may be here, and answered, before the answer to this: it is not awaited again then.
  if (!(await workspace.ask(telephone.dataset.ringAgain, workspace.token()))) returns = false;
}

function answer() {
  returns = false;
  session?.answer({ mediaStream: ours, pcConfig: { iceServers: [] } });
}

// Nobody is offered any more; a conversation goes on as it can.
function out_of_use(why) {
  trouble = why;
  agent?.unregister();
  rest();
}

function send(key) {
  if (/^[0-9*#]$/.test(key)) session?.sendDTMF(key, { transportType: "RFC2833" });
}

window.addEventListener("beforeunload", (event) => {
  if (session) event.preventDefault();
});
// The caller hears music at once; a page that is loaded anew calls both together again.
window.addEventListener("pagehide", () => {
  if (session?.isEstablished()) navigator.sendBeacon(telephone.dataset.hold, workspace.token());
});

answering.addEventListener("click", answer);
hangingUp.addEventListener("click", () => session?.terminate());
keypad.addEventListener("click", (event) => send(event.target.dataset.key ?? ""));
document.getElementById("keys").addEventListener("input", (event) => {
  [...event.target.value].forEach(send);
  event.target.value = "";
});
document.getElementById("try").addEventListener("click", test);
microphone.addEventListener("change", () => {
  localStorage.setItem("microphone", microphone.value);
  listen().catch(() => out_of_use("silent"));
});
speaker.addEventListener("change", () => {
  localStorage.setItem("speaker", speaker.value);
  voice.setSinkId(speaker.value);
});

// From here on it is connected.

let agent = null;

async function account() {
  return (await fetch(telephone.dataset.account, { cache: "no-store" })).json();
}

// A secret lives as long as the session: it may be another by now, or not be in Asterisk yet.
async function register_again() {
  if (!has) return;
  try {
    agent.set("ha1", (await account()).ha1);
    agent.register();
  } catch {
    show("refused"); // signed out
  }
}

async function connect() {
  show("connecting");
  await listen();
  await name_devices();
  navigator.mediaDevices.addEventListener("devicechange", name_devices);
  const { url, extension, realm, ha1 } = await account();
  agent = new JsSIP.UA({
    sockets: [new JsSIP.WebSocketInterface(url)],
    uri: `sip:${extension}@${new URL(url).hostname}`,
    realm,
    ha1,
    register_expires: EXPIRES,
    session_timers: false,
    connection_recovery_min_interval: 1,
    connection_recovery_max_interval: 5,
    user_agent: "callcenter",
  });
  agent.on("registered", () => {
    refusals = 0;
    rest();
    if (returns) come_back();
  });
  agent.on("unregistered", rest);
  agent.on("disconnected", rest);
  agent.on("registrationFailed", ({ response }) => {
    const refused = response?.status_code === 403 || response?.status_code === 401;
    if (refused && refusals++ < REFUSALS) setTimeout(register_again, LEARN);
    else show(refused ? "refused" : "lost");
  });
  agent.on("newRTCSession", ({ session: call, originator }) => originator === "remote" && take(call));
  agent.start();
}

// Which window has it

function describe() {
  windows.postMessage({ what: "here", openedAt: own.openedAt, isBusy: session !== null });
}

function show_where({ openedAt, isBusy }) {
  const format = { hour: "2-digit", minute: "2-digit", timeZone: "Asia/Almaty" };
  const time = new Intl.DateTimeFormat("ru", format).format(openedAt);
  document.getElementById("opened-at").textContent = time;
  document.getElementById("call-elsewhere").hidden = !isBusy;
  takingOver.hidden = isBusy;
}

function give_up(to) {
  if (session || !agent) return describe(); // it rings this moment, or is being connected
  has = false;
  agent?.stop();
  agent = null;
  trouble = null;
  ours?.getTracks().forEach((each) => each.stop());
  show("elsewhere");
  windows.postMessage({ what: "yours", to });
}

windows.addEventListener("message", ({ data }) => {
  if (data.what === "where" && has) describe();
  if (data.what === "here" && !has) show_where(data);
  if (data.what === "give" && has) give_up(data.to);
  if (data.what === "yours" && data.to === own.id) seize();
});
takingOver.addEventListener("click", () => windows.postMessage({ what: "give", to: own.id }));

// Held for as long as the page is open; who holds a lock is not put to sleep by the browser.
async function hold(how) {
  try {
    await navigator.locks.request("telephone", how, async () => {
      has = true;
      try {
        await connect();
      } catch {
        show(ours ? "lost" : "silent");
        if (ours) setTimeout(() => location.reload(), AGAIN); // the server is away
      }
      return new Promise(() => {});
    });
  } catch {
    // Another window has taken it over, or this one waits for it no more.
  }
}

async function wait() {
  waiting = new AbortController();
  const { signal } = waiting;
  windows.postMessage({ what: "where" });
  await hold({ signal });
  if (!signal.aborted) wait();
}

async function seize() {
  waiting.abort();
  await hold({ steal: true });
  wait();
}

JsSIP.debug.disable();
show("elsewhere");
wait();
