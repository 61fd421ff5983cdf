// Every spec imports `test` from here instead of from Playwright: each test gets its own server, and people with browsers.
import { test as base, expect, type BrowserContextOptions } from '@playwright/test';
import { Person } from './person';
import { Server, type Settings } from './server';

type NewVisitor = (options?: BrowserContextOptions) => Promise<Person>;

type Fixtures = {
  /** Environment variables of the server: `test.use({ settings: { ROOMCAST_CHAT_COOLDOWN_MS: '0' } })`. */
  settings: Settings;
  server: Server;
  /** Makes a person with their own browser and no session. */
  visitor: NewVisitor;
  /** Makes a person who entered as a guest. */
  guest: (nickname: string, options?: BrowserContextOptions) => Promise<Person>;
  /** Makes the owner, who hosts room 1, through the one-time link that the server prints. */
  host: (nickname: string, options?: BrowserContextOptions) => Promise<Person>;
};

export const test = base.extend<Fixtures>({
  settings: [{}, { option: true }],

  server: async ({ settings }, use, info) => {
    const server = new Server(settings);
    try {
      await server.start();
      await use(server);
    } finally {
      await server.remove();
      if (info.status !== info.expectedStatus) await info.attach('server log', { body: server.log });
    }
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
