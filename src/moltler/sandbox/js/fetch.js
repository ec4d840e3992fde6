// fetch as a message to the host: the native Request, Response and Headers around a frame.

import { current, waits } from "./calls.js";
import { now } from "./clock.js";
import { FetchError, MockUnmatchedError, ofJson } from "./errors.js";
import { parseExactly, stringify } from "./json.js";
import { turn } from "./pages.js";
import { ABORT, FETCH, PULL, send } from "./pipe.js";

const MAX_IN_FLIGHT = 32;
// The host ends a process that asks for more.
const MAX_URL = 64 << 10;
const MAX_HEADERS = 1_000;
const MAX_HEAD = 512 << 10;
const MAX_BODY = 16 << 20;
const NO_BODY = new Set([101, 103, 204, 205, 304]);

const NativeRequest = Request;
const NativeURL = URL;
const NativeResponse = Response;
const { captureStackTrace } = Error;
const { parse } = JSON;
const NativeHeaders = Headers;
const NativePromise = Promise;
const NativeStream = ReadableStream;
const encoder = new TextEncoder();
const decoder = new TextDecoder();
const arrayBuffer = Function.prototype.call.bind(Request.prototype.arrayBuffer);
const text = Function.prototype.call.bind(Response.prototype.text);
const append = Function.prototype.call.bind(Headers.prototype.append);
const clone = Function.prototype.call.bind(Response.prototype.clone);
const parseDate = Date.parse;

// What the native constructor cannot be told about a response.
const facts = new WeakMap();
for (const name of ["url", "redirected", "status", "ok"]) {
  const native = Object.getOwnPropertyDescriptor(NativeResponse.prototype, name);
  Object.defineProperty(NativeResponse.prototype, name, {
    ...native,
    get() {
      return facts.get(this)?.[name] ?? native.get.call(this);
    },
  });
}
NativeResponse.prototype.clone = function () {
  const copy = clone(this);
  if (facts.has(this)) facts.set(copy, facts.get(this));
  return copy;
};
NativeResponse.prototype.json = async function json() {
  const site = {};
  captureStackTrace(site, json);
  const body = await text(this);
  try {
    return parseExactly(body);
  } catch (error) {
    ofJson.add(error);
    const call = current();
    if (call) call.placed = error;
    throw at(site, error);
  }
};

// The error is made by us, but the place that matters is where the handler called us.
function at(site, error) {
  const frames = /\n\s+at [^]*$/.exec(site.stack)?.[0] ?? "";
  error.stack = `${error.name}: ${error.message}${frames}`;
  return error;
}

function secondsToWait(header) {
  if (/^\d+$/.test(header)) return Number(header);
  const date = parseDate(header);
  return Number.isNaN(date) ? undefined : Math.max(0, (date - now()) / 1000);
}

function headersOf(pairs) {
  const headers = new NativeHeaders();
  for (const [name, value] of pairs) {
    try {
      append(headers, name, value);
    } catch {
      // What the standard does not take for a header is left out; the rest is still good.
    }
  }
  return headers;
}

function failure(exchange, { message, code }) {
  const Class = code.startsWith("MOCK_") ? MockUnmatchedError : FetchError;
  const error = at(exchange.site, new Class(message, code));
  exchange.call.placed = error;
  return error;
}

const exchanges = new Map();
const queue = [];
let last = 0;
let inFlight = 0;

// The response's head is there, or never will be; bodies that nobody reads hold nobody up.
function settle(exchange) {
  if (exchange.settled) return;
  exchange.settled = true;
  waits(exchange.call, -1);
  inFlight -= 1;
  while (queue.length && inFlight < MAX_IN_FLIGHT) {
    inFlight += 1;
    queue.shift()();
  }
}

function close(exchange) {
  if (!exchanges.delete(exchange.id)) return;
  exchange.call.exchanges.delete(exchange);
  exchange.signal.removeEventListener("abort", exchange.onAbort);
  settle(exchange);
}

function abort(exchange, why) {
  if (!exchanges.has(exchange.id)) return;
  send(ABORT, exchange.id);
  close(exchange);
  exchange.reject(why);
  exchange.fail?.(why);
}

function tooLarge(call, site, what) {
  const error = at(site, new FetchError(what, "TOO_LARGE"));
  call.placed = error;
  return error;
}

// An address that is a secret from its start on is no address yet.
const SEALED_BASE = "https://sealed.invalid/";
const startsWith = Function.prototype.call.bind(String.prototype.startsWith);
const slice = Function.prototype.call.bind(String.prototype.slice);

export async function fetch(input, init = undefined) {
  const site = {};
  captureStackTrace(site, fetch);
  const isSealed = typeof input === "string" && startsWith(input, "sealed_");
  const request = new NativeRequest(isSealed ? SEALED_BASE + input : input, init);
  const { username, password } = new NativeURL(request.url);
  if (username || password) {
    throw new TypeError("the URL of a request cannot hold a user name or a password");
  }
  const call = current();
  if (!call) throw new DOMException("the call has ended", "AbortError");
  const signal = request.signal;
  signal.throwIfAborted();
  const isCounted = !(init?.body instanceof NativeStream); // a stream may never end
  if (isCounted) call.preparing += 1;
  let body;
  try {
    body = request.body ? new Uint8Array(await arrayBuffer(request)) : null;
    await turn(call);
  } finally {
    // Whoever waits for this goes on when the request is sent below.
    if (isCounted && --call.preparing === 0) call.prepared?.();
  }
  const url = isSealed ? slice(request.url, SEALED_BASE.length) : request.url;
  const headers = [...request.headers];
  const parts = { method: request.method, url, headers, redirect: request.redirect };
  const head = encoder.encode(stringify({ call: call.id, ...parts, body: body !== null }));
  const limits = [
    [url.length, MAX_URL, "characters in its address"],
    [headers.length, MAX_HEADERS, "headers"],
    [head.length, MAX_HEAD, "bytes of address and headers"],
    [body?.length ?? 0, MAX_BODY, "bytes of body"],
  ];
  for (const [size, most, what] of limits) {
    if (size > most) {
      throw tooLarge(call, site, `the request has ${size} ${what}; allowed are ${most}`);
    }
  }
  waits(call, 1);
  if (inFlight < MAX_IN_FLIGHT) inFlight += 1;
  else await new NativePromise((go) => queue.push(go));
  try {
    signal.throwIfAborted();
    if (call.done) throw new DOMException("the call has ended", "AbortError");
  } catch (error) {
    settle({ call, settled: false });
    throw error;
  }
  return await new NativePromise((resolve, reject) => {
    const exchange = { id: ++last, call, site, signal, resolve, reject, settled: false };
    exchange.abort = (why) => abort(exchange, why);
    exchange.onAbort = () => abort(exchange, signal.reason);
    signal.addEventListener("abort", exchange.onAbort);
    exchanges.set(exchange.id, exchange);
    call.exchanges.add(exchange);
    send(FETCH, exchange.id, new Uint8Array(new Uint32Array([head.length]).buffer), head, body);
  });
}

function streamOf(exchange) {
  let controller;
  let pulled = null;
  const answered = () => {
    if (!pulled) return;
    waits(exchange.call, -1);
    pulled();
    pulled = null;
  };
  exchange.fail = (error) => {
    answered();
    controller.error(error);
  };
  exchange.chunk = (flag, bytes) => {
    if (flag === 0) {
      controller.enqueue(bytes.slice());
    } else if (flag === 1) {
      close(exchange);
      controller.close();
    } else {
      close(exchange);
      const { code, message } = parse(decoder.decode(bytes));
      controller.error(failure(exchange, { message, code }));
    }
    answered();
  };
  return new NativeStream({
    start(given) {
      controller = given;
    },
    pull() {
      waits(exchange.call, 1);
      send(PULL, exchange.id);
      return new NativePromise((resolve) => {
        pulled = resolve;
      });
    },
    cancel() {
      if (!exchanges.has(exchange.id)) return;
      send(ABORT, exchange.id);
      close(exchange);
    },
  }, { highWaterMark: 0 });
}

export function onReply(id, payload) {
  const exchange = exchanges.get(id);
  if (!exchange) return;
  const length = new DataView(payload.buffer, payload.byteOffset).getUint32(0, true);
  const head = parse(decoder.decode(payload.subarray(4, 4 + length)));
  const { call } = exchange;
  if (head.error) {
    close(exchange);
    exchange.reject(failure(exchange, head.error));
    return;
  }
  const { status } = head;
  let body = null;
  if (head.whole) {
    if (!NO_BODY.has(status)) body = payload.subarray(4 + length); // a Response copies it
    close(exchange);
  } else {
    settle(exchange);
    body = streamOf(exchange);
    exchange.reject = () => {};
  }
  if (status >= 400) call.status = status;
  call.lastStatus = status;
  const isNative = status >= 200 && status <= 599;
  const response = new NativeResponse(body, {
    status: isNative ? status : 200,
    statusText: head.status_text,
    headers: headersOf(head.headers),
  });
  facts.set(response, {
    url: head.url,
    redirected: head.redirected,
    ...isNative ? {} : { status, ok: false },
  });
  if (status === 429 || status === 503) {
    const header = response.headers.get("Retry-After");
    if (header !== null) call.retryAfter = secondsToWait(header.trim()) ?? call.retryAfter;
  }
  exchange.resolve(response);
}

export function onChunk(id, payload) {
  exchanges.get(id)?.chunk?.(payload[0], payload.subarray(1));
}
