// Which parts of handlers ran, told by the engine; only in a process started for that.

const isWanted = Deno.args.includes("--coverage");
let session = null;

function post(method, parameters) {
  return new Promise((resolve, reject) => {
    session.post(method, parameters, (error, result) => error ? reject(error) : resolve(result));
  });
}

if (isWanted) {
  const { Session } = await import("node:inspector");
  session = new Session();
  session.connect();
  // Nobody else shall ever get one.
  Deno.permissions.revokeSync({ name: "sys", kind: "inspector" });
  await post("Profiler.enable");
  await post("Profiler.startPreciseCoverage", { callCount: true, detailed: true });
}

// Gives [start, end, count] of every function and block, by the URL of its module.
export async function takeCoverage() {
  if (session === null) return new Map();
  const { result } = await post("Profiler.takePreciseCoverage");
  return new Map(result.map(({ url, functions }) => [
    url,
    functions.flatMap(({ ranges }) =>
      ranges.map(({ startOffset, endOffset, count }) => [startOffset, endOffset, count])
    ),
  ]));
}
