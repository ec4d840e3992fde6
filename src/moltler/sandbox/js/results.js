// What a handler returned, as rows or as one value.

import { toJson } from "./convert.js";
import { DataProblem, preview } from "./errors.js";
import { CANCELLED, checkRow, credit, drain, flush, GATHERED_ROWS, sendRows } from "./pages.js";

const GATHERING_MS = 20;
const MORE_KEYS = ["next_cursor", "next", "next_page", "nextPage", "nextPageToken", "has_more"];
const isArray = Array.isArray;
const now = performance.now.bind(performance);
const NativeResponse = Response;

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
    const shown = `${typeof value}: ${preview(value)}`;
    return new DataProblem(
      `the handler returned no rows but a ${shown}`,
      "return an array of objects, or an object with an array `items`",
    );
  }
  const keys = Object.keys(value).slice(0, 20);
  const key = keys.find((k) => isArray(value[k])) ?? "rows";
  return new DataProblem(
    keys.length
      ? `the handler returned an object without rows; it has the keys ${keys.join(", ")}`
      : "the handler returned an object without keys, which holds no rows",
    `return data.${key}`,
  );
}

function refuseResponse(value) {
  if (value instanceof NativeResponse) {
    throw new DataProblem(
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
  throw new DataProblem(
    `ROWS_PATH '${path}' names no array in what the handler returned` +
      (present ? `; it has the keys ${present}` : ""),
    "correct ROWS_PATH, or return an object that has the rows there",
  );
}

// Sends the rows of a query handler and gives what END says.
export async function query(call, handler, { args, columns, rows_path }) {
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

// Gives the JSON text of what an action returned.
export async function value(handler, { args }) {
  const result = await handler(...args);
  refuseResponse(result);
  if (result === undefined) return "null";
  const { text, reason } = toJson(result);
  if (text === undefined) {
    throw new DataProblem(
      `the handler returned something that is not JSON (${reason}): ${preview(result)}`,
      "return plain objects, arrays, texts, numbers, booleans or null",
    );
  }
  return text;
}
