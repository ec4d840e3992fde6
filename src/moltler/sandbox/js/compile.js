// Handler texts as modules: read as JavaScript, else as TypeScript, and what is wrong with them.

import { ConnectorError, FetchError } from "./errors.js";
import { stringify } from "./json.js";

const ENTRY = "__moltler_entry";
const createURL = URL.createObjectURL.bind(URL);
const revokeURL = URL.revokeObjectURL.bind(URL);
const NativeBlob = Blob;
const stopUrl = createURL(new NativeBlob(["throw null"], { type: "text/javascript" }));
// The first thing that a module does, before its own code: it ends.
const STOP = `import ${stringify(stopUrl)};`;
const urls = new Map();

// Names loaded modules in a stack by their handler's id.
export function withHandlers(stack) {
  for (const [url, id] of urls) stack = stack.replaceAll(url, `handler-${id}`);
  return stack;
}

// The handler's id by the URL of its module.
export const moduleIds = () => new Map(urls);

// Forgets every loaded module; whatever loads next gets new ones.
export function forgetModules() {
  for (const url of urls.keys()) revokeURL(url);
  urls.clear();
}

// Tells what is wrong with a text that did not compile, or null if it compiled and then threw.
function compileProblem(error, url) {
  if (error instanceof ConnectorError || error instanceof FetchError) return null;
  const message = String(error?.message ?? "");
  const position = message.match(/at (\S+):(\d+):(\d+)\s*$/);
  if (!position || position[1] !== url) return null;
  const place = { line: Number(position[2]), column: Number(position[3]) };
  const text = message.slice(0, position.index).trim();
  const unbound = /^Export '.*' is not defined in module/.test(text);
  if (unbound) return { kind: "unbound", name: "", message: text, ...place };
  const isLinked = text.includes("The requested module ");
  if (!isLinked && (error instanceof SyntaxError || text.startsWith("SyntaxError:"))) {
    const sentence = text.replace(/^SyntaxError: /, "").split("\n")[0].trim();
    return { kind: "compile", name: "SyntaxError", message: sentence, ...place };
  }
  return { kind: "import", name: "", message: text.split("\n")[0], ...place };
}

// Gives {entry}, {thrown} or {problem}, with {typescript}; the export is appended to the source,
// so that line n stays line n.
export async function importHandler(source, entry, suffix, id) {
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

// Finds the first import in code, be it `import x`, `import(x)` or `export x from`. With another
// word of the same length in its place it does not compile; in a text, in a comment or as a name
// it does.
export async function findImport(source, entry) {
  const words = /\bexport\b/.test(source) ? /\bimport\b|\bfrom\b/g : /\bimport\b/g;
  const places = [...source.matchAll(words)].map((match) => match.index);
  const replaced = (indices) => {
    let text = source;
    for (const i of indices) {
      const other = source[i] === "i" ? "public" : "frxm";
      text = text.slice(0, i) + other + text.slice(i + other.length);
    }
    return text;
  };
  const compiles = async (indices) =>
    (await importHandler(replaced(indices), entry, STOP)).problem?.kind !== "compile";
  if (places.length === 0 || await compiles(places)) return null;
  for (const at of places) {
    if (await compiles([at])) continue;
    const begin = source[at] === "i" ? at : source.lastIndexOf("export", at);
    const before = source.slice(0, begin).split("\n");
    const column = before.at(-1).length + 1;
    return { kind: "import", name: "", message: "", line: before.length, column };
  }
  return null;
}

const DEFAULT = /\bexport\b(?=(?:\s|\/\*[^]*?\*\/|\/\/.*)*(?:default\b|\{[^}]*\bdefault\b))/g;

// Finds an `export default`: with a second one the text does not compile.
async function defaultExport(source, entry) {
  const found = [...source.matchAll(DEFAULT)].at(-1);
  if (!found) return null;
  const { problem } = await importHandler(source, entry, `;export default 0;${STOP}`);
  if (problem?.kind !== "compile") return null;
  const before = source.slice(0, found.index).split("\n");
  const column = before.at(-1).length + 1;
  return { kind: "default", name: "", message: "", line: before.length, column };
}

// Compiles without running: a module that throws is evaluated before the handler's own. Gives
// {problem} or {typescript}.
export async function checkHandler(source, entry) {
  const result = await importHandler(source, entry, STOP);
  const isRead = result.problem?.kind !== "compile";
  const problem = isRead && (await findImport(source, entry) ?? await defaultExport(source, entry));
  return problem || result.problem
    ? { problem: problem || result.problem }
    : { typescript: result.typescript };
}
