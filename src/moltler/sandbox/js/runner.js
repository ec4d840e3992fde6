// The program inside a runtime process: reads frames, loads handlers, runs their calls.

import { AsyncLocalStorage } from "node:async_hooks";
import { makeConsole } from "./console.js";
import { encodePage, notARow, toJson } from "./encode.js";
import * as errors from "./errors.js";
import { makeFetch } from "./fetch.js";
import { parseExactly, stringify } from "./json.js";

const LOAD = 1, CHECK = 2, CALL = 3, CREDIT = 4, CANCEL = 5, REPLY = 6, CHUNK = 7, PING = 8;
const READY = 32, LOADED = 33, RESULT = 34, PAGE = 35, END = 36, ERROR = 37;
const PONG = 41, LOG = 42;

const HEADER = 9;
const PAGE_ROWS = 10_000;
const GATHERED_ROWS = 1_000;
const GATHERING_MS = 20;
const MAX_PAGE = 60 << 20;
const MORE_KEYS = ["next_cursor", "next", "next_page", "nextPage", "nextPageToken", "has_more"];
const ENTRY = "__moltler_entry";
const CANCELLED = Symbol("cancelled");

const { internal, inspect, exit } = Deno;
const core = Deno[internal]?.core;
const write = Deno.stdout.writeSync.bind(Deno.stdout);
const stdin = Deno.stdin;
const encoder = new TextEncoder();
const decoder = new TextDecoder();
const isArray = Array.isArray;
const now = performance.now.bind(performance);
const createURL = URL.createObjectURL.bind(URL);
const NativeBlob = Blob;
const NativeResponse = Response;
const AsyncFunction = (async () => {}).constructor;

// --- frames ---

function sendBytes(bytes) {
  let at = 0;
  while (at < bytes.length) at += write(at === 0 ? bytes : bytes.subarray(at));
}

function putHeader(bytes, kind, id) {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  view.setUint32(0, bytes.length - HEADER, true);
  view.setUint8(4, kind);
  view.setUint32(5, id, true);
  return bytes;
}

function send(kind, id, ...parts) {
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

const sendJson = (kind, id, value) => send(kind, id, encoder.encode(stringify(value)));
const readJson = (payload) => parseExactly(decoder.decode(payload));

// --- calls ---

const storage = new AsyncLocalStorage();
const calls = new Map();
const handlers = new Map();
let loading = null;
let reading = null;
let isKept = true;

function openCall(id, key = id) {
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
    iterator: null,
    isAdvancing: false,
    gathered: [],
    columns: [],
    timers: new Map(),
    exchanges: new Set(),
    status: undefined,
    retryAfter: undefined,
    log: { lines: 0, characters: 0, dropped: 0 },
  };
  calls.set(key, call);
  return call;
}

function closeCall(call) {
  if (call.done) return;
  call.done = true;
  calls.delete(call.key);
  for (const stop of call.timers.values()) stop();
  call.timers.clear();
  abortAll(call);
  keepOrLet();
}

// While a call runs that waits for nothing of the host, reading from it must not keep the event
// loop alive: then `beforeunload` tells us that the call can never settle.
function keepOrLet() {
  let isIdle = true;
  let waiting = false;
  for (const call of calls.values()) {
    if (call.isRunning) isIdle = false;
    if (call.waiting > 0) waiting = true;
  }
  const keep = isIdle || waiting;
  if (keep === isKept || !core) return;
  isKept = keep;
  if (reading) (keep ? core.refOpPromise : core.unrefOpPromise)(reading);
}

function waits(call, change) {
  call.waiting += change;
  keepOrLet();
}

addEventListener("beforeunload", (event) => {
  event.preventDefault();
  for (const call of [...calls.values()]) {
    if (call.isRunning && call.waiting === 0) fail(call, null, { kind: "stuck" });
  }
  isKept = false;
  keepOrLet();
});

function fail(call, error, described = errors.describe(error)) {
  if (call.done) return;
  try {
    flush(call);
  } catch (problem) {
    described = errors.describe(problem);
  }
  if (described.kind === "rate") described.retry_after ??= call.retryAfter;
  described.status ??= call.status;
  described.name ??= "";
  described.message ??= "";
  if (described.stack) described.stack = withHandlers(described.stack);
  closeCall(call);
  sendJson(ERROR, call.id, described);
}

const urls = new Map();

function withHandlers(stack) {
  for (const [url, id] of urls) stack = stack.replaceAll(url, `handler-${id}`);
  return stack;
}

// --- compiling ---

const stopUrl = createURL(new NativeBlob(["throw null"], { type: "text/javascript" }));

// Tells what is wrong with a text that did not compile, or null if it compiled and then threw.
function compileProblem(error, url) {
  const message = String(error?.message ?? "");
  const position = message.match(/at (\S+):(\d+):(\d+)\s*$/);
  if (!position || position[1] !== url) return null;
  const place = { line: Number(position[2]), column: Number(position[3]) };
  const text = message.slice(0, position.index).trim();
  const unbound = /^Export '.*' is not defined in module/.test(text);
  if (unbound) return { kind: "unbound", name: "", message: text, ...place };
  if (error instanceof SyntaxError || text.startsWith("SyntaxError:")) {
    const sentence = text.replace(/^SyntaxError: /, "").split("\n")[0].trim();
    return { kind: "compile", name: "SyntaxError", message: sentence, ...place };
  }
  return { kind: "import", name: "", message: text.split("\n")[0], ...place };
}

async function importHandler(source, entry, suffix, id) {
  const problems = [];
  for (const language of ["javascript", "typescript"]) {
    const ending = `\n;export { ${entry} as ${ENTRY} };${suffix}`;
    const url = createURL(new NativeBlob([source, ending], { type: `text/${language}` }));
    if (id !== undefined) urls.set(url, id);
    const typescript = language === "typescript";
    try {
      const module = await import(url);
      if (ENTRY in module) return { typescript, entry: module[ENTRY] };
      // Read as TypeScript, a comment that is not closed swallows our last lines.
      const line = source.split("\n").length + 1;
      return { problem: { kind: "compile", name: "SyntaxError", message: "", line, typescript } };
    } catch (error) {
      const problem = compileProblem(error, url);
      if (problem === null) return { typescript, thrown: error };
      problems.push({ ...problem, typescript });
      urls.delete(url);
      if (problem.kind !== "compile") break;
    }
  }
  // Of two readings the one that got further says more.
  const [first, second] = problems;
  const further = second && (second.kind !== "compile" || second.line > first.line ||
    (second.line === first.line && second.column > first.column));
  return { problem: further ? second : first };
}

function staticImport(source, typescript) {
  const found = /^[ \t]*import\b(?![ \t]*[.(])/m.exec(source);
  if (!found) return null;
  if (!typescript) {
    try {
      new AsyncFunction(source);
      return null;
    } catch (error) {
      if (!/import statement|'export'/.test(error.message)) return null;
    }
  }
  const before = source.slice(0, found.index).split("\n");
  const column = found[0].length - "import".length + 1;
  return { kind: "import", name: "", message: "", line: before.length, column };
}

async function check(id, { source, entry }) {
  const suffix = `import ${stringify(stopUrl)};`;
  const result = await importHandler(source, entry, suffix);
  const problem = result.problem ?? staticImport(source, result.typescript);
  if (["unbound", "import"].includes(problem?.kind)) {
    Object.assign(problem, staticImport(source, false));
  }
  if (problem) sendJson(ERROR, id, problem);
  else sendJson(LOADED, id, { typescript: result.typescript });
}

async function load(id, { source, entry }) {
  const call = openCall(id, `load ${id}`);
  loading = call;
  keepOrLet();
  const result = await storage.run(call, () => importHandler(source, entry, "", id));
  if (loading === call) loading = null;
  if (call.done) return;
  if (result.problem) return fail(call, null, result.problem);
  if ("thrown" in result) return fail(call, result.thrown);
  handlers.set(id, result.entry);
  closeCall(call);
  sendJson(LOADED, id, { typescript: result.typescript });
}

// --- results ---

async function turn(call) {
  if (!call.isStream) return;
  flush(call);
  await credit(call);
}

async function credit(call) {
  while (call.credit === 0 && !call.isCancelled) {
    call.isRunning = false;
    keepOrLet();
    await new Promise((wake) => {
      const before = call.wake;
      call.wake = () => {
        before?.();
        wake();
      };
    });
  }
}

// Sends single rows that were yielded; of more than a page holds, the rest stays gathered.
function flush(call) {
  if (call.gathered.length === 0 || call.credit === 0) return;
  const rows = call.gathered;
  call.gathered = [];
  for (let size = rows.length; !sendPage(call, rows.slice(0, size), false);) {
    if (size === 1) throw new errors.DataProblem("a row is larger than 60 MB");
    size = Math.ceil(size / 2);
    call.gathered = rows.slice(size);
  }
}

async function drain(call) {
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

function checkRow(row, index) {
  const kind = notARow(row);
  if (kind === null) return;
  const hint = kind === "Promise"
    ? "await it: return await Promise.all(rows)"
    : "each row must be an object such as {id: 1}";
  throw new errors.DataProblem(
    `row ${index} is not an object but ${kind}: ${errors.preview(row)}`,
    hint,
  );
}

async function sendRows(call, rows, first, isPart) {
  for (let i = 0; i < rows.length; i++) checkRow(rows[i], first + i);
  for (let at = 0; at < rows.length;) {
    let size = PAGE_ROWS;
    for (;;) {
      await credit(call);
      if (call.isCancelled) throw CANCELLED;
      if (sendPage(call, rows.slice(at, at + size), isPart)) break;
      if (size === 1) throw new errors.DataProblem(`row ${first + at} is larger than 60 MB`);
      size = Math.ceil(Math.min(size, rows.length - at) / 2);
    }
    at += size;
  }
}

async function pump(call, iterable) {
  const isAsync = typeof iterable[Symbol.asyncIterator] === "function";
  const iterator = iterable[isAsync ? Symbol.asyncIterator : Symbol.iterator]();
  call.iterator = iterator;
  let count = 0;
  let since = 0;
  for (;;) {
    await credit(call);
    if (call.isCancelled) throw CANCELLED;
    call.isRunning = true;
    call.isAdvancing = true;
    let step = iterator.next();
    if (isAsync) step = await step;
    call.isAdvancing = false;
    if (call.isCancelled) throw CANCELLED;
    if (step.done) break;
    const value = isAsync ? step.value : await step.value;
    if (isArray(value)) {
      await drain(call);
      await sendRows(call, value, count, false);
      count += value.length;
      continue;
    }
    checkRow(value, count);
    count += 1;
    // Single rows are gathered while they cost the API nothing; a request sends them off first.
    if (call.gathered.length === 0) since = now();
    call.gathered.push(value);
    if (call.gathered.length >= GATHERED_ROWS || now() - since > GATHERING_MS) flush(call);
  }
  call.iterator = null;
  await drain(call);
}

function more(...values) {
  for (const value of values) {
    if (typeof value !== "object" || value === null || isArray(value)) continue;
    for (const key of MORE_KEYS) if (value[key]) return key;
  }
  return null;
}

function notRows(value) {
  if (typeof value !== "object" || value === null) {
    const shown = `${typeof value}: ${errors.preview(value)}`;
    return new errors.DataProblem(
      `the handler returned no rows but a ${shown}`,
      "return an array of objects, or an object with an array `items`",
    );
  }
  const keys = Object.keys(value).slice(0, 20);
  const key = keys.find((k) => isArray(value[k])) ?? "rows";
  return new errors.DataProblem(
    keys.length
      ? `the handler returned an object without rows; it has the keys ${keys.join(", ")}`
      : "the handler returned an object without keys, which holds no rows",
    `return data.${key}`,
  );
}

function isResponse(value) {
  return value instanceof NativeResponse;
}

function refuseResponse(value) {
  if (isResponse(value)) {
    throw new errors.DataProblem(
      "the handler returned a Response, not its content",
      "did you forget await response.json()?",
    );
  }
}

function rowsAt(path, result) {
  let value = result;
  let holder = result;
  const keys = path.replace(/^\$\.?/, "").split(".").filter((key) => key !== "");
  for (const key of keys) {
    holder = value;
    value = typeof value === "object" && value !== null && Object.hasOwn(value, key)
      ? value[key]
      : undefined;
  }
  if (isArray(value)) return { rows: value, key: more(result, holder) };
  const present = typeof result === "object" && result !== null
    ? Object.keys(result).slice(0, 20).join(", ")
    : "";
  throw new errors.DataProblem(
    `ROWS_PATH '${path}' names no array in what the handler returned` +
      (present ? `; it has the keys ${present}` : ""),
    "correct ROWS_PATH, or return an object that has the rows there",
  );
}

async function query(call, handler, { args, columns, rows_path }) {
  call.columns = columns;
  call.isStream = true;
  const result = await handler(...args);
  if (call.isCancelled) throw CANCELLED;
  refuseResponse(result);
  if (result === undefined || result === null) {
    return { nothing: true };
  }
  if (rows_path !== null && rows_path !== undefined) {
    const { rows, key } = rowsAt(rows_path, result);
    await sendRows(call, rows, 0, true);
    return { more: key };
  }
  if (isArray(result)) {
    await sendRows(call, result, 0, true);
    return {};
  }
  if (typeof result !== "object") throw notRows(result);
  if (isArray(result.items)) {
    await sendRows(call, result.items, 0, true);
    return { more: more(result) };
  }
  const isIterable = typeof result[Symbol.asyncIterator] === "function" ||
    typeof result[Symbol.iterator] === "function";
  if (!isIterable) throw notRows(result);
  await pump(call, result);
  return {};
}

async function value(handler, { args }) {
  const result = await handler(...args);
  refuseResponse(result);
  if (result === undefined) return "null";
  const { text, reason } = toJson(result);
  if (text === undefined) {
    throw new errors.DataProblem(
      `the handler returned something that is not JSON (${reason}): ${errors.preview(result)}`,
      "return plain objects, arrays, texts, numbers, booleans or null",
    );
  }
  return text;
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
        sendJson(END, id, end);
      } else {
        const text = await value(handler, spec);
        if (call.done) return;
        const bytes = encoder.encode(text);
        closeCall(call);
        send(RESULT, id, bytes);
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
  sendJson(END, call.id, {});
}

function cancel(call) {
  call.isCancelled = true;
  call.gathered = [];
  const why = new DOMException("the call was cancelled", "AbortError");
  if (call.iterator === null) {
    // What the handler still does in the background finds its requests refused.
    closeCall(call);
    sendJson(END, call.id, {});
    return;
  }
  if (call.isAdvancing) abortAll(call, why);
  const { wake } = call;
  call.wake = null;
  call.isRunning = true;
  keepOrLet();
  wake?.();
}

// --- globals ---

const current = () => {
  const call = storage.getStore() ?? loading;
  return call && !call.done ? call : null;
};

const { fetch, onReply, onChunk, abortAll } = makeFetch({ send, current, turn, waits });

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

const { setTimeout, setInterval, clearTimeout, clearInterval } = globalThis;
const replaced = {
  fetch,
  console: makeConsole(
    (level, text) => sendJson(LOG, storage.getStore()?.id ?? 0, { level, text }),
    () => (storage.getStore() ?? idleLog).log,
    inspect,
  ),
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
const idleLog = { log: { lines: 0, characters: 0, dropped: 0 } };
for (const [name, value] of Object.entries(replaced)) {
  Object.defineProperty(globalThis, name, { value, writable: true, configurable: true });
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

// --- the loop ---

function onFrame(kind, id, payload) {
  switch (kind) {
    case LOAD:
      load(id, readJson(payload));
      break;
    case CHECK:
      check(id, readJson(payload));
      break;
    case CALL:
      run(id, readJson(payload));
      break;
    case CREDIT: {
      const call = calls.get(id);
      if (!call) break;
      call.credit += new DataView(payload.buffer, payload.byteOffset).getUint32(0, true);
      const { wake } = call;
      call.wake = null;
      call.isRunning = true;
      keepOrLet();
      wake?.();
      break;
    }
    case CANCEL: {
      const call = calls.get(id);
      if (call) cancel(call);
      break;
    }
    case REPLY:
      onReply(id, payload);
      break;
    case CHUNK:
      onChunk(id, payload);
      break;
    case PING:
      send(PONG, id);
  }
}

function read(buffer) {
  reading = core ? core.read(0, buffer) : stdin.read(buffer);
  if (core && !isKept) core.unrefOpPromise(reading);
  return reading;
}

async function listen() {
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

send(READY, 0);
listen();
