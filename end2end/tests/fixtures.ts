// Every spec imports `test` from here instead of from Playwright: each test gets its own server, and people with browsers.
import { test as base, expect, type BrowserContextOptions } from '@playwright/test';
import { Cluster } from './cluster';
import { Person } from './person';
import { Server, type Settings, type Site } from './server';
import { missing, mustBe, Services } from './services';

type NewVisitor = (options?: BrowserContextOptions) => Promise<Person>;

type Fixtures = {
  /** Environment variables of the server: `test.use({ settings: { ROOMCAST_CHAT_COOLDOWN_MS: '0' } })`. */
  settings: Settings;
  server: Site;
  /** The same site for a test that tells its nodes apart. */
  cluster: Cluster;
  /** Makes a person with their own browser and no session. */
  visitor: NewVisitor;
  /** Makes a person who entered as a guest. */
  guest: (nickname: string, options?: BrowserContextOptions) => Promise<Person>;
  /** Makes the owner, who hosts room 1, through the one-time link that the server prints. */
  host: (nickname: string, options?: BrowserContextOptions) => Promise<Person>;
};

export type Options = {
  /** Nodes of the site: one without services, or several on PostgreSQL and NATS. */
  nodes: number;
};

type OfWorker = Options & {
  /** Undefined: the site has one node, or the services are not installed. */
  services: Services | undefined;
};

/** Milliseconds for the start of PostgreSQL and NATS, and for their end. */
const SERVICES_TIMEOUT_MS = 60_000;

export const test = base.extend<Fixtures, OfWorker>({
  nodes: [1, { option: true, scope: 'worker' }],

  services: [
    async ({ nodes }, use) => {
      const reason = nodes > 1 && missing();
      if (reason && mustBe()) throw new Error(reason);
      if (reason) console.warn(`passed over: the tests on ${nodes} nodes: ${reason}`);
      const services = nodes > 1 && !reason ? await Services.start() : undefined;
      await use(services);
      await services?.end();
    },
    { scope: 'worker', timeout: SERVICES_TIMEOUT_MS },
  ],

  settings: [{}, { option: true }],

  server: async ({ settings, nodes, services }, use, info) => {
    info.skip(nodes > 1 && !services, 'PostgreSQL or NATS is not installed');
    const server = services ? new Cluster(settings, services, nodes) : new Server(settings);
    try {
      await server.start();
      await use(server);
    } finally {
      await server.remove();
      if (info.status !== info.expectedStatus) await info.attach('server log', { body: server.log });
    }
  },

  cluster: async ({ server }, use) => {
    if (!(server instanceof Cluster)) throw new Error('the test needs several nodes');
    await use(server);
  },

  visitor: async ({ browser, contextOptions, server, locale, timezoneId, colorScheme, viewport, javaScriptEnabled }, use) => {
    const people: Person[] = [];
    await use(async (options = {}) => {
      const own = { ...contextOptions, locale, timezoneId, colorScheme, viewport, javaScriptEnabled, ...options };
      const context = await browser.newContext({ baseURL: server.url, ...own });
      const person = new Person(context, await context.newPage(), own.javaScriptEnabled !== false);
      people.push(person);
      return person;
    });
    for (const person of people) await person.context.close();
  },

  guest: async ({ visitor }, use) => use(async (nickname, options) => (await visitor(options)).enterAsGuest(nickname)),

  host: async ({ visitor, server }, use) =>
    use(async (nickname, options) => {
      const form = { name: 'owner', password: 'correct horse', nickname, owner: await server.ownerToken() };
      return (await visitor(options)).signIn('/session/register', form);
    }),
});

/** Settings without cooldown and rate limits, for specs that send many messages. */
export const NO_LIMITS: Settings = { ROOMCAST_CHAT_COOLDOWN_MS: '0', ROOMCAST_LIMITS_PER_IP: 'off' };

export { expect };
