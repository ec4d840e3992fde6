// What handlers find in the global scope: ours instead of the native, and what is deleted.

import { current, storage } from "./calls.js";
import "./cover.js";
import { makeConsole } from "./console.js";
import * as errors from "./errors.js";
import { fetch } from "./fetch.js";
import { flush } from "./pages.js";
import { LOG, sendJson } from "./pipe.js";
import { btoa } from "./seal.js";

const { inspect } = Deno;

function timersOf(start, clear, isOnce) {
  return function (callback, delay, ...values) {
    const call = current();
    if (!call || typeof callback !== "function") return start(callback, delay, ...values);
    flush(call);
    const timer = start(
      (...given) => {
        if (isOnce) call.timers.delete(timer);
        callback(...given);
      },
      delay,
      ...values,
    );
    call.timers.set(timer, () => clear(timer));
    return timer;
  };
}

function stopTimer(clear) {
  return (timer) => {
    current()?.timers.delete(timer);
    clear(timer);
  };
}

const idleLog = { log: { lines: 0, characters: 0, dropped: 0 } };
const { setTimeout, setInterval, clearTimeout, clearInterval } = globalThis;
const made = makeConsole(
  (level, text) => sendJson(LOG, storage.getStore()?.id ?? 0, { level, text }),
  () => (storage.getStore() ?? idleLog).log,
  inspect,
);
const replaced = {
  fetch,
  btoa,
  console: made.console,
  setTimeout: timersOf(setTimeout, clearTimeout, true),
  setInterval: timersOf(setInterval, clearInterval, false),
  clearTimeout: stopTimer(clearTimeout),
  clearInterval: stopTimer(clearInterval),
  ConnectorError: errors.ConnectorError,
  ConnectorAuthError: errors.ConnectorAuthError,
  ConnectorRateLimitError: errors.ConnectorRateLimitError,
  ConnectorConnectionError: errors.ConnectorConnectionError,
  ConnectorTimeoutError: errors.ConnectorTimeoutError,
  FetchError: errors.FetchError,
};
for (const [name, value] of Object.entries(replaced)) {
  Object.defineProperty(globalThis, name, { value, writable: true, configurable: true });
}

// Forgets what handlers printed.
export function resetConsole() {
  made.reset();
  idleLog.log = { lines: 0, characters: 0, dropped: 0 };
}

const DELETED = [
  "Deno process Buffer global Worker SharedWorker WebSocket WebSocketStream EventSource",
  "BroadcastChannel localStorage sessionStorage Storage caches CacheStorage Cache indexedDB",
  "SharedArrayBuffer OffscreenCanvas ImageBitmapRenderingContext createImageBitmap alert confirm",
  "prompt close closed location Location setImmediate clearImmediate nodeBootstrap Lock",
  "LockManager",
].join(" ").split(" ");
for (const name of Object.getOwnPropertyNames(globalThis)) {
  if (DELETED.includes(name) || name.startsWith("GPU")) delete globalThis[name];
}
for (const name of ["gpu", "locks"]) delete Object.getPrototypeOf(navigator)[name];

addEventListener("unhandledrejection", (event) => {
  event.preventDefault();
  console.warn("a promise was rejected and nobody looked:", event.reason);
});
addEventListener("error", (event) => {
  event.preventDefault();
  console.warn("uncaught:", event.error);
});
