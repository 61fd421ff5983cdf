// The real binary as a test sees it: started on a free port with its own data folder, stopped, killed, started again on
// the same port with the same data. Nothing outlives the test: processes end by their pid, the folder is removed.
import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';

/** `ROOMCAST_CHAT_COOLDOWN_MS` and the like. */
export type Settings = Record<string, string>;

const START_WITHIN_MS = 15_000;

function binary(): string {
  if (process.env.ROOMCAST_BINARY) return resolve(process.env.ROOMCAST_BINARY);
  const target = join(import.meta.dirname, '../../target');
  const built = [join(target, 'release/roomcast'), join(target, 'debug/roomcast')].find(existsSync);
  if (!built) throw new Error('no roomcast binary: build it, or say where it is in ROOMCAST_BINARY');
  return built;
}

export class Server {
  private readonly dataDir = mkdtempSync(join(tmpdir(), 'roomcast-e2e-'));
  private child?: ChildProcess;
  private lines: string[] = [];
  private waiting: (() => void)[] = [];
  private port = 0;
  /** What the server logged, for the report of a test that failed. */
  log = '';

  constructor(private readonly settings: Settings) {}

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  async start(): Promise<void> {
    this.lines = [];
    const inherited = Object.entries(process.env).filter(([name]) => !/^(ROOMCAST|LEPTOS)_/.test(name));
    // Its working folder is empty, so that no Leptos.toml of the checkout is read.
    const child = spawn(binary(), ['--addr', `127.0.0.1:${this.port}`, '--data-dir', this.dataDir], {
      cwd: this.dataDir,
      env: { ...Object.fromEntries(inherited), ...this.settings },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.child = child;
    child.stderr!.on('data', (text) => (this.log += text));
    createInterface({ input: child.stdout! }).on('line', (line) => {
      this.lines.push(line);
      this.waiting.splice(0).forEach((look) => look());
    });
    child.on('exit', () => this.waiting.splice(0).forEach((look) => look()));
    const [, port] = await this.line(/^Roomcast serves http:\/\/127\.0\.0\.1:(\d+)/);
    this.port = Number(port);
  }

  /** The token of the one-time link that makes the owner's account. */
  async ownerToken(): Promise<string> {
    const [, token] = await this.line(/\/sign-in\?owner=([0-9a-f]{64})$/);
    return token!;
  }

  /** SIGTERM, as an operator's `systemctl stop`. The exit code. */
  stop(): Promise<number | null> {
    return this.end('SIGTERM');
  }

  /** SIGKILL, as a power cut. */
  async kill(): Promise<void> {
    await this.end('SIGKILL');
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
    const until = Date.now() + START_WITHIN_MS;
    for (;;) {
      const found = this.lines.map((line) => line.match(wanted)).find(Boolean);
      if (found) return found;
      if (this.child?.exitCode != null) throw new Error(`roomcast ended with ${this.child.exitCode}:\n${this.log}`);
      if (Date.now() > until) throw new Error(`roomcast did not say ${wanted}:\n${this.lines.join('\n')}\n${this.log}`);
      await new Promise<void>((look) => {
        this.waiting.push(look);
        setTimeout(look, until - Date.now() + 1).unref();
      });
    }
  }
}
