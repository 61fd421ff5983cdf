// Several nodes on one database and one NATS, behind a balancer: for a test one site, which is started, stopped and killed as a whole.
import { expect } from '@playwright/test';
import { Balancer } from './balancer';
import { Server, type Settings, type Site } from './server';
import type { Services } from './services';

/** Milliseconds until nodes that do not know each other count as apart. */
const WHOLE_TIMEOUT_MS = 10_000;

export class Cluster implements Site {
  readonly nodes: Server[];
  readonly balancer = new Balancer(() => this.nodes.map(({ url }) => Number(new URL(url).port)));
  private readonly name: string;
  private token?: string;

  constructor(
    readonly settings: Settings,
    private readonly services: Services,
    count: number,
  ) {
    this.name = services.addDatabase();
    const common = {
      ROOMCAST_STORAGE_URL: services.url(this.name),
      ROOMCAST_CLUSTER_NATS: services.nats,
      ROOMCAST_CLUSTER_NAME: this.name,
      ROOMCAST_CLUSTER_LOOPBACK: 'on',
      ROOMCAST_GATEWAY_PHP: 'off',
    };
    // Without PHP the inner address is a name of the node: nothing listens there.
    this.nodes = Array.from({ length: count }, (_, node) => new Server(settings, { ...common, ROOMCAST_LAN_ADDR: `127.0.0.1:${2901 + node}` }));
  }

  get url(): string {
    return this.balancer.url;
  }

  get log(): string {
    return this.nodes.map(({ url, log }) => `node ${url}\n${log}`).join('\n');
  }

  /** Starts all nodes. Resolves when each knows all of them and the balancer listens. */
  async start(): Promise<void> {
    await Promise.all(this.nodes.map((node) => node.start()));
    // A link is printed once in a day, whichever nodes start again.
    this.token = this.nodes.map((node) => node.printedToken()).find(Boolean) ?? this.token;
    const known = async ({ url }: Server) => (await (await fetch(`${url}/metrics`)).text()).match(/^roomcast_cluster_nodes (\d+)$/m)?.[1];
    for (const node of this.nodes) {
      const whole = { message: `${node.url} knows all nodes`, timeout: WHOLE_TIMEOUT_MS, intervals: [20] };
      await expect.poll(() => known(node), whole).toBe(String(this.nodes.length));
    }
    await this.balancer.open();
  }

  async ownerToken(): Promise<string> {
    if (!this.token) throw new Error(`no node printed the owner's link:\n${this.log}`);
    return this.token;
  }

  /** Returns the first exit code that is not 0: null is that of a node that a signal ended. */
  async stop(): Promise<number | null> {
    const codes = await Promise.all(this.nodes.map((node) => node.stop()));
    await this.balancer.close();
    const bad = codes.find((code) => code !== 0);
    return bad === undefined ? 0 : bad;
  }

  async kill(): Promise<void> {
    await Promise.all([this.balancer.close(), ...this.nodes.map((node) => node.kill())]);
  }

  async startAnew(): Promise<void> {
    await this.stop();
    this.services.dropDatabase(this.name);
    this.services.addDatabase(this.name);
    this.token = undefined;
    for (const node of this.nodes) node.empty();
    await this.start();
  }

  async remove(): Promise<void> {
    await this.balancer.close();
    await Promise.all(this.nodes.map((node) => node.remove()));
    this.services.dropDatabase(this.name);
  }
}
