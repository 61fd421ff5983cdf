// Starts and stops each server. A server that is not installed here is reported and skipped.
import { execFileSync, spawn } from "node:child_process";
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir, userInfo } from "node:os";
import { join } from "node:path";

const here = import.meta.dirname;
const top = join(here, "../..");
export const built = join(process.env.CARGO_TARGET_DIR ?? join(top, "target/bench-gateway"), "release");
const roomcast = process.env.ROOMCAST ?? join(top, "target/release/roomcast");
const key = "a-key-for-this-run-only-0123456789abcdef";
const modules = ["/usr/lib/nginx/modules", "/usr/lib64/nginx/modules"].find((folder) => existsSync(join(folder, "ngx_nchan_module.so")));
const socketio = join(built, "../socketio");

const freePort = () =>
  new Promise((found) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => found(port));
    });
  });

// Runs once, before the first start. Returns the reason if the server is unavailable.
const prepareSocketIo = () => {
  mkdirSync(socketio, { recursive: true });
  for (const file of ["package.json", "package-lock.json", "server.mjs"]) cpSync(join(here, "socketio", file), join(socketio, file));
  try {
    execFileSync("npm", ["ci", "--no-audit", "--no-fund"], { cwd: socketio, stdio: "pipe" });
  } catch (error) {
    return `npm ci failed: ${String(error.stderr).trim().split("\n")[0]}`;
  }
};
const prepareNchan = () => (modules ? undefined : "libnginx-mod-nchan is not installed");
const prepareRoomcast = () => (existsSync(roomcast) ? undefined : `${roomcast} is not built`);

const startRoomcast = (folder) => ({
  command: [roomcast, "--addr", "127.0.0.1:0", "--data-dir", folder, "--set", "chat.cooldown_ms=0", "--set", "limits.per_ip=off", "--set", "gateway.max_connections=60000"],
  env: { ROOMCAST_API_KEY: key, RUST_LOG: "warn" },
  // The last line of start-up, after all addresses.
  ready: /^Open it/m,
});
const startNchan = async (folder) => {
  const port = await freePort();
  const filled = { MODULES: modules, USER: userInfo().username, FOLDER: folder, PORT: port };
  const conf = readFileSync(join(here, "nchan/nginx.conf"), "utf8").replace(/@(\w+)@/g, (_, name) => filled[name]);
  writeFileSync(join(folder, "nginx.conf"), conf);
  return { command: ["nginx", "-p", folder, "-c", join(folder, "nginx.conf")], address: `127.0.0.1:${port}` };
};

// `protocol`: the value of --server of the load client.
export const servers = {
  raw: { protocol: "plain", start: () => ({ command: [join(built, "raw")] }) },
  roomcast: { protocol: "roomcast", prepare: prepareRoomcast, start: startRoomcast },
  "axum-tuned": { protocol: "plain", start: () => ({ command: [join(built, "axum-peer"), "--tuned"] }) },
  "axum-default": { protocol: "plain", start: () => ({ command: [join(built, "axum-peer")] }) },
  nchan: { protocol: "nchan", prepare: prepareNchan, start: startNchan },
  socketio: { protocol: "socketio", prepare: prepareSocketIo, start: () => ({ command: ["node", join(socketio, "server.mjs")] }) },
};

const accepts = async (address) => {
  for (let tries = 0; tries < 100; tries++) {
    try {
      await fetch(`http://${address}/`);
      return;
    } catch {
      await new Promise((later) => setTimeout(later, 50));
    }
  }
  throw new Error(`nothing listens on ${address}`);
};

// Servers to stop when this process ends for any reason.
const running = new Set();
process.on("exit", () => { for (const server of running) server.end(); });
for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => process.exit(130));

const LISTENS = /listening on (\d+\.\d+\.\d+\.\d+:\d+)/;
const INNER = /inner address (\d+\.\d+\.\d+\.\d+:\d+)/;

// Starts a server on a free port and resolves when it listens. `more`: additional environment.
export const start = async (name, more = {}) => {
  const folder = mkdtempSync(join(tmpdir(), "gateway-bench-"));
  const { command, env, address, ready = LISTENS } = await servers[name].start(folder);
  const child = spawn(command[0], command.slice(1), { env: { ...process.env, ...env, ...more }, stdio: ["ignore", "pipe", "pipe"] });
  const gone = new Promise((done) => child.on("exit", done));
  const server = {
    pid: child.pid,
    key,
    end: () => {
      // nginx's workers outlive a master that is killed.
      child.kill(name === "nchan" ? "SIGTERM" : "SIGKILL");
      rmSync(folder, { recursive: true, force: true });
      running.delete(server);
    },
    stop: async () => {
      child.kill("SIGTERM");
      // Draining thousands of viewers may take a while.
      const late = setTimeout(() => child.kill("SIGKILL"), 10_000);
      await gone;
      clearTimeout(late);
      server.end();
    },
  };
  running.add(server);
  let stderr = "";
  child.stderr.on("data", (part) => { stderr = (stderr + part).slice(-2000); });
  const out = address ? "" : await new Promise((found, failed) => {
    let out = "";
    child.stdout.on("data", (part) => { out += part; if (ready.test(out)) found(out); });
    child.on("error", failed).on("exit", () => failed(new Error(`${name} exited: ${stderr}`)));
  });
  server.address = address ?? LISTENS.exec(out)[1];
  server.inner = INNER.exec(out)?.[1];
  await accepts(server.address);
  return server;
};
