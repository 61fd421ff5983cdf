// The PostgreSQL and the NATS of a worker, which the nodes of its tests share. Each test has a database of its own there.
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { installed, postgresFolders } from './programs';

/** Milliseconds until services that did not start count as missing. */
const START_TIMEOUT_MS = 30_000;

/** Returns the program whose absence keeps the services from this machine, with its Debian package. */
export function missing(): string | undefined {
  if (!installed(['initdb'], postgresFolders())) return 'PostgreSQL is not installed (postgresql)';
  if (!installed(['nats-server'], ['/usr/sbin', '/usr/local/bin'])) return 'NATS is not installed (nats-server)';
  return undefined;
}

/** Whether tests without the services fail: as root, or with CI=true, tools/setup.sh has installed them. */
export const mustBe = (): boolean => process.env.CI === 'true' || process.geteuid?.() === 0;

export class Services {
  private databases = 0;

  private constructor(
    private readonly script: ChildProcess,
    private readonly postgres: string,
    /** The value of `cluster.nats`. */
    readonly nats: string,
  ) {}

  static async start(): Promise<Services> {
    const folder = mkdtempSync(join(tmpdir(), 'roomcast-e2e-services-'));
    // In a process group of its own: Ctrl+C ends the tests first. The script ends with its standard input.
    const script = spawn(join(import.meta.dirname, '../services.sh'), [folder], {
      detached: true,
      env: { ...process.env, PASSWORD: randomBytes(16).toString('hex') },
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    const urls: string[] = [];
    const printed = new Promise<void>((done, fail) => {
      const late = setTimeout(() => fail(new Error('PostgreSQL or NATS did not start')), START_TIMEOUT_MS);
      script.once('error', fail).once('exit', (code) => fail(new Error(`services.sh ended with ${code}`)));
      createInterface({ input: script.stdout! }).on('line', (line) => {
        if (urls.push(line) < 2) return;
        clearTimeout(late);
        done();
      });
    });
    try {
      await printed;
      const services = new Services(script, urls[0]!, urls[1]!);
      // Nothing here outlives a power cut.
      services.sql('ALTER SYSTEM SET fsync = off');
      services.sql('SELECT pg_reload_conf()');
      return services;
    } catch (error) {
      script.stdin!.end();
      throw error;
    }
  }

  /** Makes an empty database, of a new name unless there is one. Returns the name. */
  addDatabase(name = `test${++this.databases}`): string {
    this.sql(`CREATE DATABASE ${name}`);
    return name;
  }

  dropDatabase(name: string): void {
    this.sql(`DROP DATABASE ${name} WITH (FORCE)`);
  }

  /** Returns the value of `storage.url`. */
  url(database: string): string {
    return this.postgres.replace('/postgres?', `/${database}?`);
  }

  /** Ends both, and waits until their files are gone. */
  async end(): Promise<void> {
    if (this.script.exitCode !== null || this.script.signalCode !== null) return;
    const ended = new Promise((done) => this.script.once('exit', done));
    this.script.stdin!.end();
    await ended;
  }

  private sql(statement: string): void {
    const psql = installed(['psql'], postgresFolders());
    execFileSync(psql!, ['-X', '-q', '-o', '/dev/null', '-v', 'ON_ERROR_STOP=1', '-c', statement, this.postgres]);
  }
}
