// Rows to one page of typed columns, laid out so that the host's Arrow arrays are these bytes.
//
// Page: u32 rows | u32 columns | u32 note length | u32 1 if it is a part of an array, then per column
// u32 kind | u32 validity bytes | u32 offset bytes | u32 data bytes, then the note (JSON) and the
// buffers of each column in that order; note and buffers are padded to 8 bytes. A list tells the
// number of its items in the place of data bytes; the column of the items follows it.

import { convert, convertLists, Misfits, toISO, toJson } from "./convert.js";
import { preview } from "./errors.js";
import { toText } from "./json.js";

const UTF8 = 0;
const INT64 = 1;
const FLOAT64 = 2;
const BITS = 3;
const LIST = 4;

const encoder = new TextEncoder();
const join = Function.prototype.call.bind(Array.prototype.join);
const encode = TextEncoder.prototype.encode.bind(encoder);
const encodeInto = TextEncoder.prototype.encodeInto.bind(encoder);
const bytesOf = (array) => new Uint8Array(array.buffer);
const mapGet = Function.prototype.call.bind(Map.prototype.get);
const setBytes = Function.prototype.call.bind(Uint8Array.prototype.set);

function validity(values, nulls) {
  if (nulls === 0) return null;
  const bits = new Uint8Array((values.length + 7) >> 3);
  for (let i = 0; i < values.length; i++) if (values[i] !== null) bits[i >> 3] |= 1 << (i & 7);
  return bits;
}

function texts(values, nulls) {
  const n = values.length;
  const offsets = new Int32Array(n + 1);
  // join() writes nothing for null. If every character took one byte, lengths are offsets.
  const joined = join(values, "");
  let data = encode(joined);
  if (data.length === joined.length) {
    let end = 0;
    for (let i = 0; i < n; i++) {
      const value = values[i];
      if (value !== null) end += value.length;
      offsets[i + 1] = end;
    }
  } else {
    data = new Uint8Array(joined.length * 3);
    let end = 0;
    for (let i = 0; i < n; i++) {
      const value = values[i];
      if (value !== null) end += encodeInto(value, data.subarray(end)).written;
      offsets[i + 1] = end;
    }
    data = data.subarray(0, end);
  }
  return {
    kind: UTF8,
    parts: [validity(values, nulls), bytesOf(offsets), data],
  };
}

function integers(values, nulls) {
  const n = values.length;
  const data = new BigInt64Array(n);
  const words = new Int32Array(data.buffer);
  for (let i = 0; i < n; i++) {
    const value = values[i];
    if (value === null) continue;
    if (typeof value === "bigint") {
      data[i] = value;
    } else {
      // Two halves are many times faster than a BigInt for each cell.
      words[2 * i] = value | 0;
      words[2 * i + 1] = Math.floor(value / 4294967296);
    }
  }
  return { kind: INT64, parts: [validity(values, nulls), null, bytesOf(data)] };
}

function numbers(values, nulls) {
  const data = new Float64Array(values.length);
  for (let i = 0; i < values.length; i++) data[i] = values[i] === null ? 0 : values[i];
  return { kind: FLOAT64, parts: [validity(values, nulls), null, bytesOf(data)] };
}

function booleans(values, nulls) {
  const data = new Uint8Array((values.length + 7) >> 3);
  for (let i = 0; i < values.length; i++) if (values[i] === 1) data[i >> 3] |= 1 << (i & 7);
  return { kind: BITS, parts: [validity(values, nulls), null, data] };
}

function times(values, nulls) {
  let hasText = false;
  for (let i = 0; i < values.length && !hasText; i++) hasText = typeof values[i] === "string";
  if (!hasText) return integers(values, nulls);
  for (let i = 0; i < values.length; i++) {
    if (typeof values[i] === "number") values[i] = toISO(new Date(values[i]));
  }
  return texts(values, nulls);
}

const LAY_OUT = {
  string: texts,
  integer: integers,
  number: numbers,
  boolean: booleans,
  timestamp: times,
  date: times,
  array: texts,
  document: texts,
  any: texts,
};

function lists(sizes, nulls) {
  const offsets = new Int32Array(sizes.length + 1);
  let end = 0;
  for (let i = 0; i < sizes.length; i++) offsets[i + 1] = end += sizes[i] ?? 0;
  return { kind: LIST, count: end, parts: [validity(sizes, nulls), bytesOf(offsets), null] };
}

// Gives the column of rows that do not fit: null, or JSON with the row's own text and the reason.
function unfit(rows, reasons) {
  const values = new Array(rows.length);
  for (let i = 0; i < rows.length; i++) {
    const reason = mapGet(reasons, i);
    values[i] = reason === undefined
      ? null
      : toText({ raw: toJson(rows[i]).text ?? preview(rows[i]), reason });
  }
  return texts(values, rows.length - reasons.size);
}

function layOut(rows, columns, misfits) {
  const laid = [];
  for (let i = 0; i < columns.length; i++) {
    const [name, type, itemType] = columns[i];
    if (type === "unfit") {
      laid[laid.length] = unfit(rows, misfits.reasons);
    } else if (itemType === undefined) {
      const { values, nulls } = convert(rows, name, i, type, misfits);
      laid[laid.length] = LAY_OUT[type](values, nulls);
    } else {
      const { sizes, nulls, items } = convertLists(rows, name, i, itemType, misfits);
      laid[laid.length] = lists(sizes, nulls);
      let itemNulls = 0;
      for (let j = 0; j < items.length; j++) if (items[j] === null) itemNulls += 1;
      laid[laid.length] = LAY_OUT[itemType](items, itemNulls);
    }
  }
  return laid;
}

const padded = (length) => (length + 7) & ~7;

// `columns` is a list of [name, type], or [name, "array", type of the items]; the last may be of the
// type "unfit". Gives the page's bytes after `room` free bytes.
export function encodePage(rows, columns, room, isPart) {
  const keepsUnfit = columns.length > 0 && columns[columns.length - 1][1] === "unfit";
  const misfits = new Misfits(keepsUnfit ? new Map() : null);
  const laid = layOut(rows, columns, misfits);
  const note = misfits.count
    ? encode(toText({ count: misfits.count, misfits: misfits.list }))
    : new Uint8Array(0);
  let size = 16 + 16 * laid.length + padded(note.length);
  for (const { parts } of laid) for (const part of parts) if (part) size += padded(part.length);
  const bytes = new Uint8Array(room + size);
  const view = new DataView(bytes.buffer, room);
  view.setUint32(0, rows.length, true);
  view.setUint32(4, columns.length, true);
  view.setUint32(8, note.length, true);
  view.setUint32(12, isPart ? 1 : 0, true);
  let at = 16;
  for (const { kind, count, parts } of laid) {
    view.setUint32(at, kind, true);
    view.setUint32(at + 4, parts[0]?.length ?? 0, true);
    view.setUint32(at + 8, parts[1]?.length ?? 0, true);
    view.setUint32(at + 12, count ?? parts[2].length, true);
    at += 16;
  }
  setBytes(bytes, note, room + at);
  at += padded(note.length);
  for (const { parts } of laid) {
    for (const part of parts) {
      if (!part) continue;
      setBytes(bytes, part, room + at);
      at += padded(part.length);
    }
  }
  return bytes;
}
