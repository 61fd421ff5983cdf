// Servers that push a room's messages to many viewers, side by side in one run: README.md says what and how.
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
for (const name of chosen) if (!servers[name]) throw new Error(`${name} is none of ${Object.keys(servers)}`);
if (!scenarios.length) throw new Error(`--only takes ${[...new Set(full.map((one) => one.group))]}`);

execFileSync("cargo", ["build", "--release", "--quiet", "--locked", "--manifest-path", join(import.meta.dirname, "Cargo.toml"), "--target-dir", join(built, "..")], { stdio: ["ignore", "ignore", "inherit"] });
const present = chosen.filter((name) => {
  const missing = servers[name].prepare?.();
  if (missing) console.log(`Left out: ${name}, ${missing}.\n`);
  return !missing;
});

// What came of it, and the first complaint.
const reason = (text) => {
  const lines = text.trim().split("\n");
  return [...new Set([lines.findLast((line) => line.startsWith("load:")), lines[0]])].filter(Boolean).join("; ");
};
// One line of JSON, or why there is none.
const ask = (args) =>
  new Promise((done) => {
    const client = spawn(join(built, "load"), args, { stdio: ["ignore", "pipe", "pipe"] });
    let [said, complained] = ["", ""];
    client.stdout.on("data", (part) => (said += part));
    client.stderr.on("data", (part) => (complained += part));
    const late = setTimeout(() => client.kill("SIGKILL"), 600_000);
    client.on("close", (code) => {
      clearTimeout(late);
      done(code === 0 ? JSON.parse(said) : { error: reason(complained) || `the load client ended with ${code}` });
    });
  });
const measure = async (name, scenario) => {
  let server;
  try {
    server = await start(name, scenario.env);
    const speaks = scenario.speaks ?? servers[name].speaks;
    if (speaks === "php" && !server.inner) throw new Error("it does not say where PHP finds it");
    const inner = server.inner ? ["--inner", server.inner] : [];
    return await ask([...scenario.load, "--server", speaks, "--addr", server.address, ...inner, "--pids", String(server.pid), "--key", server.key]);
  } catch (error) {
    return { error: String(error.message).trim().split("\n").at(-1) };
  } finally {
    await server?.stop();
  }
};

console.log(`${new Date().toISOString().slice(0, 10)}, ${cpus().length} cores (${cpus()[0].model}), medians of ${rounds}, the client on the same cores.\n`);
const results = [];
for (const scenario of scenarios) {
  const those = present.filter((name) => !scenario.servers || scenario.servers.includes(name));
  if (!those.length) continue;
  const said = Object.fromEntries(those.map((name) => [name, []]));
  for (let round = 0; round < rounds; round++) {
    // Alternating, and the other way round every second time: what drifts drifts for all.
    for (const name of round % 2 ? those.toReversed() : those) {
      const result = await measure(name, scenario);
      said[name].push(result);
      console.error(`${scenario.group} ${name} ${JSON.stringify(result)}`);
    }
  }
  results.push({ title: scenario.title, load: scenario.load, rounds: said });
  console.log(table(scenario, said));
}
if (options.json) writeFileSync(options.json, JSON.stringify(results, null, 1));
