// Rows on their way to the host: pages, credit, and the end of a call that fails.

import { closeCall, keepOrLet } from "./calls.js";
import { withHandlers } from "./compile.js";
import { notARow } from "./convert.js";
import { encodePage } from "./encode.js";
import { DataProblem, describe, preview } from "./errors.js";
import { ERROR, HEADER, PAGE, putHeader, sendBytes, sendJson } from "./pipe.js";

export const CANCELLED = Symbol("cancelled");
export const GATHERED_ROWS = 1_000;
const PAGE_ROWS = 10_000;
const MAX_PAGE = 60 << 20;
const NativePromise = Promise;

// Waits until the host wants the call to go on; a handler's fetch does, for a stream.
export async function turn(call) {
  if (!call.isStream) return;
  flush(call);
  await credit(call);
}

export async function credit(call) {
  while (call.credit === 0 && !call.isCancelled) {
    call.isRunning = false;
    keepOrLet();
    await new NativePromise((wake) => {
      const before = call.wake;
      call.wake = () => {
        before?.();
        wake();
      };
    });
  }
}

// Sends single rows that were yielded; of more than a page holds, the rest stays gathered.
export function flush(call) {
  if (call.gathered.length === 0 || call.credit === 0) return;
  const rows = call.gathered;
  call.gathered = [];
  for (let size = rows.length; !sendPage(call, rows.slice(0, size), false);) {
    if (size === 1) throw new DataProblem("a row is larger than 60 MB");
    size = Math.ceil(size / 2);
    call.gathered = rows.slice(size);
  }
}

export async function drain(call) {
  while (call.gathered.length) {
    await credit(call);
    if (call.isCancelled) throw CANCELLED;
    flush(call);
  }
}

function sendPage(call, rows, isPart) {
  const bytes = encodePage(rows, call.columns, HEADER, isPart);
  if (bytes.length > MAX_PAGE) return false;
  call.credit -= 1;
  if (call.credit === 0) call.isRunning = false;
  sendBytes(putHeader(bytes, PAGE, call.id));
  keepOrLet();
  return true;
}

export function checkRow(row, index) {
  const kind = notARow(row);
  if (kind === null) return;
  const hint = kind === "Promise"
    ? "await it: return await Promise.all(rows)"
    : "each row must be an object such as {id: 1}";
  const shown = preview(row);
  const found = shown === kind ? kind : `${kind}: ${shown}`;
  throw new DataProblem(`row ${index} is not an object but ${found}`, hint);
}

// `first` is the number of the first row, `isPart` tells an array from what a generator yielded.
export async function sendRows(call, rows, first, isPart) {
  for (let i = 0; i < rows.length; i++) checkRow(rows[i], first + i);
  for (let at = 0; at < rows.length;) {
    let size = PAGE_ROWS;
    for (;;) {
      await credit(call);
      if (call.isCancelled) throw CANCELLED;
      if (sendPage(call, rows.slice(at, at + size), isPart)) break;
      if (size === 1) throw new DataProblem(`row ${first + at} is larger than 60 MB`);
      size = Math.ceil(Math.min(size, rows.length - at) / 2);
    }
    at += size;
  }
}

export function fail(call, error, described = describe(error)) {
  if (call.done) return;
  try {
    flush(call);
  } catch (problem) {
    described = describe(problem);
  }
  if (described.kind === "rate") described.retry_after ??= call.retryAfter;
  if (described.kind === "data" && call.lastStatus >= 400) {
    described.hint = `check \`response.ok\` first: the API answered ${call.lastStatus}`;
  }
  described.status ??= call.status;
  described.name ??= "";
  described.message ??= "";
  if (described.stack) described.stack = withHandlers(described.stack);
  closeCall(call);
  sendJson(ERROR, call.id, described);
}
