// Frames to and from the host over stdin and stdout.

import { parseExactly, toText } from "./json.js";

export const LOAD = 1, CHECK = 2, CALL = 3, CREDIT = 4, CANCEL = 5, REPLY = 6, CHUNK = 7, PING = 8;
export const RESET = 9, CLOCK = 10, COVER = 11, SIGNED = 12;
export const READY = 32, LOADED = 33, RESULT = 34, PAGE = 35, END = 36, ERROR = 37, FETCH = 38;
export const ABORT = 39, PULL = 40, PONG = 41, LOG = 42, CLEAN = 43, TICK = 44, COVERAGE = 45;
export const SIGN = 46;

export const HEADER = 9;

const { internal, exit, memoryUsage } = Deno;
export { exit, memoryUsage };
const core = Deno[internal]?.core;
const write = Deno.stdout.writeSync.bind(Deno.stdout);
const stdin = Deno.stdin;
const encoder = new TextEncoder();
const decoder = new TextDecoder();

let reading = null;
let isKept = true;

export function sendBytes(bytes) {
  let at = 0;
  while (at < bytes.length) at += write(at === 0 ? bytes : bytes.subarray(at));
}

// Fills the free bytes before a payload that was built with room for them.
export function putHeader(bytes, kind, id) {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  view.setUint32(0, bytes.length - HEADER, true);
  view.setUint8(4, kind);
  view.setUint32(5, id, true);
  return bytes;
}

export function send(kind, id, ...parts) {
  let size = HEADER;
  for (const part of parts) if (part) size += part.length;
  const bytes = new Uint8Array(size);
  let at = HEADER;
  for (const part of parts) {
    if (!part) continue;
    bytes.set(part, at);
    at += part.length;
  }
  sendBytes(putHeader(bytes, kind, id));
}

export const sendJson = (kind, id, value) => send(kind, id, encoder.encode(toText(value)));
export const readJson = (payload) => parseExactly(decoder.decode(payload));

// Tells whether waiting for the host alone keeps the event loop alive.
export function keep(wanted) {
  if (wanted === isKept || !core) return;
  isKept = wanted;
  if (reading) (wanted ? core.refOpPromise : core.unrefOpPromise)(reading);
}

function read(buffer) {
  reading = core ? core.read(0, buffer) : stdin.read(buffer);
  if (core && !isKept) core.unrefOpPromise(reading);
  return reading;
}

// Calls `onFrame(kind, id, payload)` for every frame; the payload is gone after it returns.
export async function listen(onFrame) {
  let buffer = new Uint8Array(1 << 20);
  let start = 0;
  let end = 0;
  for (;;) {
    const count = await read(buffer.subarray(end));
    if (!count) exit(0);
    end += count;
    let needed = HEADER;
    while (end - start >= HEADER) {
      const view = new DataView(buffer.buffer, start);
      needed = HEADER + view.getUint32(0, true);
      if (end - start < needed) break;
      const payload = buffer.subarray(start + HEADER, start + needed);
      start += needed;
      onFrame(view.getUint8(4), view.getUint32(5, true), payload);
      needed = HEADER;
    }
    if (start === end) {
      start = end = 0;
    } else if (start > 0) {
      buffer.copyWithin(0, start, end);
      end -= start;
      start = 0;
    }
    if (needed > buffer.length) {
      const larger = new Uint8Array(needed + (1 << 16));
      larger.set(buffer.subarray(0, end));
      buffer = larger;
    }
  }
}
