// Values of rows as cells of declared fields (one column at a time), and as JSON.

import { preview } from "./errors.js";
import { toText } from "./json.js";

const MAX_MISFITS = 100;
const MAX_DEPTH = 256;
const INT64_MAX = 2n ** 63n - 1n;
const INT64_MIN = -(2n ** 63n);
const MAX_TIME = 8.64e15;

const ObjectPrototype = Object.prototype;
const getPrototypeOf = Object.getPrototypeOf;
const hasOwn = Object.hasOwn;
const keysOf = Object.keys;
const isArray = Array.isArray;
const isFinite = Number.isFinite;
const isSafe = Number.isSafeInteger;
const isInteger = Number.isInteger;
export const toISO = Function.prototype.call.bind(Date.prototype.toISOString);
const mapHas = Function.prototype.call.bind(Map.prototype.has);
const mapSet = Function.prototype.call.bind(Map.prototype.set);
const getTime = Function.prototype.call.bind(Date.prototype.getTime);
const test = Function.prototype.call.bind(RegExp.prototype.test);
const trim = Function.prototype.call.bind(String.prototype.trim);
const NUMERIC = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$/;
const WHOLE = /^[+-]?\d+$/;

// Given to the note when a cell does not fit; the cell is NULL.
export class Misfits {
  // `reasons`, if given, takes the reason of every row that does not fit, by its number.
  constructor(reasons = null) {
    this.count = 0;
    this.list = [];
    this.reasons = reasons;
  }
  add(row, column, value, reason, name) {
    this.count += 1;
    if (this.reasons && !mapHas(this.reasons, row)) {
      mapSet(this.reasons, row, `field \`${name}\`: \`${preview(value)}\`, ${reason}`);
    }
    if (this.list.length < MAX_MISFITS) {
      this.list[this.list.length] = { row, column, preview: preview(value), reason };
    }
  }
}

const NO_FIT = Symbol("no fit");
let reason = "";

function misfit(why) {
  reason = why;
  return NO_FIT;
}

function asText(value) {
  switch (typeof value) {
    case "string":
      return value;
    case "number":
      return isFinite(value) ? "" + value : null;
    case "boolean":
    case "bigint":
      return "" + value;
    case "object":
      if (value instanceof Date) return isFinite(getTime(value)) ? toISO(value) : null;
  }
  return misfit("not a text");
}

function asInteger(value) {
  switch (typeof value) {
    case "number":
      if (isSafe(value)) return value;
      if (!isFinite(value)) return null;
      if (!isInteger(value)) return misfit("not a whole number");
      return asInteger(BigInt(value));
    case "bigint":
      return value > INT64_MAX || value < INT64_MIN ? misfit("beyond 64 bits") : value;
    case "string": {
      const text = trim(value);
      if (test(WHOLE, text)) return asInteger(BigInt(text[0] === "+" ? text.slice(1) : text));
      if (!test(NUMERIC, text)) return misfit("not a whole number");
      const number = Number(text);
      return isSafe(number) ? number : misfit("not a whole number");
    }
  }
  return misfit("not a whole number");
}

function asNumber(value) {
  switch (typeof value) {
    case "number":
      return isFinite(value) ? value : null;
    case "bigint":
      return Number(value);
    case "string":
      if (test(NUMERIC, trim(value))) return Number(value);
  }
  return misfit("not a number");
}

function asBoolean(value) {
  if (value === true || value === 1 || value === "true") return 1;
  if (value === false || value === 0 || value === "false") return 0;
  return typeof value === "number" && !isFinite(value) ? null : misfit("not a boolean");
}

// Gives milliseconds, or text that the host reads to the microsecond.
function asTime(value) {
  if (typeof value === "string") return value;
  let time;
  if (value instanceof Date) time = getTime(value);
  else if (typeof value === "number") time = value;
  else return misfit("not a time");
  if (!isFinite(time)) return null;
  return Math.abs(time) > MAX_TIME ? misfit("not a time") : Math.floor(time);
}

// Tells whether JSON.stringify shows the value whole: true, false ("convert it"), or NO_FIT.
function isPlain(value, depth) {
  switch (typeof value) {
    case "string":
    case "number":
    case "boolean":
    case "undefined":
      return true;
    case "bigint":
      return value > INT64_MAX || value < INT64_MIN ? misfit("an integer beyond 64 bits") : true;
    case "function":
      return misfit("holds a function");
    case "symbol":
      return misfit("holds a symbol");
  }
  if (value === null) return true;
  if (depth > MAX_DEPTH) return misfit("a cycle, or nested too deeply");
  if (value instanceof Date) return true;
  if (value instanceof Map || value instanceof Set) return false;
  let plain = true;
  if (isArray(value)) {
    for (let i = 0; i < value.length; i++) {
      const inner = isPlain(value[i], depth + 1);
      if (inner === NO_FIT) return NO_FIT;
      plain &&= inner;
    }
    return plain;
  }
  if (typeof value.toJSON === "function") return true;
  for (const key in value) {
    if (!hasOwn(value, key)) continue;
    const inner = isPlain(value[key], depth + 1);
    if (inner === NO_FIT) return NO_FIT;
    plain &&= inner;
  }
  return plain;
}

function withoutMaps(value, depth) {
  if (depth > MAX_DEPTH) return misfit("a cycle, or nested too deeply");
  if (typeof value !== "object" || value === null || value instanceof Date) {
    return isPlain(value, depth) === NO_FIT ? NO_FIT : value;
  }
  if (value instanceof Set) value = [...value];
  if (isArray(value)) {
    const out = [];
    for (let i = 0; i < value.length; i++) {
      const inner = withoutMaps(value[i], depth + 1);
      if (inner === NO_FIT) return NO_FIT;
      out[i] = inner;
    }
    return out;
  }
  const entries = value instanceof Map ? [...value] : keysOf(value).map((k) => [k, value[k]]);
  const out = {};
  for (const [key, item] of entries) {
    const inner = withoutMaps(item, depth + 1);
    if (inner === NO_FIT) return NO_FIT;
    Object.defineProperty(out, String(key), { value: inner, enumerable: true });
  }
  return out;
}

function asJson(value) {
  const plain = isPlain(value, 0);
  if (plain === NO_FIT) return NO_FIT;
  if (plain === false) value = withoutMaps(value, 0);
  if (value === NO_FIT) return NO_FIT;
  return toText(value) ?? null;
}

function asArray(value) {
  return isArray(value) || value instanceof Set ? asJson(value) : misfit("not an array");
}

function asAny(value) {
  if (typeof value === "number" && !isFinite(value)) return null;
  if (value instanceof Date && !isFinite(getTime(value))) return null;
  return asJson(value);
}

const CONVERT = {
  string: asText,
  integer: asInteger,
  number: asNumber,
  boolean: asBoolean,
  timestamp: asTime,
  date: asTime,
  array: asArray,
  document: asAny,
  any: asAny,
};

// Gives the column's converted values; undefined, null and misfits are null.
export function convert(rows, name, column, type, misfits) {
  const as = CONVERT[type];
  const values = cellsOf(rows, name);
  let nulls = 0;
  for (let i = 0; i < values.length; i++) {
    const raw = values[i];
    let value = raw === undefined || raw === null ? null : as(raw);
    if (value === NO_FIT) {
      misfits.add(i, column, raw, reason, name);
      value = null;
    }
    if (value === null) nulls += 1;
    values[i] = value;
  }
  return { values, nulls };
}

// Gives how many items each cell of a column of arrays has, and the items of all cells in a row.
// A cell is null if it is missing, no array, or holds an item that does not fit.
export function convertLists(rows, name, column, type, misfits) {
  const as = CONVERT[type];
  const sizes = cellsOf(rows, name);
  const items = [];
  let nulls = 0;
  for (let i = 0; i < sizes.length; i++) {
    const raw = sizes[i];
    let size = raw === undefined || raw === null ? null : addItems(raw, as, items);
    if (size === NO_FIT) {
      misfits.add(i, column, raw, reason, name);
      size = null;
    }
    if (size === null) nulls += 1;
    sizes[i] = size;
  }
  return { sizes, nulls, items };
}

// Gives how many items were added: all or, with NO_FIT, none.
function addItems(cell, as, items) {
  if (cell instanceof Set) cell = [...cell];
  if (!isArray(cell)) return misfit("not an array");
  const start = items.length;
  for (let i = 0; i < cell.length; i++) {
    const item = cell[i];
    const value = item === undefined || item === null ? null : as(item);
    if (value === NO_FIT) {
      items.length = start;
      return misfit(`an item is ${reason}`);
    }
    items[start + i] = value;
  }
  return items.length - start;
}

function cellsOf(rows, name) {
  const own = name in ObjectPrototype;
  const cells = new Array(rows.length);
  for (let i = 0; i < rows.length; i++) {
    const row = rows[i];
    cells[i] = !own || hasOwn(row, name) ? row[name] : null;
  }
  return cells;
}

// Tells what a row is if it is not an object with keys, else null.
export function notARow(row) {
  if (typeof row !== "object" || row === null) return row === null ? "null" : typeof row;
  const prototype = getPrototypeOf(row);
  if (prototype === ObjectPrototype || prototype === null) return null;
  if (isArray(row)) return "array";
  const tag = ObjectPrototype.toString.call(row);
  return tag === "[object Object]" ? null : tag.slice(8, -1);
}

// Gives {text} for a value that JSON can show, else {reason}.
export function toJson(value) {
  const text = asAny(value);
  return text === NO_FIT ? { reason } : { text: text ?? "null" };
}
