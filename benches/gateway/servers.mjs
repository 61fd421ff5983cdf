// Starts and stops each server. A server that is not installed here is reported and skipped.
import { execFileSync, spawn, spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir, userInfo } from "node:os";
import { join } from "node:path";
import { startCluster } from "./cluster.mjs";
import { freePort, INNER, LISTENS, OWNER, ready } from "./processes.mjs";

const here = import.meta.dirname;
const top = join(here, "../..");
export const built = join(process.env.CARGO_TARGET_DIR ?? join(top, "target/bench-gateway"), "release");
const roomcast = process.env.ROOMCAST ?? join(top, "target/release/roomcast");
const key = "a-key-for-this-run-only-0123456789abcdef";
const modules = ["/usr/lib/nginx/modules", "/usr/lib64/nginx/modules"].find((folder) => existsSync(join(folder, "ngx_nchan_module.so")));
const socketio = join(built, "../socketio");

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

const prepareCluster = () => {
  const missing = ["nats-server", "psql"].find((program) => spawnSync(program, ["--version"]).error);
  return missing ? `${missing} is not installed` : prepareRoomcast();
};

const startRoomcast = (folder) => ({
  command: [roomcast, "--addr", "127.0.0.1:0", "--data-dir", folder, "--set", "chat.cooldown_ms=0", "--set", "limits.per_ip=off", "--set", "gateway.max_connections=60000"],
  env: { ROOMCAST_API_KEY: key, RUST_LOG: "warn" },
  // The last line of start-up, after all addresses.
  isReady: /^Open it/m,
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
  // Nodes with NATS and PostgreSQL. One node has both, too, so that the numbers tell what further ones cost.
  "nodes-1": { protocol: "chat", prepare: prepareCluster, nodes: 1 },
  "nodes-2": { protocol: "chat", prepare: prepareCluster, nodes: 2 },
  "nodes-3": { protocol: "chat", prepare: prepareCluster, nodes: 3 },
  "nodes-4": { protocol: "chat", prepare: prepareCluster, nodes: 4 },
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

// Starts a server on a free port and resolves when it listens. `more`: additional environment; `rooms`: rooms of the chat, in a cluster.
export const start = async (name, more = {}, rooms = 1) => {
  const folder = mkdtempSync(join(tmpdir(), "gateway-bench-"));
  if (servers[name].nodes) {
    const cluster = await startCluster(roomcast, folder, key, servers[name].nodes, rooms);
    running.add(cluster);
    return { ...cluster, stop: async () => { cluster.end(); running.delete(cluster); } };
  }
  const { command, env, address, isReady = LISTENS } = await servers[name].start(folder);
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
  const out = address ? "" : await ready(child, child.stdout, isReady, name);
  server.address = address ?? LISTENS.exec(out)[1];
  server.inner = INNER.exec(out)?.[1];
  server.owner = OWNER.exec(out)?.[1];
  await accepts(server.address);
  return server;
};
