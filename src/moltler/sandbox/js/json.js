// JSON with every digit of its integers.

const parse = JSON.parse;
const rawJSON = JSON.rawJSON;
const stringify = JSON.stringify;
const isSafe = Number.isSafeInteger;
const test = Function.prototype.call.bind(RegExp.prototype.test);
const digits = Function.prototype.call.bind(BigInt.prototype.toString);
const includes = Function.prototype.call.bind(String.prototype.includes);
const replace = Function.prototype.call.bind(String.prototype.replace);
const codeAt = Function.prototype.call.bind(String.prototype.charCodeAt);
const toBigInt = BigInt;

const INTEGER = /^-?\d+$/;

function exact(_key, value, context) {
  return typeof value === "number" && !isSafe(value) && test(INTEGER, context.source)
    ? toBigInt(context.source)
    : value;
}

const LONG = 16;
const BEFORE_NUMBER = ":[,- \t\r\n";

function isDigit(code) {
  return code >= 48 && code <= 57;
}

// Tells whether a number may have sixteen digits or more. Such a run covers one of every sixteen
// places, so the others need no look: parsing exactly is eleven times slower than plain parsing,
// and even a regular expression takes half as long as that.
function mayBeBig(text) {
  const { length } = text;
  for (let at = LONG - 1; at < length; at += LONG) {
    if (!isDigit(codeAt(text, at))) continue;
    let start = at;
    while (start > 0 && isDigit(codeAt(text, start - 1))) start -= 1;
    do at += 1; while (at < length && isDigit(codeAt(text, at)));
    if (at - start < LONG) continue;
    if (start === 0 || includes(BEFORE_NUMBER, text[start - 1])) return true;
  }
  return false;
}

export function parseExactly(text) {
  return mayBeBig(text) ? parse(text, exact) : parse(text);
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
