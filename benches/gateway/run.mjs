// Measures servers that push a room's messages to many viewers, side by side in one run; README.md describes the method.
//   node benches/gateway/run.mjs [--quick] [--rounds 3] [--only saturate,idle] [--servers roomcast,raw] [--json FILE]
import { execFileSync, spawn } from "node:child_process";
import { writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { full, quick } from "./scenarios.mjs";
import { built, servers, start } from "./servers.mjs";
import { table } from "./tables.mjs";

const { values: options } = parseArgs({
  options: { quick: { type: "boolean" }, rounds: { type: "string" }, only: { type: "string" }, servers: { type: "string" }, json: { type: "string" } },
});
const rounds = Number(options.rounds ?? (options.quick ? 1 : 3));
const chosen = (options.servers ?? Object.keys(servers).join()).split(",");
const groups = options.only?.split(",");
const scenarios = (options.quick ? quick : full).filter((one) => !groups || groups.includes(one.group));
for (const name of chosen) if (!servers[name]) throw new Error(`unknown server ${name}: ${Object.keys(servers)}`);
if (!scenarios.length) throw new Error(`--only: one of ${[...new Set(full.map((one) => one.group))]}`);

execFileSync("cargo", ["build", "--release", "--quiet", "--locked", "--manifest-path", join(import.meta.dirname, "Cargo.toml"), "--target-dir", join(built, "..")], { stdio: ["ignore", "ignore", "inherit"] });
const present = chosen.filter((name) => {
  const missing = servers[name].prepare?.();
  if (missing) console.log(`Skipped: ${name}, ${missing}.\n`);
  return !missing;
});

// The last error of the load client, and its first line.
const reason = (text) => {
  const lines = text.trim().split("\n");
  return [...new Set([lines.findLast((line) => line.startsWith("load:")), lines[0]])].filter(Boolean).join("; ");
};
// Runs the load client. Returns its JSON, or { error }.
const runLoad = (args) =>
  new Promise((done) => {
    const client = spawn(join(built, "load"), args, { stdio: ["ignore", "pipe", "pipe"] });
    let [stdout, stderr] = ["", ""];
    client.stdout.on("data", (part) => (stdout += part));
    client.stderr.on("data", (part) => (stderr += part));
    const late = setTimeout(() => client.kill("SIGKILL"), 600_000);
    client.on("close", (code) => {
      clearTimeout(late);
      done(code === 0 ? JSON.parse(stdout) : { error: reason(stderr) || `the load client exited with ${code}` });
    });
  });
const measure = async (name, scenario) => {
  let server;
  try {
    server = await start(name, scenario.env, scenario.rooms);
    const protocol = scenario.protocol ?? servers[name].protocol;
    if (protocol === "php" && !server.inner) throw new Error("it printed no inner address");
    const inner = [...(server.inner ? ["--inner", server.inner] : []), ...(server.owner ? ["--owner", server.owner] : [])];
    // Of a cluster: the processes of its parts, and where they tell their counts.
    const parts = server.parts ? ["--parts", server.parts, "--monitor", server.monitor, "--database", server.database] : [];
    return await runLoad([...scenario.load, "--server", protocol, "--addr", server.address, ...inner, ...parts, "--pids", String(server.pid), "--key", server.key]);
  } catch (error) {
    return { error: String(error.message).trim().split("\n").at(-1) };
  } finally {
    await server?.stop();
  }
};

console.log(`${new Date().toISOString().slice(0, 10)}, ${cpus().length} cores (${cpus()[0].model}), medians of ${rounds}, the client on the same cores.\n`);
const results = [];
for (const scenario of scenarios) {
  // A cluster measures the scenarios that name it.
  const chosenServers = present.filter((name) => (scenario.servers ? scenario.servers.includes(name) : !servers[name].nodes));
  if (!chosenServers.length) continue;
  const byServer = Object.fromEntries(chosenServers.map((name) => [name, []]));
  for (let round = 0; round < rounds; round++) {
    // The order of the servers is reversed every second round, so that a drift of the machine affects all alike.
    for (const name of round % 2 ? chosenServers.toReversed() : chosenServers) {
      const result = await measure(name, scenario);
      byServer[name].push(result);
      console.error(`${scenario.group} ${name} ${JSON.stringify(result)}`);
    }
  }
  results.push({ title: scenario.title, load: scenario.load, rounds: byServer });
  console.log(table(scenario, byServer));
}
if (options.json) writeFileSync(options.json, JSON.stringify(results, null, 1));
