// Starts a cluster for the benchmark: a PostgreSQL server, a NATS server and several nodes, on free loopback ports.
import { execFileSync, spawn } from "node:child_process";
import { mkdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { freePort, LISTENS, OWNER, ready } from "./processes.mjs";

const postgres = (verb, folder) =>
  execFileSync(join(import.meta.dirname, "../../tools/postgres.sh"), [verb, folder], { encoding: "utf8", stdio: ["ignore", "pipe", "inherit"] }).trim();

// Returns the address of NATS, that of its monitoring, and its process.
const startNats = async () => {
  const [port, monitor] = [await freePort(), await freePort()];
  const flags = ["--addr", "127.0.0.1", "--port", String(port), "--http_port", String(monitor)];
  const child = spawn("nats-server", flags, { stdio: ["ignore", "ignore", "pipe"] });
  await ready(child, child.stderr, /Server is ready/, "nats-server");
  return { child, url: `nats://127.0.0.1:${port}`, monitor: `127.0.0.1:${monitor}` };
};

// Starts `count` nodes of the binary `roomcast` and makes `rooms` rooms. Resolves when all nodes serve and know each other.
export const startCluster = async (roomcast, folder, key, count, rooms) => {
  const base = join(folder, "postgres");
  const url = postgres("start", base);
  const nats = await startNats();
  const nodes = [];
  const postmaster = readFileSync(join(base, "postmaster.pid"), "utf8").split("\n")[0];
  const server = { key, parts: `nats=${nats.child.pid},postgres=${postmaster}`, monitor: nats.monitor, database: url };
  server.end = () => {
    for (const child of [...nodes, nats.child]) child.kill("SIGKILL");
    postgres("stop", base);
    rmSync(folder, { recursive: true, force: true });
  };
  try {
    const addresses = [];
    for (let node = 0; node < count; node++) {
      const data = join(folder, `node-${node}`);
      mkdirSync(data);
      const settings = ["chat.cooldown_ms=0", "limits.per_ip=off", "gateway.max_connections=60000", "gateway.php=off"];
      const env = {
        ...process.env, ROOMCAST_API_KEY: key, RUST_LOG: "warn", ROOMCAST_STORAGE_URL: url, ROOMCAST_CLUSTER_NATS: nats.url,
        ROOMCAST_CLUSTER_LOOPBACK: "on",
        ROOMCAST_LAN_ADDR: `127.0.0.1:${await freePort()}`,
      };
      const flags = ["--addr", "127.0.0.1:0", "--data-dir", data, ...settings.flatMap((setting) => ["--set", setting])];
      const child = spawn(roomcast, flags, { env, stdio: ["ignore", "pipe", "pipe"] });
      nodes.push(child);
      const out = await ready(child, child.stdout, /^Open it/m, "roomcast");
      addresses.push(LISTENS.exec(out)[1]);
      server.owner ??= OWNER.exec(out)?.[1];
      if (node === 0) {
        for (let room = 1; room < rooms; room++) execFileSync(roomcast, ["room", "add", "Room", "--data-dir", data], { env, stdio: "ignore" });
      }
    }
    // Each node has heard the others: a hello a second.
    await new Promise((later) => setTimeout(later, 3_000));
    server.address = addresses.join();
    server.pid = nodes.map((child) => child.pid).join();
  } catch (error) {
    server.end();
    throw error;
  }
  server.stop = async () => server.end();
  return server;
};
