// The clock and the dice of a test: shifted by the host, or standing still but for timers.
//
// Nothing of this is installed in a process that serves no tests.

import { current, storage } from "./calls.js";
import { flush } from "./pages.js";
import { send, TICK } from "./pipe.js";

const MAX_BEHIND = 1_000;

const NativeDate = Date;
const nativeNow = Date.now;
const monotonic = performance.now.bind(performance);
const { setTimeout: start, clearTimeout: stop, reportError: report } = globalThis;
const { defineProperty, getOwnPropertyDescriptor } = Object;
const { construct } = Reflect;
const dateText = Function.prototype.call.bind(Date.prototype.toString);
const indirectEval = eval;

const timers = new Map();
let lastTimer = 0;
let offset = 0;
// {now, start, isInstant} while time stands; timers elapse at once if it is instant.
let virtual = null;
let dice = null;

// Milliseconds since 1970, as the test has it.
export const now = () => Math.floor(virtual ? virtual.now : nativeNow() + offset);
const ticks = () => virtual ? virtual.now : monotonic() + offset;

function move(time) {
  if (time <= virtual.now) return;
  virtual.now = time;
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setFloat64(0, time, true);
  send(TICK, 0, bytes);
}

function arm(timer) {
  if (!virtual?.isInstant) timer.native = start(fire, Math.max(0, timer.due - ticks()), timer);
}

function drop(timer) {
  timers.delete(timer.id);
  timer.call?.timers.delete(timer.id);
  if (timer.native !== null) stop(timer.native);
  timer.native = null;
}

function fire(timer) {
  timer.native = null;
  if (virtual) move(timer.due);
  if (timer.every === null) {
    drop(timer);
  } else {
    timers.delete(timer.id);
    timers.set(timer.id, timer); // behind those that are due at the same time
    timer.due = Math.max(timer.due + timer.every, ticks() - MAX_BEHIND * timer.every);
    arm(timer);
  }
  storage.run(timer.store, timer.callback, ...timer.values);
}

function add(callback, delay, values, isRepeated) {
  if (typeof callback !== "function") {
    const text = String(callback);
    callback = () => indirectEval(text);
  }
  const call = current();
  if (call) flush(call);
  const wait = Math.max(0, Number(delay) | 0);
  const timer = {
    id: ++lastTimer,
    call,
    store: storage.getStore(),
    callback,
    values,
    every: isRepeated ? Math.max(1, wait) : null,
    due: ticks() + wait,
    native: null,
  };
  timers.set(timer.id, timer);
  call?.timers.set(timer.id, () => drop(timer));
  arm(timer);
  return timer.id;
}

function clear(id) {
  const timer = timers.get(Number(id));
  if (timer) drop(timer);
}

function inOrder(isDue = () => true) {
  return [...timers.values()].filter(isDue).sort((one, other) => one.due - other.due);
}

// Called when nothing else can happen: lets the next timer elapse, if time stands.
export function elapse() {
  if (!virtual?.isInstant) return false;
  let next = null;
  for (const timer of timers.values()) if (next === null || timer.due < next.due) next = timer;
  if (next === null) return false;
  elapseOne(next);
  return true;
}

function elapseOne(timer) {
  try {
    fire(timer);
  } catch (error) {
    report(error);
  }
}

// Follows a CLOCK frame: {offset_ms}, or {virtual_now_ms} with {seed, is_instant} at first.
export function setClock({ offset_ms, virtual_now_ms, seed, is_instant }) {
  if (seed !== undefined) dice = makeDice(seed);
  if (virtual_now_ms === undefined) {
    offset = offset_ms;
    for (const timer of inOrder()) {
      if (timer.native !== null) stop(timer.native);
      arm(timer);
    }
    return;
  }
  if (virtual === null || is_instant !== undefined) {
    virtual = { now: virtual_now_ms, start: virtual_now_ms, isInstant: is_instant !== false };
  }
  const end = Math.max(virtual.now, virtual_now_ms);
  for (;;) {
    const [next] = inOrder((timer) => timer.due <= end);
    if (!next) break;
    virtual.now = Math.max(virtual.now, next.due); // the host knows: it moved the clock
    if (next.native !== null) stop(next.native);
    elapseOne(next);
  }
  virtual.now = end;
}

export function resetClock() {
  for (const timer of [...timers.values()]) drop(timer);
  lastTimer = offset = 0;
  virtual = dice = null;
}

// A small fast generator (sfc32): equal seeds give equal numbers on every machine.
function makeDice(seed) {
  let [a, b, c, count] = [seed >>> 0, Math.floor(seed / 2 ** 32) >>> 0, 0x9e3779b9, 1];
  const next = () => {
    const sum = (a + b + count++) >>> 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) >>> 0;
    c = (((c << 21) | (c >>> 11)) + sum) >>> 0;
    return sum;
  };
  for (let i = 0; i < 16; i++) next();
  return next;
}

function rollBytes(array) {
  const bytes = new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
  for (let i = 0; i < bytes.length; i++) bytes[i] = dice() & 0xff;
  return array;
}

function rollUUID() {
  const bytes = rollBytes(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}

// `make` gets the native function (or getter) and gives ours.
function replace(holder, name, make) {
  const found = getOwnPropertyDescriptor(holder, name);
  const key = "value" in found ? "value" : "get";
  defineProperty(holder, name, { ...found, [key]: make(found[key]) });
}

function installDate() {
  const ours = new Proxy(NativeDate, {
    apply: () => dateText(new NativeDate(now())),
    construct: (target, values, made) =>
      construct(target, values.length ? values : [now()], made === ours ? target : made),
  });
  replace(NativeDate, "now", () => ({ now: () => now() }).now);
  replace(NativeDate.prototype, "constructor", () => ours);
  replace(globalThis, "Date", () => ours);
  const shown = (date) => date === undefined ? now() : date;
  replace(Intl.DateTimeFormat.prototype, "format", (native) =>
    function format() {
      const bound = native.call(this);
      return (date) => bound(shown(date));
    });
  replace(Intl.DateTimeFormat.prototype, "formatToParts", (native) =>
    function formatToParts(date) {
      return native.call(this, shown(date));
    });
}

function installTemporal() {
  const { Now, Instant } = Temporal;
  const { fromEpochMilliseconds } = Instant;
  const at = (zone) => fromEpochMilliseconds(now()).toZonedDateTimeISO(zone ?? Now.timeZoneId());
  const ours = {
    instant: () => fromEpochMilliseconds(now()),
    zonedDateTimeISO: (zone) => at(zone),
    plainDateTimeISO: (zone) => at(zone).toPlainDateTime(),
    plainDateISO: (zone) => at(zone).toPlainDate(),
    plainTimeISO: (zone) => at(zone).toPlainTime(),
  };
  for (const name of Object.keys(ours)) replace(Now, name, () => ours[name]);
}

function installTimers() {
  const ours = {
    setTimeout: (callback, delay, ...values) => add(callback, delay, values, false),
    setInterval: (callback, delay, ...values) => add(callback, delay, values, true),
    clearTimeout: clear,
    clearInterval: clear,
  };
  for (const name of Object.keys(ours)) replace(globalThis, name, () => ours[name]);
  const NativeController = AbortController;
  replace(AbortSignal, "timeout", () =>
    function timeout(delay) {
      const controller = new NativeController();
      const why = new DOMException("Signal timed out.", "TimeoutError");
      add(() => controller.abort(why), delay, [], false);
      return controller.signal;
    });
}

function installDice() {
  replace(Math, "random", (native) =>
    function random() {
      return dice ? (dice() >>> 5) / 2 ** 27 : native();
    });
  replace(Crypto.prototype, "getRandomValues", (native) =>
    function getRandomValues(array) {
      const filled = native.call(this, array);
      return dice ? rollBytes(filled) : filled;
    });
  replace(Crypto.prototype, "randomUUID", (native) =>
    function randomUUID() {
      const uuid = native.call(this);
      return dice ? rollUUID() : uuid;
    });
}

// Puts the test's clock where handlers find the native one.
export function installClock() {
  installDate();
  installTemporal();
  installTimers();
  installDice();
  replace(Performance.prototype, "now", () =>
    function now() {
      return virtual ? virtual.now - virtual.start : monotonic() + offset;
    });
  replace(Performance.prototype, "timeOrigin", (native) =>
    function timeOrigin() {
      return virtual ? virtual.start : native.call(this);
    });
}
