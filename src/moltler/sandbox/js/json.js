// JSON with every digit of its integers.

const parse = JSON.parse;
const rawJSON = JSON.rawJSON;
const stringify = JSON.stringify;
const isSafe = Number.isSafeInteger;
const test = Function.prototype.call.bind(RegExp.prototype.test);
const digits = Function.prototype.call.bind(BigInt.prototype.toString);
const includes = Function.prototype.call.bind(String.prototype.includes);
const replace = Function.prototype.call.bind(String.prototype.replace);
const toBigInt = BigInt;

// Sixteen digits that may be a number: JSON.parse alone is eleven times faster than exact parsing.
const MAYBE_BIG = /(?:^|[:[,\s-])\d{16}/;
const INTEGER = /^-?\d+$/;

function exact(_key, value, context) {
  return typeof value === "number" && !isSafe(value) && test(INTEGER, context.source)
    ? toBigInt(context.source)
    : value;
}

export function parseExactly(text) {
  return test(MAYBE_BIG, text) ? parse(text, exact) : parse(text);
}

Object.defineProperty(BigInt.prototype, "toJSON", {
  value: function toJSON() {
    return rawJSON(digits(this));
  },
  writable: true,
  configurable: true,
});

// JSON.stringify escapes surrogates only where they are alone; the host takes no such text.
const ESCAPE = /\\(?:u(d[89a-f][0-9a-f]{2})|.)/g;
const whole = (escape, lone) => lone ? "\\ufffd" : escape;

export function toText(value) {
  const text = stringify(value);
  return text !== undefined && includes(text, "\\ud") ? replace(text, ESCAPE, whole) : text;
}

export { stringify };
