// What the page that opens a disclosure takes from packages; scripts/setup bundles it.
export { Decrypter, generateX25519Identity, identityToRecipient } from "age-encryption";
export { ed25519 } from "@noble/curves/ed25519.js";
export { sha256 } from "@noble/hashes/sha2.js";
