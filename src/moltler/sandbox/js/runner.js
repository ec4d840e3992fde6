// The program inside a runtime process: loads handlers and runs their calls, as the host says.

import { takeCoverage } from "./cover.js";
import {
  abortRequests,
  calls,
  closeCall,
  endLoading,
  keepOrLet,
  openCall,
  prepared,
  resume,
  setLoading,
  storage,
} from "./calls.js";
import { hasBaseline, isPristine, takeBaseline } from "./baseline.js";
import { elapse, installClock, resetClock, setClock } from "./clock.js";
import { checkHandler, findImport, forgetModules, importHandler, moduleIds } from "./compile.js";
import { onChunk, onReply } from "./fetch.js";
import { CANCELLED, fail } from "./pages.js";
import * as pipe from "./pipe.js";
import { onSigned } from "./seal.js";
import { query, value } from "./results.js";
import { resetConsole } from "./globals.js";

const { readJson, send, sendJson } = pipe;
const encoder = new TextEncoder();
const handlers = new Map();
let isResetting = false;

addEventListener("beforeunload", (event) => {
  event.preventDefault();
  if (isResetting) return endReset();
  if (elapse()) return;
  for (const call of [...calls.values()]) {
    if (call.isRunning && call.waiting === 0) fail(call, null, { kind: "stuck" });
  }
  pipe.keep(false);
  keepOrLet();
});

async function check(id, { source, entry }) {
  const { problem, typescript } = await checkHandler(source, entry);
  if (problem) sendJson(pipe.ERROR, id, problem);
  else sendJson(pipe.LOADED, id, { typescript });
}

async function load(id, { source, entry }) {
  const call = openCall(id, `load ${id}`);
  // Definitions are checked; this one may have been made before they were.
  const forbidden = await findImport(source, entry);
  if (forbidden) return fail(call, null, forbidden);
  setLoading(call);
  const result = await storage.run(call, () => importHandler(source, entry, "", id));
  endLoading(call);
  if (call.done) return;
  if (result.problem) return fail(call, null, result.problem);
  if ("thrown" in result) return fail(call, original(call, result.thrown));
  handlers.set(id, result.entry);
  closeCall(call);
  sendJson(pipe.LOADED, id, { typescript: result.typescript });
}

// The runtime copies an error whose stack was written, as ours are, when a module throws it.
function original(call, thrown) {
  const { placed } = call;
  return placed !== null && thrown?.message === placed.message ? placed : thrown;
}

async function run(id, spec) {
  const call = openCall(id);
  call.credit = spec.credit ?? 0;
  keepOrLet();
  await storage.run(call, async () => {
    try {
      const handler = handlers.get(spec.handler);
      if (spec.kind === "query") {
        const end = await query(call, handler, spec);
        await prepared(call);
        if (call.done) return;
        closeCall(call);
        sendJson(pipe.END, id, end);
      } else {
        const text = await value(handler, spec);
        await prepared(call);
        if (call.done) return;
        const bytes = encoder.encode(text);
        closeCall(call);
        send(pipe.RESULT, id, bytes);
      }
    } catch (error) {
      if (error !== CANCELLED && !call.isCancelled) await prepared(call);
      if (call.done) return;
      if (error === CANCELLED || call.isCancelled) await stop(call);
      else fail(call, error);
    }
  });
}

async function stop(call) {
  try {
    const { iterator } = call;
    call.iterator = null;
    call.isRunning = true;
    if (iterator && typeof iterator.return === "function") await iterator.return();
  } catch (error) {
    call.isRunning = true;
    console.warn("the handler failed while it was stopped:", error);
  }
  if (call.done) return;
  closeCall(call);
  sendJson(pipe.END, call.id, {});
}

function cancel(call) {
  call.isCancelled = true;
  call.gathered = [];
  if (call.iterator === null) {
    // What the handler still does in the background finds its requests refused.
    closeCall(call);
    sendJson(pipe.END, call.id, {});
    return;
  }
  if (call.isAdvancing) {
    abortRequests(call, new DOMException("the call was cancelled", "AbortError"));
  }
  resume(call);
}

// Makes the process fit for another test; the first time, before any handler, it only notes how
// things are.
function reset() {
  for (const call of [...calls.values()]) closeCall(call);
  handlers.clear();
  forgetModules();
  resetClock();
  resetConsole();
  if (hasBaseline()) {
    // Whatever still goes on keeps the event loop alive; `beforeunload` tells that nothing does.
    isResetting = true;
    pipe.keep(false);
  } else {
    installClock();
    takeBaseline();
    sendJson(pipe.CLEAN, 0, { heap_bytes: pipe.memoryUsage().heapUsed });
  }
}

function endReset() {
  isResetting = false;
  // With built-ins that were tampered with, nothing we said could be believed.
  if (!isPristine()) pipe.exit(0);
  pipe.keep(true);
  sendJson(pipe.CLEAN, 0, { heap_bytes: pipe.memoryUsage().heapUsed });
}

async function cover() {
  const ranges = await takeCoverage();
  const modules = [...moduleIds()].map(([url, id]) => ({ id, ranges: ranges.get(url) ?? [] }));
  sendJson(pipe.COVERAGE, 0, { modules });
}

pipe.send(pipe.READY, 0);
pipe.listen((kind, id, payload) => {
  switch (kind) {
    case pipe.LOAD:
      load(id, readJson(payload));
      break;
    case pipe.CHECK:
      check(id, readJson(payload));
      break;
    case pipe.CALL:
      run(id, readJson(payload));
      break;
    case pipe.CREDIT: {
      const call = calls.get(id);
      if (!call) break;
      call.credit += new DataView(payload.buffer, payload.byteOffset).getUint32(0, true);
      resume(call);
      break;
    }
    case pipe.CANCEL: {
      const call = calls.get(id);
      if (call) cancel(call);
      break;
    }
    case pipe.REPLY:
      onReply(id, payload);
      break;
    case pipe.CHUNK:
      onChunk(id, payload);
      break;
    case pipe.SIGNED:
      onSigned(id, payload);
      break;
    case pipe.PING:
      send(pipe.PONG, id);
      break;
    case pipe.RESET:
      reset();
      break;
    case pipe.CLOCK:
      setClock(readJson(payload));
      break;
    case pipe.COVER:
      cover();
  }
});
