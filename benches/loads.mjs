// Plays the loads of a hostile client against a server of its own, and prints what the others see meanwhile and the memory
// afterwards. Run by `make bench`.
//   node benches/loads.mjs BINARY [LOAD …]
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { Agent, request } from "node:http";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

const KEY = "loads";
const MIB = 1024 * 1024;
// Longest wait for freed memory to go back to the system, in ms.
const SETTLES_WITHIN = 30_000;

const wait = (ms) => new Promise((done) => setTimeout(done, ms));

class Server {
  static async start(binary, { env = {}, set = [], stderr = "ignore" } = {}) {
    const server = new Server();
    server.folder = mkdtempSync(join(tmpdir(), "roomcast-loads-"));
    const keys = set.flatMap((pair) => ["--set", pair]);
    server.process = spawn(binary, ["--addr", "127.0.0.1:0", "--data-dir", server.folder, ...keys], {
      stdio: ["ignore", "pipe", stderr], env: { ...process.env, ROOMCAST_API_KEY: KEY, ROOMCAST_LAN_ADDR: "127.0.0.1:0", ROOMCAST_REGISTER_ADDR: "127.0.0.1:0", ...env },
    });
    server.exited = new Promise((done) => server.process.on("exit", done));
    let text = "";
    await new Promise((ready) => server.process.stdout.on("data", (part) => { text += part; if (/listening on/.test(text)) ready(); }));
    server.port = Number(/listening on [\d.]+:(\d+)/.exec(text)[1]);
    server.owner = /owner=([\w-]+)/.exec(text)?.[1];
    await wait(300);
    return server;
  }

  /// Resident memory in MiB.
  rss = () => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${this.process.pid}/status`, "utf8"))[1]) / 1024;
  threads = () => readdirSync(`/proc/${this.process.pid}/task`).length;

  async post(path, form, { cookie = "", from = "127.0.0.1", agent, json, within = 20_000 } = {}) {
    const body = json ? JSON.stringify(form) : new URLSearchParams(form).toString();
    const headers = { "content-type": json ? "application/json" : "application/x-www-form-urlencoded", "content-length": Buffer.byteLength(body), cookie };
    if (json) headers.authorization = `Bearer ${KEY}`;
    return this.send({ path, method: "POST", headers, localAddress: from, agent, timeout: within }, body);
  }

  get = (path, from = "127.0.0.1") => this.send({ path, localAddress: from, agent: false, timeout: 5_000 });

  send(options, body) {
    const began = performance.now();
    return new Promise((done) => {
      const sent = request({ host: "127.0.0.1", port: this.port, ...options }, (answer) => {
        let text = "";
        answer.on("data", (part) => { text += part; }).on("end", () =>
          done({ status: answer.statusCode, text, ms: performance.now() - began, cookie: (answer.headers["set-cookie"] ?? []).map((line) => line.split(";")[0]).join("; ") }));
      });
      sent.on("timeout", () => sent.destroy()).on("error", () => done({ status: 0, text: "", ms: performance.now() - began, cookie: "" }));
      sent.end(body);
    });
  }

  /// Opens a socket and returns it with its client id.
  socket() {
    return new Promise((done, failed) => {
      const stream = connect(this.port, "127.0.0.1");
      let text = "";
      stream.on("error", failed).on("data", (part) => {
        if (text === null) return;
        text += part.toString("latin1");
        const id = /"client_id":"(\w+)"/.exec(text)?.[1];
        if (id) { text = null; done({ stream, id }); }
      });
      stream.write(`GET /ws HTTP/1.1\r\nHost: 127.0.0.1:${this.port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${createHash("md5").update(String(Math.random())).digest("base64")}\r\n\r\n`);
    });
  }

  /// Opens sockets, all bound to one uid.
  async sockets(count, uid) {
    const opened = [];
    while (opened.length < count) opened.push(...(await Promise.all(Array.from({ length: Math.min(100, count - opened.length) }, () => this.socket()))));
    for (let at = 0; at < count; at += 500) {
      const calls = opened.slice(at, at + 500).map(({ id }) => ({ method: "bindUid", params: { client_id: id, uid } }));
      await this.post("/gateway/api/batch", { calls }, { json: true });
    }
    return opened;
  }

  /// Returns the highest memory while `act` runs, in MiB.
  async peak(act) {
    let most = this.rss();
    const timer = setInterval(() => { most = Math.max(most, this.rss()); }, 10);
    await act();
    clearInterval(timer);
    return Math.max(most, this.rss());
  }

  /// Waits until the memory is at most 20 MiB above `before`, and returns the difference.
  async settled(before) {
    const until = Date.now() + SETTLES_WITHIN;
    while (Date.now() < until && this.rss() > before + 20) await wait(250);
    return this.rss() - before;
  }

  async stop() {
    this.process.kill("SIGTERM");
    const timer = setTimeout(() => this.process.kill("SIGKILL"), 15_000);
    await this.exited;
    clearTimeout(timer);
    rmSync(this.folder, { recursive: true, force: true });
  }
}

const mib = (value) => `${value.toFixed(0)} MiB`;
const inMs = (value) => `${value.toFixed(0)} ms`;
const most = (answers) => Math.max(...answers.map((answer) => answer.ms));

const loads = {
  async flood(binary) {
    const server = await Server.start(binary);
    const agent = new Agent({ keepAlive: true, maxSockets: 32 });
    const guests = (await Promise.all(Array.from({ length: 280 }, (_, n) => server.post("/session/guest", { nickname: `g${n}` }, { agent })))).filter(({ status }) => status === 200);
    let [accepted, refused] = [0, 0];
    const until = Date.now() + 12_000;
    await Promise.all(Array.from({ length: 32 }, async (_, n) => {
      for (let turn = n; Date.now() < until; turn += 32) {
        const { status } = await server.post("/gateway/send", { room: "1", message: "flood" }, { cookie: guests[turn % guests.length].cookie, agent });
        status === 200 ? accepted++ : refused++;
        if (status !== 200) await wait(20);
      }
    }));
    await server.stop();
    return [["280 guests of one address send for 12 s: accepted, refused", `${accepted}, ${refused}`]];
  },

  async idle(binary) {
    const server = await Server.start(binary);
    const before = server.rss();
    const streams = [];
    // The kernel is slow to find a free port of one address among thousands.
    let port = 10_000;
    const open = () => new Promise((done) => {
      const stream = connect({ port: server.port, host: "127.0.0.1", localAddress: "127.0.5.1", localPort: port++ });
      stream.on("connect", () => done(streams.push(stream))).on("error", done).on("data", () => {});
    });
    for (let at = 0; at < 15_500; at += 3_100) await Promise.all(Array.from({ length: 3_100 }, open));
    const answers = [];
    for (const host of [1, 2, 3, 4, 5]) answers.push(await server.get("/healthz", `127.0.6.${host}`));
    for (const stream of streams) stream.destroy();
    const left = await server.settled(before);
    await server.stop();
    return [
      [`${streams.length.toLocaleString("en")} idle connections: statuses of /healthz from five other addresses`, answers.map(({ status }) => status).join(" ")],
      ["  the slowest of them", inMs(most(answers))], ["  memory afterwards", mib(left)],
    ];
  },

  async farewell(binary) {
    const rows = [];
    for (const [count, bytes] of [[300, 1_000_000], [4_400, 1_000_000]]) {
      const server = await Server.start(binary, { env: { ROOMCAST_LIMITS_PER_IP: "off" }, set: ["gateway.shards=1"] });
      const opened = await server.sockets(count, "crowd");
      const [bystander] = await server.sockets(1, "bystander");
      let cut = false;
      bystander.stream.on("close", () => { cut = true; });
      const before = server.rss();
      let answer;
      const peak = await server.peak(async () => { answer = await server.post("/gateway/api/closeUid", { uid: "crowd", message: "x".repeat(bytes) }, { json: true }); });
      for (const { stream } of opened) stream.destroy();
      const left = await server.settled(before);
      rows.push([`closeUid with a farewell of 1 MB to ${count} connections: answer, peak above before`, `${answer.status} in ${inMs(answer.ms)}, ${mib(peak - before)}`]);
      rows.push(["  a bystander's socket, memory afterwards", `${cut ? "cut" : "open"}, ${mib(left)}`]);
      await server.stop();
    }
    return rows;
  },

  async select(binary) {
    const server = await Server.start(binary, { env: { ROOMCAST_LIMITS_PER_IP: "off" } });
    const opened = await server.sockets(120, "crowd");
    const inner = Number.parseInt(opened[0].id.slice(8, 12), 16);
    const before = server.rss();
    const ext = Buffer.from(JSON.stringify({ fields: ["x".repeat(4 * MIB)], where: [] }));
    const head = Buffer.alloc(28);
    head.writeUInt32BE(28 + ext.length, 0);
    head[4] = 25;
    head.writeUInt32BE(ext.length, 24);
    let received = 0;
    const peak = await server.peak(() => new Promise((done) => {
      const stream = connect(inner, "127.0.0.1", () => stream.write(Buffer.concat([head, ext])));
      const timer = setTimeout(() => stream.destroy(), 10_000);
      stream.on("data", (part) => { received += part.length; }).on("error", () => {}).on("close", () => { clearTimeout(timer); done(); });
    }));
    const left = await server.settled(before);
    await server.stop();
    return [["SELECT of 4 MiB over 120 sockets: bytes of the reply, peak above before", `${received}, ${mib(peak - before)}`], ["  memory afterwards", mib(left)]];
  },

  async log(binary) {
    const server = await Server.start(binary, { stderr: "pipe" });
    server.process.stderr.pause();
    const agent = new Agent({ keepAlive: true, maxSockets: 8 });
    let [answered, stuck] = [0, false];
    await Promise.all(Array.from({ length: 8 }, async () => {
      for (let turn = 0; turn < 625 && !stuck; turn++) {
        const { status } = await server.post("/gateway/history", { room: "1", before: "1" }, { agent, within: 3_000 });
        if (status > 0) answered++;
        else stuck = true;
      }
    }));
    const health = await server.get("/healthz");
    const began = performance.now();
    await server.stop();
    const ended = performance.now() - began;
    return [
      ["5,000 requests while nobody reads the log: answered, /healthz", `${answered}, ${health.status || "timeout"}`],
      ["  exit after SIGTERM", inMs(ended)],
    ];
  },

  async guesses(binary) {
    const server = await Server.start(binary);
    const password = "correct horse battery staple";
    await server.post("/session/register", { name: "owner", password, nickname: "Owner", owner: server.owner });
    const before = server.rss();
    let stop = false;
    // Each address keeps to ten guesses a minute.
    const guessing = Promise.all(Array.from({ length: 120 }, async (_, n) => {
      for (let turn = 0; !stop; turn++) {
        await server.post("/session/login", { name: "owner", password: `wrong ${turn}` }, { from: `127.0.7.${n + 1}`, within: 60_000 });
        for (let ms = 0; ms < 6_000 && !stop; ms += 100) await wait(100);
      }
    }));
    await wait(15_000);
    const logins = [];
    for (let turn = 0; turn < 10; turn++) logins.push(await server.post("/session/login", { name: "owner", password }, { from: `127.0.8.${turn + 1}`, within: 60_000 }));
    stop = true;
    await guessing;
    const left = await server.settled(before);
    await server.stop();
    return [
      ["120 addresses guess: ten sign-ins with the right password, each from a new address: accepted, slowest", `${logins.filter(({ status }) => status === 200).length} of 10, ${inMs(most(logins))}`],
      ["  memory afterwards", mib(left)],
    ];
  },

  async hung(binary) {
    const server = await Server.start(binary, { env: { ROOMCAST_LIMITS_PER_IP: "off" } });
    const [before, threads] = [server.rss(), server.threads()];
    let mostThreads = 0;
    const peak = await server.peak(async () => {
      const body = "name=nobody&password=wrong-password";
      for (let turn = 0; turn < 30; turn++) {
        const stream = connect(server.port, "127.0.0.1", () => stream.write(`POST /session/login HTTP/1.1\r\nHost: 127.0.0.1:${server.port}\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: ${body.length}\r\n\r\n${body}`));
        stream.on("error", () => {}).on("connect", () => setTimeout(() => stream.destroy(), 4));
      }
      for (let ms = 0; ms < 2_000; ms += 20) { await wait(20); mostThreads = Math.max(mostThreads, server.threads()); }
    });
    const left = await server.settled(before);
    await server.stop();
    return [["30 log-ins that hang up after 4 ms: further threads, peak above before", `${mostThreads - threads}, ${mib(peak - before)}`], ["  memory afterwards", mib(left)]];
  },
};

const [binary, ...only] = process.argv.slice(2);
console.log("| load | seen |\n|---|---|");
for (const [name, play] of Object.entries(loads)) {
  if (only.length > 0 && !only.includes(name)) continue;
  for (const row of await play(binary)) console.log(`| ${row.join(" | ")} |`);
}
process.exit(0);
