// Measures the page in Chromium: time from navigation to hydration; frame times and heap in a busy room. Run by `make bench`.
//   node benches/page.mjs BINARY
import { spawn, execSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { Agent, request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "../end2end/node_modules/@playwright/test/index.mjs";

// Page loads per median.
const LOADS = 15;
// Messages per second in the busy room.
const RATE = 200;
// Duration of the busy room, in seconds.
const SECONDS = 60;

const which = (name) => { try { return execSync(`command -v ${name}`).toString().trim(); } catch { return ""; } };
const executablePath = [process.env.CHROMIUM ?? "", "chromium", "chromium-browser", "google-chrome"].filter(Boolean).map(which).find(Boolean);
const folder = mkdtempSync(join(tmpdir(), "roomcast-bench-"));
const server = spawn(process.argv[2], ["--addr", "127.0.0.1:0", "--data-dir", folder, "--set", "chat.cooldown_ms=0", "--set", "limits.per_ip=off"], { stdio: ["ignore", "pipe", "ignore"] });
const base = await new Promise((found) => server.stdout.on("data", (text) => { const url = /listening on ([\d.:]+)/.exec(text); if (url) found(`http://${url[1]}`); }));
const agent = new Agent({ keepAlive: true, maxSockets: 32 });

const post = (path, form, cookie = "") =>
  new Promise((done, failed) => {
    const body = new URLSearchParams(form).toString();
    const headers = { "content-type": "application/x-www-form-urlencoded", "content-length": Buffer.byteLength(body), cookie };
    const sent = request(base + path, { method: "POST", agent, headers }, (answer) => {
      answer.resume().on("end", () => done({ status: answer.statusCode, cookie: (answer.headers["set-cookie"] ?? [""])[0].split(";")[0] }));
    });
    sent.on("error", failed).end(body);
  });
const median = (numbers) => numbers.sort((a, b) => a - b)[numbers.length >> 1];

try {
  const people = await Promise.all(Array.from({ length: 40 }, (_, n) => post("/session/guest", { nickname: `p${n}` })));
  for (let n = 0; n < 60; n++) await post("/gateway/send", { room: "1", message: `message ${n}` }, people[n % 40].cookie);
  const args = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--enable-precise-memory-info", "--js-flags=--expose-gc"];
  const browser = await chromium.launch({ executablePath, args });
  const [name, value] = people[0].cookie.split("=");

  // Hydration is complete when the panel's effects run; the first of them opens the socket.
  const hydrated = async (context) => {
    const page = await context.newPage();
    await page.addInitScript(() => {
      const Native = WebSocket;
      window.WebSocket = class extends Native { constructor(...all) { super(...all); window.hydratedAt ??= performance.now(); } };
    });
    await page.goto(`${base}/rooms/1`);
    await page.waitForFunction(() => window.hydratedAt);
    return { page, ms: await page.evaluate(() => window.hydratedAt) };
  };
  const [cold, warm] = [[], []];
  for (let n = 0; n < LOADS; n++) {
    const context = await browser.newContext();
    await context.addCookies([{ name, value, url: base }]);
    for (const times of [cold, warm]) {
      const { page, ms } = await hydrated(context);
      times.push(ms);
      await page.close();
    }
    await context.close();
  }
  console.log(`navigation to hydration, median of ${LOADS}: ${median(cold).toFixed(0)} ms with an empty cache, ${median(warm).toFixed(0)} ms with a warm one`);

  const context = await browser.newContext({ viewport: { width: 390, height: 800 } });
  await context.addCookies([{ name, value, url: base }]);
  const { page } = await hydrated(context);
  const heap = () => page.evaluate(() => { globalThis.gc?.(); return performance.memory.usedJSHeapSize; });
  await page.evaluate(() => {
    window.frames_ = [];
    let last = performance.now();
    const look = (now) => { window.frames_.push(now - last); last = now; requestAnimationFrame(look); };
    requestAnimationFrame(look);
  });
  // Fill the message window before measuring the heap, so that filling it does not count as growth.
  const flood = async (seconds) => {
    const began = performance.now();
    for (let sent = 0; sent < RATE * seconds; ) {
      const due = Math.min(((performance.now() - began) / 1000) * RATE, RATE * seconds);
      const batch = [];
      for (; sent < due; sent++) batch.push(post("/gateway/send", { room: "1", message: `message ${sent} of a busy room` }, people[sent % 40].cookie));
      await Promise.all([...batch, new Promise((next) => setTimeout(next, 5))]);
    }
    return (RATE * seconds) / ((performance.now() - began) / 1000);
  };
  await flood(5);
  const before = await heap();
  await page.evaluate(() => void window.frames_.splice(0));
  const rate = await flood(SECONDS);
  const frames = (await page.evaluate(() => window.frames_)).sort((a, b) => a - b);
  const grown = (await heap()) - before;
  const rows = await page.locator(".line").count();
  console.log(`${rate.toFixed(0)} messages per second for ${SECONDS} s: longest frame ${frames.at(-1).toFixed(0)} ms, p99 ${frames[Math.floor(frames.length * 0.99)].toFixed(0)} ms, median ${median(frames).toFixed(0)} ms; heap grew ${(grown / 1024).toFixed(0)} KiB; ${rows} rows`);
  await browser.close();
} finally {
  server.kill("SIGTERM");
  await new Promise((gone) => server.on("exit", gone));
  rmSync(folder, { recursive: true, force: true });
}
