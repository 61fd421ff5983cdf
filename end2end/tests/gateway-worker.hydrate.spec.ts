// An unchanged page of another site, written for GatewayWorker: plain socket, `init`, bind, send, verbatim lines.
import { createServer, type Server } from 'node:http';
import { readFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { expect, test as base } from './fixtures';
import { texts } from './person';

const PAGE = readFileSync(join(import.meta.dirname, 'gateway-worker.html'));

/** Starts the other site: it serves the same page for every path, on its own port. */
async function otherSite(): Promise<{ site: Server; origin: string }> {
  const site = createServer((_, response) => response.setHeader('Content-Type', 'text/html').end(PAGE));
  await new Promise<void>((done) => site.listen(0, '127.0.0.1', done));
  return { site, origin: `http://127.0.0.1:${(site.address() as AddressInfo).port}` };
}

const test = base.extend<{ allowed: string; stranger: string }>({
  allowed: async ({}, use) => {
    const { site, origin } = await otherSite();
    await use(origin);
    site.close();
  },
  stranger: async ({}, use) => {
    const { site, origin } = await otherSite();
    await use(origin);
    site.close();
  },
  settings: async ({ allowed }, use) => use({ ROOMCAST_WEB_ALLOWED_ORIGINS: allowed }),
});

test('the page shows its own and others\' messages, and receives no pushes it does not know', async ({ server, allowed, guest }) => {
  const [old, anna] = [await guest('老页面'), await guest('Anna')];
  await old.page.goto(`${allowed}/?site=${encodeURIComponent(server.url)}`);
  await expect(old.page).toHaveTitle('Group Success');

  // A page of Roomcast connects: it receives `online`, the old page must not.
  await anna.open();
  await expect(anna.page.locator('.chat__online')).toHaveText('2 人在线');

  await old.page.locator('#message').fill('从老页面来');
  await old.page.getByRole('button').click();
  await expect(texts(anna.page)).toHaveText(['从老页面来']);
  await anna.say('hello <b>old</b> page');
  await expect(old.page.locator('#messages li')).toHaveText(['老页面 : 从老页面来', 'Anna : hello <b>old</b> page']);
  expect(await old.page.evaluate('types')).toEqual(['init', 'message', 'message']);
});

test('the same page of a site that is not allowed gets no socket', async ({ server, stranger, guest }) => {
  const old = await guest('老页面');
  const failed = old.page.waitForEvent('console', (message) => message.text().includes('WebSocket') && message.text().includes('403'));
  await old.page.goto(`${stranger}/?site=${encodeURIComponent(server.url)}`);
  await failed;
  expect(await old.page.evaluate('types')).toEqual([]);
  await expect(old.page).toHaveTitle('Chat');
});
