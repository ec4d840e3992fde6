// The error classes of the handler contract, and how any thrown value is told to the host.

const defineProperty = Object.defineProperty;
const stringify = JSON.stringify;
const isError = (value) => value instanceof Error;

const MAX_MESSAGE = 10_000;
const MAX_STACK = 8 << 10;

function named(constructor, name) {
  defineProperty(constructor.prototype, "name", {
    value: name,
    writable: true,
    configurable: true,
  });
  return constructor;
}

export const ConnectorError = named(
  class ConnectorError extends Error {
    constructor(message, details) {
      super(message, details?.cause === undefined ? undefined : { cause: details.cause });
      if (details?.status !== undefined) this.status = details.status;
      if (details?.retryAfter !== undefined) this.retryAfter = details.retryAfter;
    }
  },
  "ConnectorError",
);
export const ConnectorAuthError = named(
  class ConnectorAuthError extends ConnectorError {},
  "ConnectorAuthError",
);
export const ConnectorRateLimitError = named(
  class ConnectorRateLimitError extends ConnectorError {},
  "ConnectorRateLimitError",
);
export const ConnectorConnectionError = named(
  class ConnectorConnectionError extends ConnectorError {},
  "ConnectorConnectionError",
);
export const ConnectorTimeoutError = named(
  class ConnectorTimeoutError extends ConnectorError {},
  "ConnectorTimeoutError",
);
// The standard says that a failed fetch is a TypeError; the contract says how it is named.
export const FetchError = named(
  class FetchError extends TypeError {
    constructor(message, code) {
      super(message);
      this.code = code;
    }
  },
  "FetchError",
);

// What a test's mock does not answer; no FetchError, so that no handler takes it for one.
export const MockUnmatchedError = named(
  class MockUnmatchedError extends Error {
    constructor(message, code) {
      super(message);
      this.code = code;
    }
  },
  "MockUnmatchedError",
);

// Made by us while reading a result; never visible to a handler.
export class DataProblem extends Error {
  constructor(message, hint) {
    super(message);
    this.hint = hint;
  }
}

// Errors of response.json(), told apart from a SyntaxError of the handler's own.
export const ofJson = new WeakSet();

const NATIVE = [ReferenceError, TypeError, RangeError, SyntaxError, EvalError];

function kindOf(error) {
  if (error instanceof DataProblem) return "data";
  if (error instanceof ConnectorAuthError) return "auth";
  if (error instanceof ConnectorRateLimitError) return "rate";
  if (error instanceof ConnectorConnectionError) return "connection";
  if (error instanceof ConnectorTimeoutError) return "timeout";
  if (error instanceof ConnectorError) return "connector";
  if (error instanceof FetchError) return "fetch";
  if (error instanceof MockUnmatchedError) return "mock";
  if (ofJson.has(error)) return "json";
  return NATIVE.some((native) => error instanceof native) ? "native" : "plain";
}

export function cut(text, length) {
  return text.length > length ? text.slice(0, length - 1) + "…" : text;
}

export function preview(value, length = 80) {
  try {
    if (typeof value === "function") return `function ${value.name || "(anonymous)"}`;
    if (typeof value === "bigint" || typeof value === "symbol") return cut(String(value), length);
    if (value === undefined) return "undefined";
    if (value instanceof Date) return cut(String(value), length);
    return cut(stringify(value) ?? String(value), length);
  } catch {
    return "[value that cannot be shown]";
  }
}

const text = (value) => typeof value === "string" ? value : undefined;
const number = (value) =>
  Number.isFinite(Number(value)) && value !== null ? Number(value) : undefined;

// Errors are the handler's objects: any property may be a getter that throws.
function read(error, key) {
  try {
    return error[key];
  } catch {
    return undefined;
  }
}

// Proxies may throw at any look at them.
export function describe(thrown) {
  try {
    return describeShown(thrown);
  } catch {
    return { kind: "plain", name: "thrown value", message: "[value that cannot be shown]" };
  }
}

// What the runtime says of `eval` and its kin.
const NO_CODE = /^Code generation from strings disallowed/;

function describeShown(thrown) {
  if (thrown instanceof EvalError && NO_CODE.test(read(thrown, "message"))) {
    const stack = cut(text(read(thrown, "stack")) ?? "", MAX_STACK);
    const message = "code made of a text (`eval`, `new Function`) is not available in connectors";
    return { kind: "native", name: "EvalError", message, stack };
  }
  if (!isError(thrown)) {
    const message = typeof thrown === "string" ? thrown : preview(thrown, 200);
    return { kind: "plain", name: "thrown value", message: cut(message, MAX_MESSAGE) };
  }
  const cause = read(thrown, "cause");
  const status = number(read(thrown, "status"));
  const described = {
    kind: kindOf(thrown),
    name: cut(text(read(thrown, "name")) ?? "Error", 200),
    message: cut(text(read(thrown, "message")) ?? "", MAX_MESSAGE),
    stack: cut(text(read(thrown, "stack")) ?? "", MAX_STACK),
    status: Number.isInteger(status) && Math.abs(status) < 1e6 ? status : undefined,
    retry_after: number(read(thrown, "retryAfter")),
    code: cut(text(read(thrown, "code")) ?? "", 200) || undefined,
    hint: thrown instanceof DataProblem ? thrown.hint : undefined,
    cause: cause === undefined ? undefined : cut(
      isError(cause)
        ? `${text(read(cause, "name")) ?? "Error"}: ${text(read(cause, "message")) ?? ""}`
        : preview(cause),
      500,
    ),
  };
  return described;
}
