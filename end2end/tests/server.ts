// The real binary: started on a free port with its own data folder, stopped, killed, started again on the same port with the
// same data. After the test its process is ended by pid and its folder removed.
import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';

/** Environment variables such as `ROOMCAST_CHAT_COOLDOWN_MS`. */
export type Settings = Record<string, string>;

/** Milliseconds until a line that is waited for counts as missing. */
const LINE_TIMEOUT_MS = 15_000;

function binary(): string {
  if (process.env.ROOMCAST_BINARY) return resolve(process.env.ROOMCAST_BINARY);
  const target = join(import.meta.dirname, '../../target');
  const built = [join(target, 'release/roomcast'), join(target, 'debug/roomcast')].find(existsSync);
  if (!built) throw new Error('no roomcast binary: build it, or set ROOMCAST_BINARY to its path');
  return built;
}

/** A site that a test starts and ends: one server, or the nodes of tests/cluster.ts as a whole. */
export interface Site {
  readonly settings: Settings;
  readonly url: string;
  /** The log, attached to the report of a failed test. */
  readonly log: string;
  start(): Promise<void>;
  /** Returns the token of the one-time link for the owner's account. */
  ownerToken(): Promise<string>;
  /** Sends SIGTERM, as `systemctl stop` does. Returns the exit code. */
  stop(): Promise<number | null>;
  /** Sends SIGKILL, as after a power cut. */
  kill(): Promise<void>;
  /** Stops, deletes all data and starts again on the same port, as a site that was set up anew. */
  startAnew(): Promise<void>;
  remove(): Promise<void>;
}

export class Server implements Site {
  private readonly dataDir = mkdtempSync(join(tmpdir(), 'roomcast-e2e-'));
  private child?: ChildProcess;
  private lines: string[] = [];
  private waiting: (() => void)[] = [];
  private port = 0;
  log = '';

  /** `own` are settings that this one has beside those of the whole site. */
  constructor(
    readonly settings: Settings,
    private readonly own: Settings = {},
  ) {}

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  async start(): Promise<void> {
    this.lines = [];
    const inherited = Object.entries(process.env).filter(([name]) => !/^(ROOMCAST|LEPTOS)_/.test(name));
    // The working folder has no Leptos.toml, so the server does not read the one of the checkout.
    const child = spawn(binary(), ['--addr', `127.0.0.1:${this.port}`, '--data-dir', this.dataDir], {
      cwd: this.dataDir,
      env: { ...Object.fromEntries(inherited), ROOMCAST_CHAT_OPEN_ROOMS: 'accounts', ...this.settings, ...this.own },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.child = child;
    child.stderr!.on('data', (text) => {
      this.log += text;
    });
    createInterface({ input: child.stdout! }).on('line', (line) => {
      this.lines.push(line);
      for (const look of this.waiting.splice(0)) look();
    });
    child.on('exit', () => {
      for (const look of this.waiting.splice(0)) look();
    });
    const [, port] = await this.line(/^Roomcast serves http:\/\/127\.0\.0\.1:(\d+)/);
    this.port = Number(port);
    // The last line: the owner's link, if there is one, was printed before.
    await this.line(/^Open it in a browser/);
  }

  async ownerToken(): Promise<string> {
    const token = this.printedToken();
    if (!token) throw new Error(`roomcast did not print the owner's link:\n${this.lines.join('\n')}\n${this.log}`);
    return token;
  }

  /** Returns the token that this start printed. Of several nodes only the first one prints it. */
  printedToken(): string | undefined {
    return this.lines.map((line) => line.match(/\/sign-in\?owner=([0-9a-f]{64})$/)).find(Boolean)?.[1];
  }

  stop(): Promise<number | null> {
    return this.end('SIGTERM');
  }

  async kill(): Promise<void> {
    await this.end('SIGKILL');
  }

  /** Sends SIGSTOP: its sockets stay open, and it reads nothing. Only `kill` ends it. */
  freeze(): void {
    this.child!.kill('SIGSTOP');
  }

  async startAnew(): Promise<void> {
    await this.stop();
    this.empty();
    await this.start();
  }

  /** Empties the data folder. */
  empty(): void {
    rmSync(this.dataDir, { recursive: true, force: true });
    mkdirSync(this.dataDir);
  }

  async remove(): Promise<void> {
    await this.kill();
    rmSync(this.dataDir, { recursive: true, force: true });
  }

  private end(signal: NodeJS.Signals): Promise<number | null> {
    const child = this.child;
    if (!child || child.exitCode !== null || child.signalCode !== null) return Promise.resolve(child?.exitCode ?? null);
    const ended = new Promise<number | null>((done) => child.once('exit', done));
    child.kill(signal);
    return ended;
  }

  private async line(wanted: RegExp): Promise<RegExpMatchArray> {
    const until = Date.now() + LINE_TIMEOUT_MS;
    for (;;) {
      const found = this.lines.map((line) => line.match(wanted)).find(Boolean);
      if (found) return found;
      if (this.child?.exitCode != null) throw new Error(`roomcast ended with ${this.child.exitCode}:\n${this.log}`);
      if (Date.now() > until) throw new Error(`roomcast did not print ${wanted}:\n${this.lines.join('\n')}\n${this.log}`);
      await new Promise<void>((look) => {
        this.waiting.push(look);
        setTimeout(look, until - Date.now() + 1).unref();
      });
    }
  }
}
