// A console that writes log frames. The native one prints to stdout, which is the pipe.

import { cut } from "./errors.js";

const MAX_LINES = 1_000;
const MAX_CHARACTERS = 1 << 20;
const MAX_LINE = 64 << 10;

// `write(level, text)` sends a line; `budget()` gives the counters of the running call. Gives the
// console and what makes it forget its counters.
export function makeConsole(write, budget, inspect) {
  const counts = new Map();
  const starts = new Map();
  const now = performance.now.bind(performance);
  let indent = "";

  function show(value) {
    if (typeof value === "string") return value;
    try {
      return inspect(value, { depth: 4, colors: false, strAbbreviateSize: 1_000 });
    } catch {
      return "[value that cannot be shown]";
    }
  }

  function line(level, values) {
    const used = budget();
    if (used.lines >= MAX_LINES || used.characters >= MAX_CHARACTERS) {
      if (used.dropped++ === 0) write("warn", "more log lines are left out");
      return;
    }
    const text = cut(indent + values.map(show).join(" "), MAX_LINE);
    used.lines += 1;
    used.characters += text.length;
    write(level, text);
  }

  const label = (name) => name === undefined ? "default" : String(name);
  const elapsed = (name) => `${name}: ${(now() - (starts.get(name) ?? now())).toFixed(1)} ms`;
  const reset = () => {
    counts.clear();
    starts.clear();
    indent = "";
  };
  const console = {
    log: (...values) => line("info", values),
    info: (...values) => line("info", values),
    debug: (...values) => line("debug", values),
    warn: (...values) => line("warn", values),
    error: (...values) => line("error", values),
    dir: (value) => line("info", [value]),
    dirxml: (...values) => line("info", values),
    table: (value) => line("info", [value]),
    trace: (...values) => line("debug", ["trace:", ...values]),
    assert(condition, ...values) {
      if (!condition) line("error", ["assertion failed", ...values]);
    },
    count(name) {
      const key = label(name);
      counts.set(key, (counts.get(key) ?? 0) + 1);
      line("info", [`${key}: ${counts.get(key)}`]);
    },
    countReset: (name) => void counts.delete(label(name)),
    group(...values) {
      if (values.length) line("info", values);
      if (indent.length < 64) indent += "  ";
    },
    groupCollapsed(...values) {
      this.group(...values);
    },
    groupEnd() {
      indent = indent.slice(2);
    },
    time: (name) => void starts.set(label(name), now()),
    timeLog: (name, ...values) => line("info", [elapsed(label(name)), ...values]),
    timeEnd(name) {
      line("info", [elapsed(label(name))]);
      starts.delete(label(name));
    },
    timeStamp() {},
    profile() {},
    profileEnd() {},
    clear() {},
  };
  return { console, reset };
}
