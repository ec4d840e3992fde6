// The program inside a runtime process: loads handlers and runs their calls, as the host says.

import {
  abortRequests,
  calls,
  closeCall,
  endLoading,
  keepOrLet,
  openCall,
  resume,
  setLoading,
  storage,
} from "./calls.js";
import { checkHandler, importHandler } from "./compile.js";
import { onChunk, onReply } from "./fetch.js";
import { CANCELLED, fail } from "./pages.js";
import * as pipe from "./pipe.js";
import { query, value } from "./results.js";
import "./globals.js";

const { readJson, send, sendJson } = pipe;
const encoder = new TextEncoder();
const handlers = new Map();

addEventListener("beforeunload", (event) => {
  event.preventDefault();
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
  setLoading(call);
  const result = await storage.run(call, () => importHandler(source, entry, "", id));
  endLoading(call);
  if (call.done) return;
  if (result.problem) return fail(call, null, result.problem);
  if ("thrown" in result) return fail(call, result.thrown);
  handlers.set(id, result.entry);
  closeCall(call);
  sendJson(pipe.LOADED, id, { typescript: result.typescript });
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
        if (call.done) return;
        closeCall(call);
        sendJson(pipe.END, id, end);
      } else {
        const text = await value(handler, spec);
        if (call.done) return;
        const bytes = encoder.encode(text);
        closeCall(call);
        send(pipe.RESULT, id, bytes);
      }
    } catch (error) {
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
    case pipe.PING:
      send(pipe.PONG, id);
  }
});
