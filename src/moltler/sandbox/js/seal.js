// Secrets that are sealed stay so in `btoa`, and may be the key of an HMAC (LANGUAGE §5.4).
//
// The host opens what is made here without believing any of it: a derived seal says what text was
// given to btoa, and a signature is made with whatever seals of the instance its key holds.

import { current, waits } from "./calls.js";
import { stringify } from "./json.js";
import { send, SIGN } from "./pipe.js";

const SEAL = /sealed_(?:[0-9a-f]{32}|b_[1-9][0-9]*_[0-9a-f])/;
// Bytes of a key that holds seals; the host ends a process that sends more.
const MAX_KEY = 64 << 10;
const HEX = Array.from({ length: 256 }, (_, i) => i.toString(16).padStart(2, "0"));

const nativeBtoa = globalThis.btoa;
const encoder = new TextEncoder();
const decoder = new TextDecoder("latin1");
const decode = TextDecoder.prototype.decode.bind(decoder);
const test = Function.prototype.call.bind(RegExp.prototype.test);
const charCodeAt = Function.prototype.call.bind(String.prototype.charCodeAt);
const NativePromise = Promise;
const NativeException = DOMException;
const { isView } = ArrayBuffer;
const call = Function.prototype.call.bind(Function.prototype.call);
const keyUsages = Function.prototype.call.bind(describe(CryptoKey.prototype, "usages").get);
const keyAlgorithm = Function.prototype.call.bind(describe(CryptoKey.prototype, "algorithm").get);
const includes = Function.prototype.call.bind(Array.prototype.includes);
const toUpperCase = Function.prototype.call.bind(String.prototype.toUpperCase);
const getKey = Function.prototype.call.bind(WeakMap.prototype.get);
const setKey = Function.prototype.call.bind(WeakMap.prototype.set);

function describe(object, name) {
  return Object.getOwnPropertyDescriptor(object, name);
}

function hexOf(bytes) {
  let digits = "";
  for (let i = 0; i < bytes.length; i++) digits += HEX[bytes[i]];
  return digits;
}

export function btoa(data) {
  if (arguments.length === 0) return nativeBtoa();
  const text = `${data}`;
  if (!test(SEAL, text)) return nativeBtoa(text);
  let digits = "";
  for (let i = 0; i < text.length; i++) {
    const code = charCodeAt(text, i);
    if (code > 255) return nativeBtoa(text); // throws what it throws for any text
    digits += HEX[code];
  }
  return `sealed_b_${digits.length}_${digits}`;
}

// ── HMAC ────────────────────────────────────────────────────────────────────────────────────

const sealedKeys = new WeakMap();
const waiting = new Map();
let last = 0;
let previous = null;

function copyOf(source) {
  if (isView(source)) {
    return new Uint8Array(source.buffer, source.byteOffset, source.byteLength).slice();
  }
  return new Uint8Array(source).slice();
}

function ask(owner, hash, key, content) {
  return new NativePromise((resolve) => {
    const id = ++last;
    waiting.set(id, resolve);
    const head = encoder.encode(stringify({ call: owner.id, hash, key }));
    send(SIGN, id, new Uint8Array(new Uint32Array([head.length]).buffer), head, content);
  });
}

async function signed({ hash, key }, content) {
  const owner = current();
  if (!owner) throw new NativeException("the call has ended", "AbortError");
  waits(owner, 1);
  const before = previous;
  let done;
  previous = new NativePromise((resolve) => done = resolve);
  try {
    await before;
    if (owner.done) throw new NativeException("the call has ended", "AbortError");
    const signature = await ask(owner, hash, key, content);
    if (signature.length === 0) {
      throw new NativeException("the key is too large", "OperationError");
    }
    return signature;
  } finally {
    done();
    waits(owner, -1);
  }
}

export function onSigned(id, payload) {
  const resolve = waiting.get(id);
  waiting.delete(id);
  resolve?.(payload.slice());
}

const subtle = SubtleCrypto.prototype;
const native = { importKey: subtle.importKey, sign: subtle.sign, verify: subtle.verify };

function sealedKeyOf(algorithm, key, usage) {
  const name = typeof algorithm === "string" ? algorithm : algorithm?.name;
  const sealed = typeof key === "object" && key !== null ? getKey(sealedKeys, key) : undefined;
  if (!sealed || typeof name !== "string" || toUpperCase(name) !== "HMAC") return null;
  return includes(keyUsages(key), usage) ? sealed : null;
}

const adapted = {
  async importKey(format, keyData, algorithm, extractable, keyUsages) {
    const isRaw = format === "raw" && typeof keyData === "object" && keyData !== null;
    const bytes = isRaw && (isView(keyData) || keyData instanceof ArrayBuffer)
      ? copyOf(keyData)
      : null;
    const key = await call(
      native.importKey,
      this,
      format,
      bytes ?? keyData,
      algorithm,
      extractable,
      keyUsages,
    );
    const made = keyAlgorithm(key);
    if (bytes && made.name === "HMAC" && test(SEAL, decode(bytes))) {
      if (bytes.length > MAX_KEY) throw new NativeException("the key is too large", "DataError");
      setKey(sealedKeys, key, { hash: made.hash.name, key: hexOf(bytes) });
    }
    return key;
  },

  async sign(algorithm, key, data) {
    const sealed = sealedKeyOf(algorithm, key, "sign");
    if (!sealed) return await call(native.sign, this, algorithm, key, data);
    return (await signed(sealed, copyOf(data))).buffer;
  },

  async verify(algorithm, key, signature, data) {
    const sealed = sealedKeyOf(algorithm, key, "verify");
    if (!sealed) return await call(native.verify, this, algorithm, key, signature, data);
    const given = copyOf(signature);
    const wanted = await signed(sealed, copyOf(data));
    let difference = given.length ^ wanted.length;
    for (let i = 0; i < wanted.length; i++) difference |= wanted[i] ^ given[i];
    return difference === 0;
  },
};
for (const [name, value] of Object.entries(adapted)) {
  Object.defineProperty(subtle, name, { ...describe(subtle, name), value });
}
