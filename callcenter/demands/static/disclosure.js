// Keys of the authority, and opening a bundle in its browser: what verify_bundle.py does, in the
// same order. The private key is read from its file, and goes nowhere.
"use strict";

const BLOCK = 512; // bytes of a tar's blocks
const LARGEST_LIST = 64 * 1024 * 1024; // bytes of what is no recording, as the script has it
const LIMIT = 1024 ** 3; // bytes of a bundle: the browser holds it, and what is in it
const HELD = 16 * 1024 * 1024; // bytes of a file that are in memory at once
const LISTS = ["SHA256SUMS", "SHA256SUMS.sig", "manifest.json", "manifest.json.sig"];
const LETTER = "letter.pdf";
const RECORDING = /^recordings\/[0-9A-Za-z][0-9A-Za-z.-]*$/;
const SUM = /^([0-9a-f]{64}) {2}(\S+)$/;
const FORMAT = "callcenter-disclosure-1";
const KEY_OF_ED25519 = "302a300506032b6570032100"; // RFC 8410, before the 32 bytes
const TYPES = { flac: "audio/flac", opus: "audio/ogg", pdf: "application/pdf" };
const IDENTITY = /^AGE-SECRET-KEY-1[0-9A-Z]+$/i;
const PINNED = /^# key of the center, SHA-256: ([0-9a-f]{64})$/;

/** The bundle or the key is not what it has to be; `code` is that of the message on the page. */
class Rejected extends Error {
  constructor(code, detail = "") {
    super(detail);
    this.code = code;
  }
}

const hex = (bytes) => Array.from(bytes, (each) => each.toString(16).padStart(2, "0")).join("");
const sumOf = (bytes) => hex(Age.sha256(bytes));
const textOf = (bytes) => new TextDecoder("utf-8", { fatal: true }).decode(bytes);

/** Reads so many bytes of a stream, no more; what is there when it ends before. */
class ByteReader {
  #reader;
  #rest = new Uint8Array(0);

  constructor(stream) {
    this.#reader = stream.getReader();
  }

  /** The next bytes, at most `count`; none at the end. */
  async some(count) {
    while (!this.#rest.length) {
      const { done, value } = await this.#reader.read();
      if (done) return this.#rest;
      this.#rest = value;
    }
    const taken = this.#rest.subarray(0, count);
    this.#rest = this.#rest.subarray(taken.length);
    return taken;
  }

  async exactly(count) {
    const whole = new Uint8Array(count);
    let at = 0;
    while (at < count) {
      const piece = await this.some(count - at);
      if (!piece.length) throw new Rejected("damaged", "the archive is cut off");
      whole.set(piece, at);
      at += piece.length;
    }
    return whole;
  }
}

/** The next header of the tar, null at its end. Plain files alone: no link, folder or long name. */
async function nextMember(archive) {
  const block = await archive.exactly(BLOCK);
  if (block.every((each) => each === 0)) {
    const end = await archive.exactly(BLOCK);
    if (end.some((each) => each !== 0) || (await archive.some(1)).length) {
      throw new Rejected("altered", "the archive does not end where it has to");
    }
    return null;
  }
  const field = (from, length) => textOf(block.subarray(from, from + length)).split("\0")[0];
  const sum = block.reduce((all, each, at) => all + (at >= 148 && at < 156 ? 32 : each), 0);
  const octal = (from, length) => {
    const written = field(from, length).trim();
    if (!/^[0-7]+$/.test(written)) throw new Rejected("altered", "a header is damaged");
    return parseInt(written, 8);
  };
  if (octal(148, 8) !== sum) throw new Rejected("altered", "a header is damaged");
  const name = field(0, 100);
  if (block[156] !== 0x30 || field(345, 155)) {
    throw new Rejected("altered", `${name} is no plain file`);
  }
  return { name, size: octal(124, 12) };
}

/** The content of a member as pieces, and its sum. */
async function contentOf(archive, member, onPiece = () => {}) {
  let pieces = [];
  let held = 0;
  const digest = Age.sha256.create();
  for (let left = member.size; left > 0; ) {
    const piece = await archive.some(left);
    if (!piece.length) throw new Rejected("damaged", `the archive is cut off within ${member.name}`);
    left -= piece.length;
    digest.update(piece);
    pieces.push(piece.slice());
    onPiece(piece.length);
    held += piece.length;
    if (held > HELD) [pieces, held] = [[new Blob(pieces)], 0]; // which the browser may put on disk
  }
  await archive.exactly((BLOCK - (member.size % BLOCK)) % BLOCK);
  return { pieces, sum: hex(digest.digest()) };
}

async function readList(archive, name) {
  const member = await nextMember(archive);
  if (!member || member.name !== name || member.size > LARGEST_LIST) {
    throw new Rejected("altered", `${name} is not where it has to be`);
  }
  const { pieces } = await contentOf(archive, member);
  return new Uint8Array(await new Blob(pieces).arrayBuffer());
}

function readSums(lists) {
  const sums = new Map();
  const lines = textOf(lists.SHA256SUMS).split("\n");
  if (lines.pop() !== "") throw new Rejected("altered", "SHA256SUMS does not end with its line");
  for (const line of lines) {
    const found = SUM.exec(line);
    if (!found || sums.has(found[2])) throw new Rejected("altered", "SHA256SUMS is damaged");
    sums.set(found[2], found[1]);
  }
  for (const name of LISTS.slice(2)) {
    if (sums.get(name) !== sumOf(lists[name])) throw new Rejected("altered", `${name} was changed`);
  }
  return sums;
}

/** The files that have to follow, with their sizes; the two signed lists must list the same. */
function readSizes(manifest, sums) {
  const sizes = new Map([[LETTER, null]]);
  for (const each of manifest.recordings) {
    if (!RECORDING.test(each.file) || sizes.has(each.file) || sums.get(each.file) !== each.sha256) {
      throw new Rejected("altered", "the lists do not list the same files");
    }
    sizes.set(each.file, each.bytes);
  }
  const listed = [...LISTS.slice(2), ...sizes.keys()];
  if (sums.size !== listed.length || !listed.every((name) => sums.has(name))) {
    throw new Rejected("altered", "the lists do not list the same files");
  }
  return sizes;
}

/** Verifies an archive of this demand by the key of the center; its manifest and files. */
async function verify(stream, key, demand, onPiece) {
  const archive = new ByteReader(stream);
  const lists = {};
  for (const name of LISTS) lists[name] = await readList(archive, name);
  for (const name of ["SHA256SUMS", "manifest.json"]) {
    const signature = lists[`${name}.sig`];
    const isSigned =
      signature.length === 64 &&
      Age.ed25519.verify(signature, lists[name], key, { zip215: false });
    if (!isSigned) throw new Rejected("unsigned", `${name} is not signed by the center`);
  }
  const manifest = JSON.parse(textOf(lists["manifest.json"]));
  if (manifest.format !== FORMAT) throw new Rejected("format", manifest.format);
  if (manifest.demand !== demand) throw new Rejected("demand", manifest.demand);
  const sums = readSums(lists);
  const missing = readSizes(manifest, sums);
  const files = [];
  for (let member; (member = await nextMember(archive)); ) {
    const { name, size } = member;
    if (!missing.has(name)) throw new Rejected("altered", `${name} is not listed`);
    const expected = missing.get(name);
    missing.delete(name);
    if (expected === null ? size > LARGEST_LIST : size !== expected) {
      throw new Rejected("altered", `${name} has another size`);
    }
    const { pieces, sum } = await contentOf(archive, member, onPiece);
    if (sum !== sums.get(name)) throw new Rejected("altered", `${name} has another sum`);
    const type = TYPES[name.split(".").pop()] ?? "application/octet-stream";
    files.push({ name, sum, content: new Blob(pieces, { type }) });
  }
  if (missing.size) throw new Rejected("altered", "a file is missing");
  return { manifest, files };
}

/** The public key of the center, if its SHA-256 is the one that the authority has. */
function readCenterKey(written, fingerprint) {
  const given = fingerprint.replace(/[\s:]/g, "").toLowerCase();
  const der = Uint8Array.from(atob(written), (each) => each.charCodeAt(0));
  if (!hex(der).startsWith(KEY_OF_ED25519) || sumOf(der) !== given) throw new Rejected("center");
  return der.subarray(KEY_OF_ED25519.length / 2);
}

/** What a key file has: the private key, and the SHA-256 of the center's key when it was made. */
async function readKeyFile(file) {
  const lines = file && file.size < 65536 ? (await file.text()).split(/\r?\n/) : [];
  const identities = lines.map((line) => line.trim()).filter((line) => IDENTITY.test(line));
  if (!identities.length) throw new Rejected("no_key");
  const pinned = lines.map((line) => PINNED.exec(line)?.[1]).find(Boolean);
  return { identities, pinned };
}

async function decrypt(bundle, identities) {
  const decrypter = new Age.Decrypter();
  try {
    for (const each of identities) decrypter.addIdentity(each.toUpperCase());
  } catch {
    throw new Rejected("no_key");
  }
  try {
    return await decrypter.decrypt(bundle.stream());
  } catch (error) {
    throw new Rejected(/no identity matched/.test(error.message) ? "wrong_key" : "damaged");
  }
}

/** Takes the bundle from the center, which gives it once. */
async function take(form, onPiece) {
  let response;
  try {
    response = await fetch(form.dataset.bundle, {
      method: "POST",
      body: new URLSearchParams({ form_token: form.elements.form_token.value }),
    });
  } catch {
    throw new Rejected("not_given");
  }
  const isBundle = response.headers.get("Content-Type") === "application/octet-stream";
  if (!response.ok || !isBundle) throw new Rejected("not_given");
  const counted = new TransformStream({
    transform(piece, controller) {
      onPiece(piece.length);
      controller.enqueue(piece);
    },
  });
  try {
    return await new Response(response.body.pipeThrough(counted)).blob();
  } catch {
    throw new Rejected("broken_off");
  }
}

function save(content, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(content);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
}

// ------------------------------------------------------------------ the page of demands

const maker = document.getElementById("make-key");
maker?.addEventListener("click", async () => {
  const identity = await Age.generateX25519Identity();
  const recipient = await Age.identityToRecipient(identity);
  const lines = [
    `# created: ${new Date().toISOString()}`,
    `# public key: ${recipient}`,
    `# key of the center, SHA-256: ${maker.dataset.fingerprint}`,
    identity,
    "",
  ];
  save(new Blob([lines.join("\n")], { type: "text/plain" }), "authority.key");
  document.getElementById("recipient").value = recipient;
  document.getElementById("key-made").hidden = false;
});
maker?.parentElement.removeAttribute("hidden");

// ------------------------------------------------------------------ the page of one bundle

const form = document.getElementById("open-bundle");
const progress = document.getElementById("opening");

function tell(code) {
  for (const each of document.querySelectorAll("[data-message]")) {
    each.hidden = each.dataset.message !== code;
  }
}

/** Shows how far it is, in two halves: what came, and what was decrypted and verified. */
function counter(total, from) {
  let done = 0;
  return (bytes) => {
    done += bytes;
    progress.value = from + Math.min(50, Math.floor((50 * done) / (total || 1)));
  };
}

function show({ manifest, files }) {
  const about = new Map(manifest.recordings.map((each) => [each.file, each]));
  const list = document.getElementById("opened-files");
  const pattern = document.getElementById("opened-file");
  for (const file of files) {
    const row = pattern.content.cloneNode(true);
    const name = file.name.split("/").pop();
    row.querySelector("[data-name]").textContent = name;
    row.querySelector("[data-sum]").textContent = file.sum;
    const link = row.querySelector("a");
    link.href = URL.createObjectURL(file.content);
    link.download = name;
    const player = row.querySelector("audio");
    if (about.has(file.name)) player.src = link.href;
    else player.remove();
    list.append(row);
  }
  document.getElementById("opened-answer").textContent = manifest.answer;
  document.getElementById("opened-letter").textContent = manifest.letter;
  document.getElementById("opened").hidden = false;
}

form?.elements.key.addEventListener("change", async () => {
  try {
    const { pinned } = await readKeyFile(form.elements.key.files[0]);
    if (pinned && !form.elements.fingerprint.value) form.elements.fingerprint.value = pinned;
    tell("");
  } catch (error) {
    tell(error.code);
  }
});

async function open() {
  const { identities } = await readKeyFile(form.elements.key.files[0]);
  const center = readCenterKey(form.dataset.center, form.elements.fingerprint.value);
  let bundle = form.elements.bundle.files[0];
  if (!bundle) {
    if (!form.dataset.bundle) throw new Rejected("no_bundle");
    // It is given once: whatever can be known to fail is found out before.
    if (Number(form.dataset.bytes) > LIMIT) throw new Rejected("too_large");
    const recipients = await Promise.all(
      identities.map((each) => Age.identityToRecipient(each.toUpperCase())),
    ).catch(() => {
      throw new Rejected("no_key");
    });
    if (!recipients.includes(form.dataset.recipient)) throw new Rejected("wrong_key");
    bundle = await take(form, counter(Number(form.dataset.bytes), 0));
    delete form.dataset.bundle;
    const copy = document.getElementById("encrypted-copy");
    copy.querySelector("a").href = URL.createObjectURL(bundle);
    copy.hidden = false;
  }
  if (bundle.size > LIMIT) throw new Rejected("too_large");
  const archive = await decrypt(bundle, identities);
  show(await verify(archive, center, form.dataset.demand, counter(bundle.size, 50)));
  progress.value = 100;
  tell("verified");
}

form?.addEventListener("submit", async (event) => {
  event.preventDefault();
  const button = form.querySelector("button");
  button.disabled = true;
  document.getElementById("opened").hidden = true;
  document.getElementById("opened-files").replaceChildren();
  progress.value = 0;
  progress.parentElement.hidden = false;
  tell("");
  try {
    await open();
  } catch (error) {
    // Whatever else goes wrong in it: a chunk that age refuses, JSON that is none.
    tell(error instanceof Rejected ? error.code : "damaged");
  }
  progress.parentElement.hidden = true;
  button.disabled = false;
});
form?.removeAttribute("hidden");
