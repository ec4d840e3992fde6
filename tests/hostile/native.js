// What code could do that broke out of the JavaScript engine: the runtime with every permission,
// and the C library by hand. Writes one line of JSON for each try: [name, what came of it].

const [file, port, parent, ...only] = Deno.args;
const libc = Deno.dlopen("libc.so.6", {
  fork: { parameters: [], result: "i32" },
  socket: { parameters: ["i32", "i32", "i32"], result: "i32" },
  kill: { parameters: ["i32", "i32"], result: "i32" },
  ptrace: { parameters: ["i64", "i32", "pointer", "pointer"], result: "i64" },
  unshare: { parameters: ["i32"], result: "i32" },
  open: { parameters: ["buffer", "i32"], result: "i32" },
  dup: { parameters: ["i32"], result: "i32" },
  execl: { parameters: ["buffer", "buffer", "pointer"], result: "i32" },
  setrlimit: { parameters: ["i32", "buffer"], result: "i32" },
  prctl: { parameters: ["i32", "i64", "i64", "i64", "i64"], result: "i32" },
  chroot: { parameters: ["buffer"], result: "i32" },
  mkdir: { parameters: ["buffer", "i32"], result: "i32" },
  unlink: { parameters: ["buffer"], result: "i32" },
  symlink: { parameters: ["buffer", "buffer"], result: "i32" },
  mkfifo: { parameters: ["buffer", "i32"], result: "i32" },
  call: { name: "syscall", parameters: ["i64", "i64", "i64", "i64"], result: "i64" },
  callWith: { name: "syscall", parameters: ["i64", "i64", "buffer", "i64"], result: "i64" },
  callOn: { name: "syscall", parameters: ["i64", "buffer", "i64", "i64"], result: "i64" },
}).symbols;
const number = (x86, arm) => BigInt(Deno.build.arch === "x86_64" ? x86 : arm);
const text = (value) => new TextEncoder().encode(value + "\0");
const done = (result) => result < 0 ? "refused" : `done: ${result}`;
const cloneArguments = () => {
  const all = new BigUint64Array(8);
  all[4] = 17n; // the signal at its end
  return new Uint8Array(all.buffer);
};
const mapOfOne = () =>
  new Uint8Array(new Uint32Array([2, 4, 4, 1, ...new Array(14).fill(0)]).buffer);
const O_WRONLY_CREAT = 0o101;

const tries = {
  "read a file": () => Deno.readTextFileSync(file),
  "read the password file": () => Deno.readTextFileSync("/etc/passwd"),
  "read the parent's environment": () => Deno.readTextFileSync(`/proc/${parent}/environ`),
  "read the parent's memory": () => done(libc.open(text(`/proc/${parent}/mem`), 0)),
  "read the parent's memory by process_vm_readv": () =>
    done(Number(libc.call(number(310, 270), BigInt(parent), 0n, 0n))),
  "list a folder": () => [...Deno.readDirSync("/")].length,
  "list the processes": () => [...Deno.readDirSync("/proc")].length,
  "write a file": () => Deno.writeTextFileSync(`${file}.stolen`, "x"),
  "write into the runtime's folder": () => done(libc.open(text(`${file}.js`), O_WRONLY_CREAT)),
  "append to a file": () => Deno.writeTextFileSync(file, "x", { append: true }),
  "truncate a file": () => Deno.truncateSync(file),
  "remove a file": () => Deno.removeSync(file),
  "rename a file": () => Deno.renameSync(file, `${file}.moved`),
  "make a folder": () => done(libc.mkdir(text(`${file}.d`), 0o755)),
  "make a link": () => done(libc.symlink(text("/etc/passwd"), text(`${file}.link`))),
  "make a pipe": () => done(libc.mkfifo(text(`${file}.pipe`), 0o644)),
  "connect to a port": () => Deno.connect({ hostname: "127.0.0.1", port: Number(port) }),
  "listen on a port": () => Deno.listen({ port: 0 }),
  "fetch": () => fetch(`http://127.0.0.1:${port}/native`),
  "look a name up": () => Deno.resolveDns("example.com", "A"),
  "send a datagram": () => Deno.listenDatagram({ port: 0, transport: "udp" }),
  "make a TCP socket": () => done(libc.socket(2, 1, 0)),
  "make a UDP socket": () => done(libc.socket(2, 2, 0)),
  "make a raw socket": () => done(libc.socket(2, 3, 1)),
  "make a local socket": () => done(libc.socket(1, 1, 0)),
  "make a netlink socket": () => done(libc.socket(16, 3, 0)),
  "make an io_uring": () => done(Number(libc.callWith(425n, 8n, new Uint8Array(120), 0n))),
  "signal the parent": () => done(libc.kill(Number(parent), 0)),
  "signal everybody": () => done(libc.kill(-1, 0)),
  "signal by a handle": () => done(Number(libc.call(434n, BigInt(parent), 0n, 0n))),
  "trace the parent": () => done(Number(libc.ptrace(16n, Number(parent), null, null))),
  "fork": () => done(libc.fork()),
  "fork by clone3": () => done(Number(libc.callOn(435n, cloneArguments(), 64n, 0n))),
  "run a program": () => new Deno.Command("/bin/true").outputSync(),
  "become a program": () => done(libc.execl(text("/bin/true"), text("true"), null)),
  "make a namespace": () => done(libc.unshare(0x10000000)),
  "change the root": () => done(libc.chroot(text("/"))),
  "load BPF": () => done(Number(libc.callWith(number(321, 280), 0n, mapOfOne(), 72n))),
  "read the keyring": () => done(Number(libc.call(number(250, 219), 0n, -4n, 1n))),
  "raise the limit of files": () =>
    done(libc.setrlimit(7, new Uint8Array(new BigUint64Array([4096n, 4096n]).buffer))),
  "open all files there may be": () => {
    let count = 0;
    while (count < 5_000 && libc.dup(0) >= 0) count += 1;
    return count;
  },
  "survive the parent": () => done(libc.prctl(1, 0n, 0n, 0n, 0n)),
};

const out = new TextEncoder();
const tell = (name, result) =>
  Deno.stdout.writeSync(out.encode(JSON.stringify([name, result]) + "\n"));
tell("environment", Deno.env.toObject());
for (const [name, attempt] of Object.entries(tries)) {
  if (only.length && !only.includes(name)) continue;
  let result;
  try {
    const got = await attempt();
    result = typeof got === "string" || typeof got === "number" ? got : "done";
  } catch (error) {
    result = `refused: ${error.name}`;
  }
  tell(name, result);
}
Deno.exit(0);
