// Whether a handler changed anything that outlives it: every object that can be reached from
// the global scope, compared with how it was before the first handler.
//
// What runs after handlers uses only what was captured here, and no iteration protocol.

const { getOwnPropertyDescriptor: describe, getPrototypeOf, is, isExtensible } = Object;
const { ownKeys } = Reflect;
const match = Function.prototype.call.bind(RegExp.prototype.test);
const clearMarks = performance.clearMarks.bind(performance);
const clearMeasures = performance.clearMeasures.bind(performance);

// Prototypes that no property leads to.
function hidden() {
  const iterators = [
    [][Symbol.iterator](),
    new Map()[Symbol.iterator](),
    new Set()[Symbol.iterator](),
    ""[Symbol.iterator](),
    "".matchAll(/x/g),
    new Intl.Segmenter().segment(""),
    new Intl.Segmenter().segment("")[Symbol.iterator](),
    Iterator.from({ next() {} }),
    [].values().map(() => 0),
    new Headers().entries(),
    new URLSearchParams().entries(),
    new FormData().entries(),
    new ReadableStream()[Symbol.asyncIterator](),
    function* () {},
    async function () {},
    async function* () {},
    (function* () {})(),
    (async function* () {})(),
  ];
  return iterators.map(getPrototypeOf);
}

function isObject(value) {
  return (typeof value === "object" && value !== null) || typeof value === "function";
}

// A lazily loaded global keeps what was assigned to it where no descriptor shows it.
function globalsRead() {
  return ownKeys(globalThis).filter((key) => !("value" in describe(globalThis, key)));
}

let nodes = null;
let lazyKeys = [];
let lazyValues = [];
let isTainted = false;

// What can act later without keeping the process busy: whoever uses it is not to be trusted.
function watch(name) {
  const native = globalThis[name];
  const ours = new Proxy(native, {
    construct(target, values, made) {
      isTainted = true;
      return Reflect.construct(target, values, made === ours ? target : made);
    },
  });
  native.prototype.constructor = ours;
  Object.defineProperty(globalThis, name, { ...describe(globalThis, name), value: ours });
}

export function takeBaseline() {
  for (const name of ["FinalizationRegistry", "PerformanceObserver"]) watch(name);
  lazyKeys = globalsRead();
  lazyValues = lazyKeys.map((key) => globalThis[key]);
  const seen = new Set();
  const todo = [globalThis, ...hidden(), ...lazyValues.filter(isObject)];
  nodes = [];
  while (todo.length) {
    const object = todo.pop();
    if (seen.has(object)) continue;
    seen.add(object);
    const proto = getPrototypeOf(object);
    const keys = ownKeys(object);
    const properties = keys.map((key) => describe(object, key));
    nodes.push({ object, proto, keys, properties, isOpen: isExtensible(object) });
    todo.push(...[proto, ...properties.flatMap((p) => [p.value, p.get, p.set])].filter(isObject));
  }
}

export const hasBaseline = () => nodes !== null;

function isSame({ object, proto, keys, properties, isOpen }) {
  if (isExtensible(object) !== isOpen) return false;
  if (getPrototypeOf(object) !== proto || ownKeys(object).length !== keys.length) return false;
  for (let i = 0; i < keys.length; i++) {
    const then = properties[i];
    const found = describe(object, keys[i]);
    if (
      found === undefined || !is(found.value, then.value) || found.get !== then.get ||
      found.set !== then.set || found.writable !== then.writable ||
      found.enumerable !== then.enumerable || found.configurable !== then.configurable
    ) return false;
  }
  return true;
}

// Tells whether all is as it was, and forgets what natives remember of the last handlers.
export function isPristine() {
  if (isTainted) return false;
  for (let i = 0; i < nodes.length; i++) if (!isSame(nodes[i])) return false;
  for (let i = 0; i < lazyKeys.length; i++) {
    if (globalThis[lazyKeys[i]] !== lazyValues[i]) return false;
  }
  match(/^/, ""); // the groups of the last match
  clearMarks();
  clearMeasures();
  return true;
}
