// Measures the pages in Chromium: bytes and requests, times until a room is alive on several networks and processors, frames and
// heap in a busy room, a long way up its history, and a hidden tab. Run by `make bench`.
//   node benches/page.mjs BINARY [--quick] [--only weight,times,busy,history,hidden]
import { spawn, execSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { Agent, request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "../end2end/node_modules/@playwright/test/index.mjs";

const [binary, ...options] = process.argv.slice(2);
const quick = options.includes("--quick");
const only = options.includes("--only") ? options[options.indexOf("--only") + 1].split(",") : undefined;
// Page loads per median.
const LOADS = quick ? 3 : 9;
// Messages per second in the busy room.
const RATE = 200;
// Seconds of the busy room, following and scrolled up each.
const BUSY_SECONDS = quick ? 15 : 120;
// Lines to scroll up by wheel.
const HISTORY_LINES = quick ? 1000 : 5000;
// Seconds in a hidden tab.
const HIDDEN_SECONDS = quick ? 10 : 60;
// Bytes per second and milliseconds of latency, as Chromium's own presets.
const NETWORKS = [["local", undefined], ["fast 3G", { throughput: (1.6 * 1024 * 1024 / 8) * 0.9, latency: 165 * 3.75 }], ["slow 3G", { throughput: (500 * 1024 / 8) * 0.8, latency: 400 * 5 }]];

const which = (name) => { try { return execSync(`command -v ${name}`).toString().trim(); } catch { return ""; } };
const executablePath = [process.env.CHROMIUM ?? "", "chromium", "chromium-browser", "google-chrome"].filter(Boolean).map(which).find(Boolean);
const folder = mkdtempSync(join(tmpdir(), "roomcast-bench-"));
const server = spawn(binary, ["--addr", "127.0.0.1:0", "--data-dir", folder, "--set", "gateway.php=off", "--set", "chat.cooldown_ms=0", "--set", "limits.per_ip=off"], { stdio: ["ignore", "pipe", "ignore"] });
const base = await new Promise((found) => server.stdout.on("data", (text) => { const url = /(127\.0\.0\.1:\d+)/.exec(text); if (url) found(`http://${url[1]}`); }));
const agent = new Agent({ keepAlive: true, maxSockets: 32 });
const room = `${base}/rooms/1`;

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
const sleep = (ms) => new Promise((wake) => setTimeout(wake, ms));
const kB = (bytes) => (bytes / 1000).toFixed(1);

const args = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--enable-precise-memory-info", "--js-flags=--expose-gc"];
const browser = await chromium.launch({ executablePath, args });

/** Opens a tab of its own browser context; `cookie` is a session or nothing. */
async function tab(cookie, url, { network, slowdown = 1, before } = {}) {
  const context = await browser.newContext({ viewport: { width: 390, height: 800 } });
  const [name, value] = cookie.split("=");
  if (value) await context.addCookies([{ name, value, url: base }]);
  const page = await context.newPage();
  const protocol = await context.newCDPSession(page);
  await protocol.send("Network.enable");
  if (network) await protocol.send("Network.emulateNetworkConditions", { offline: false, latency: network.latency, downloadThroughput: network.throughput, uploadThroughput: network.throughput });
  if (slowdown > 1) await protocol.send("Emulation.setCPUThrottlingRate", { rate: slowdown });
  before?.(protocol);
  // The panel is alive when its effects run; the first of them opens the socket. It is bound when `bind` was answered.
  await page.addInitScript(() => {
    const Native = WebSocket;
    window.WebSocket = class extends Native { constructor(...all) { super(...all); window.aliveAt ??= performance.now(); } };
    const native = window.fetch;
    window.fetch = async (...all) => {
      const answer = await native(...all);
      if (String(all[0]?.url ?? all[0]).includes("/gateway/bind")) window.boundAt ??= performance.now();
      return answer;
    };
    window.shifts = 0;
    window.blocked = 0;
    new PerformanceObserver((list) => { for (const shift of list.getEntries()) window.shifts += shift.value; }).observe({ type: "layout-shift", buffered: true });
    new PerformanceObserver((list) => { for (const task of list.getEntries()) window.blocked += Math.max(0, task.duration - 50); }).observe({ type: "longtask", buffered: true });
    new PerformanceObserver((list) => { window.largest = list.getEntries().at(-1).startTime; }).observe({ type: "largest-contentful-paint", buffered: true });
  });
  await page.goto(url, { timeout: 90_000 });
  return { context, page };
}

const bound = (page) => page.waitForFunction(() => window.boundAt, undefined, { timeout: 90_000 });
const heap = (page) => page.evaluate(() => { globalThis.gc?.(); return performance.memory.usedJSHeapSize; });

async function weight(cookie) {
  for (const [name, url] of [["room", room], ["lobby", base]]) {
    const urls = new Map();
    const rows = [];
    const before = (protocol) => {
      protocol.on("Network.responseReceived", ({ requestId, response }) => urls.set(requestId, new URL(response.url).pathname));
      protocol.on("Network.loadingFinished", ({ requestId, encodedDataLength }) => { if (urls.has(requestId)) rows.push([urls.get(requestId), encodedDataLength]); });
    };
    const { context, page } = await tab(cookie, url, { before });
    if (name === "room") await bound(page);
    await sleep(1000);
    const sum = rows.reduce((bytes, row) => bytes + row[1], 0);
    console.log(`${name}: ${rows.length} requests, ${kB(sum)} kB: ${rows.map(([path, bytes]) => `${path} ${kB(bytes)}`).join(", ")}`);
    await context.close();
  }
}

async function times(cookie) {
  for (const slowdown of [1, 4]) {
    for (const [name, network] of NETWORKS) {
      const loads = [];
      for (let load = 0; load < (network ? Math.min(LOADS, 3) : LOADS); load++) {
        const { context, page } = await tab(cookie, room, { network, slowdown });
        await bound(page);
        await sleep(300);
        loads.push(await page.evaluate(() => ({ painted: performance.getEntriesByName("first-contentful-paint")[0].startTime, largest: window.largest, alive: window.aliveAt, bound: window.boundAt, blocked: window.blocked, shifts: window.shifts })));
        await context.close();
      }
      const of = (key) => median(loads.map((load) => load[key]));
      const seconds = (key) => (of(key) / 1000).toFixed(2);
      console.log(`CPU x${slowdown}, ${name}: first paint ${seconds("painted")} s, largest ${seconds("largest")} s, alive ${seconds("alive")} s, bound ${seconds("bound")} s, blocked ${of("blocked").toFixed(0)} ms, layout shift ${of("shifts").toFixed(4)}`);
    }
  }
}

/** Sends at RATE for some seconds; returns the rate that was reached. */
async function flood(people, seconds) {
  const began = performance.now();
  for (let sent = 0; sent < RATE * seconds; ) {
    const due = Math.min(((performance.now() - began) / 1000) * RATE, RATE * seconds);
    const batch = [];
    for (; sent < due; sent++) batch.push(post("/gateway/send", { room: "1", message: `message ${sent} of a busy room` }, people[sent % people.length].cookie));
    await Promise.all([...batch, sleep(5)]);
  }
  return (RATE * seconds) / ((performance.now() - began) / 1000);
}

const countFrames = (page) =>
  page.evaluate(() => {
    window.frameTimes = [];
    let last = performance.now();
    const look = (now) => { window.frameTimes.push(now - last); last = now; requestAnimationFrame(look); };
    requestAnimationFrame(look);
  });

async function frames(page) {
  const all = (await page.evaluate(() => window.frameTimes.splice(0))).sort((a, b) => a - b);
  const at = (part) => all[Math.min(all.length - 1, Math.floor(all.length * part))].toFixed(1);
  return `frames p50 ${at(0.5)}, p95 ${at(0.95)}, p99 ${at(0.99)}, longest ${at(1)} ms, ${all.filter((frame) => frame > 33.4).length} of ${all.length} over 33 ms`;
}

async function busy(cookie, people) {
  for (const isUp of [false, true]) {
    const { context, page } = await tab(cookie, room);
    await bound(page);
    // Fill the message window before measuring the heap, so that filling it does not count as growth.
    await flood(people, 5);
    if (isUp) {
      await page.locator(".list__scroller").hover();
      await page.mouse.wheel(0, -600);
      await page.locator(".list__pill").waitFor();
      await page.evaluate(() => {
        const middle = document.querySelector(".list__scroller").getBoundingClientRect();
        window.marked = document.elementFromPoint(middle.x + 40, middle.y + middle.height / 2).closest("li");
        window.markedTop = window.marked.getBoundingClientRect().top;
        window.markedMoved = 0;
        const look = () => { window.markedMoved = Math.max(window.markedMoved, Math.abs(window.marked.getBoundingClientRect().top - window.markedTop)); requestAnimationFrame(look); };
        look();
      });
    }
    const before = await heap(page);
    await countFrames(page);
    const rate = await flood(people, BUSY_SECONDS);
    const words = `${await frames(page)}; heap ${(before / 1e6).toFixed(2)} -> ${((await heap(page)) / 1e6).toFixed(2)} MB; ${await page.locator(".line").count()} lines, ${await page.locator(".list__gap").count()} gaps`;
    const moved = isUp ? `; marked line moved ${await page.evaluate(() => window.markedMoved.toFixed(1))} px` : "";
    console.log(`${rate.toFixed(0)}/s for ${BUSY_SECONDS} s, ${isUp ? "scrolled up" : "following"}: ${words}${moved}`);
    await context.close();
  }
}

async function history(cookie, people) {
  await flood(people, HISTORY_LINES / RATE);
  const { context, page } = await tab(cookie, room);
  await bound(page);
  let requests = 0;
  page.on("request", (sent) => { if (sent.url().endsWith("/gateway/history")) requests++; });
  await page.locator(".list__scroller").hover();
  await countFrames(page);
  const began = performance.now();
  // Each page of history is 50 lines.
  while (requests < HISTORY_LINES / 50 && performance.now() - began < 120_000) {
    await page.mouse.wheel(0, -1200);
    await sleep(30);
  }
  console.log(`${requests * 50} lines up by wheel: ${((performance.now() - began) / 1000).toFixed(1)} s, ${requests} requests; ${await frames(page)}; ${await page.locator(".line").count()} lines held, heap ${((await heap(page)) / 1e6).toFixed(2)} MB`);
  await context.close();
}

async function hidden(cookie, people) {
  const { context, page } = await tab(cookie, room);
  await bound(page);
  const show = (isHidden) =>
    page.evaluate((isHidden) => {
      Object.defineProperty(document, "hidden", { configurable: true, value: isHidden });
      Object.defineProperty(document, "visibilityState", { configurable: true, value: isHidden ? "hidden" : "visible" });
      document.dispatchEvent(new Event("visibilitychange", { bubbles: true }));
    }, isHidden);
  await show(true);
  await flood(people, HIDDEN_SECONDS);
  await post("/gateway/send", { room: "1", message: "the newest of all" }, people[0].cookie);
  const began = performance.now();
  await show(false);
  await page.locator(".line__text", { hasText: "the newest of all" }).waitFor();
  console.log(`hidden for ${HIDDEN_SECONDS} s at ${RATE}/s: newest line ${(performance.now() - began).toFixed(0)} ms after it is shown again, ${await page.locator(".list__gap").count()} gaps`);
  await context.close();
}

try {
  const people = await Promise.all(Array.from({ length: 40 }, (_, n) => post("/session/guest", { nickname: `p${n}` })));
  for (let n = 0; n < 60; n++) await post("/gateway/send", { room: "1", message: `message ${n}` }, people[n % 40].cookie);
  const [{ cookie }] = people;
  for (const [name, measure] of Object.entries({ weight, times, busy, history, hidden })) {
    if (!only || only.includes(name)) await measure(cookie, people);
  }
} finally {
  await browser.close();
  server.kill("SIGTERM");
  await new Promise((gone) => server.on("exit", gone));
  rmSync(folder, { recursive: true, force: true });
}
