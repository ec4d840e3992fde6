// The calls that are not over, and whether anything can still happen in them.

import { AsyncLocalStorage } from "node:async_hooks";
import { keep } from "./pipe.js";

const NativePromise = Promise;
export const storage = new AsyncLocalStorage();
export const calls = new Map();
let loading = null;

export function openCall(id, key = id) {
  const call = {
    id,
    key,
    credit: 0,
    wake: null,
    isStream: false,
    isRunning: true,
    isCancelled: false,
    done: false,
    waiting: 0,
    preparing: 0,
    prepared: null,
    iterator: null,
    isAdvancing: false,
    gathered: [],
    columns: [],
    timers: new Map(),
    exchanges: new Set(),
    status: undefined,
    lastStatus: undefined,
    retryAfter: undefined,
    placed: null,
    log: { lines: 0, characters: 0, dropped: 0 },
  };
  calls.set(key, call);
  return call;
}

export function closeCall(call) {
  if (call.done) return;
  call.done = true;
  calls.delete(call.key);
  for (const stop of call.timers.values()) stop();
  call.timers.clear();
  abortRequests(call);
  keepOrLet();
}

// A request that nobody waits for is sent as well before its call ends; then it is dropped.
export async function prepared(call) {
  while (call.preparing > 0) await new NativePromise((go) => call.prepared = go);
}

export function abortRequests(call, why = new DOMException("the call has ended", "AbortError")) {
  for (const exchange of [...call.exchanges]) exchange.abort(why);
}

// While a call runs that waits for nothing of the host, reading from it must not keep the event
// loop alive: then `beforeunload` tells us that the call can never settle.
export function keepOrLet() {
  let isIdle = true;
  let waiting = false;
  for (const call of calls.values()) {
    if (call.isRunning) isIdle = false;
    if (call.waiting > 0) waiting = true;
  }
  keep(isIdle || waiting);
}

// Counts what a call waits for at the host.
export function waits(call, change) {
  call.waiting += change;
  keepOrLet();
}

// Top-level code runs outside of the storage, one handler at a time.
export function setLoading(call) {
  loading = call;
  keepOrLet();
}

export function endLoading(call) {
  if (loading === call) loading = null;
}

// The call on whose behalf code runs, or null if it is over.
export function current() {
  const call = storage.getStore() ?? loading;
  return call && !call.done ? call : null;
}

// Lets a call go on that waits for credit, or to be told that it is cancelled.
export function resume(call) {
  const { wake } = call;
  call.wake = null;
  call.isRunning = true;
  keepOrLet();
  wake?.();
}
