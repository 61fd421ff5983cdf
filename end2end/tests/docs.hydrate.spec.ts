// The documents' pages in a browser: each is served by a site of its own, shows pushes and sends messages. Only the addresses are replaced.
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { readFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { expect, test as base } from './fixtures';

const KEY = 'documents';

/** The first block of a language after `heading`. */
function block(document: string, heading: string, language: string): string {
  const text = readFileSync(join(import.meta.dirname, '../..', document), 'utf8');
  const section = text.slice(text.indexOf(`\n${heading}\n`) + 1);
  const found = section.startsWith(heading) && section.match(new RegExp(`^\`\`\`${language}\\n([^]*?)^\`\`\`$`, 'm'));
  if (!found) throw new Error(`${document} has no ${language} block after "${heading}"`);
  return found[1]!;
}

type Answer = (path: string, body: string) => Promise<number>;

/** A site beside Roomcast: one page, and a back end that answers posts with a status. */
class Site {
  page = '';
  answer: Answer = async () => 404;
  private readonly server: Server = createServer((request, response) => void this.handle(request, response));

  get origin(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  async listen(): Promise<void> {
    await new Promise<void>((done) => this.server.listen(0, '127.0.0.1', done));
  }

  close(): void {
    this.server.close();
  }

  private async handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (request.method === 'GET') {
      response.setHeader('Content-Type', 'text/html').end(this.page);
      return;
    }
    let body = '';
    for await (const part of request.setEncoding('utf8')) body += part;
    response.writeHead(await this.answer(request.url!, body)).end();
  }
}

type Call = (method: string, input: unknown) => Promise<void>;

const test = base.extend<{ site: Site; call: Call }>({
  site: async ({}, use) => {
    const site = new Site();
    await site.listen();
    await use(site);
    site.close();
  },
  settings: async ({ site }, use) =>
    use({
      ROOMCAST_WEB_ALLOWED_ORIGINS: site.origin,
      ROOMCAST_WEB_FRAME_ANCESTORS: site.origin,
      ROOMCAST_API_KEY: KEY,
    }),
  /** A call of the gateway's API. */
  call: async ({ server, request }, use) =>
    use(async (method, input) => {
      const headers = { Authorization: `Bearer ${KEY}` };
      const answer = await request.post(`${server.url}/gateway/api/${method}`, { headers, data: input });
      expect(answer.status(), await answer.text()).toBe(200);
    }),
});

test('README.md: a room in a frame of another page', async ({ server, site, guest }) => {
  site.page = block('README.md', '## Embed it', 'html').replace('https://chat.example.com', server.url);
  const [ming, anna] = [await guest('Ming'), await guest('Anna')];
  await ming.page.goto(site.origin);
  const room = ming.page.frameLocator('iframe');
  await anna.tell('hello frame');
  await expect(room.locator('.list .line__text')).toHaveText(['hello frame']);
  await room.locator('.composer__text').fill('from the frame');
  await room.locator('.composer__text').press('Enter');
  await expect(room.locator('.list .line__text')).toHaveText(['hello frame', 'from the frame']);
});

function completePage(url: string): string {
  return block('docs/integrate.md', '## A page of your own', 'html').replace('https://chat.example.com', url);
}

test('docs/integrate.md: the complete page shows and sends', async ({ server, site, visitor, guest }) => {
  site.page = completePage(server.url);
  const [{ page }, anna] = [await visitor(), await guest('Anna')];
  await anna.tell('before');
  await page.goto(site.origin);
  await expect(page.locator('#lines li')).toHaveText(['Anna : before']);
  await page.getByRole('textbox').fill('hello <b>page</b>');
  await page.getByRole('button').click();
  await expect(page.locator('#lines li')).toHaveText(['Anna : before', 'Ming : hello <b>page</b>']);
  await expect(page.getByRole('textbox')).toHaveValue('');
  // The cooldown's refusal is shown, and the text is kept.
  await page.getByRole('textbox').fill('too fast');
  await page.getByRole('button').click();
  await expect(page.getByRole('alert')).not.toBeEmpty();
  await expect(page.getByRole('textbox')).toHaveValue('too fast');
});

test('B54: docs/integrate.md: the complete page reads without joining, and begins anew with an empty folder', async ({ server, site, visitor, guest }) => {
  site.page = completePage(server.url);
  const [{ page, context }, anna] = [await visitor(), await guest('Anna')];
  await page.goto(site.origin);
  await anna.tell('first');
  await expect(page.locator('#lines li')).toHaveText(['Anna : first']);
  const sessions = async () => (await context.cookies()).filter((cookie) => cookie.name === 'roomcast_session').length;
  expect(await sessions()).toBe(0);
  await page.getByRole('textbox').fill('mine');
  await page.getByRole('button').click();
  await expect(page.locator('#lines li')).toHaveText(['Anna : first', 'Ming : mine']);
  expect(await sessions()).toBe(1);

  // The session is unknown from now on, and the numbers of the messages begin again.
  await server.startAnew();
  const bea = await guest('Bea');
  await bea.tell('anew');
  await expect(page.locator('#lines li')).toHaveText(['Bea : anew'], { timeout: 20_000 });
  await page.getByRole('textbox').fill('mine again');
  await page.getByRole('button').click();
  await expect(page.locator('#lines li')).toHaveText(['Bea : anew', 'Ming : mine again']);
  await expect(page.getByRole('alert')).toBeEmpty();
});

test('docs/integrate.md: the complete page fetches what it missed', async ({ server, site, visitor, guest }) => {
  site.page = completePage(server.url);
  const [{ page }, anna] = [await visitor(), await guest('Anna')];
  await anna.tell('first');
  await page.goto(site.origin);
  await expect(page.locator('#lines li')).toHaveText(['Anna : first']);
  await server.stop();
  await server.start();
  await (await guest('Bea')).tell('second');
  await expect(page.locator('#lines li')).toHaveText(['Anna : first', 'Bea : second'], { timeout: 20_000 });
});

test('B54: docs/integrate.md: a page of the push gateway', async ({ server, site, visitor, call }) => {
  const script = block('docs/integrate.md', '## The push gateway', 'js').replace('wss://chat.example.com', server.url.replace('http', 'ws'));
  site.page = `<!doctype html><title>Shop</title><pre></pre><script>
    const show = (data) => document.querySelector("pre").append(data + "\\n");
    ${script}</script>`;
  const bound = new Promise<void>((done) => {
    site.answer = async (path, client_id) => {
      if (path !== '/my/bind') return 404;
      await call('bindUid', { client_id, uid: 7 });
      await call('joinGroup', { client_id, group: 'news' });
      done();
      return 200;
    };
  });
  const { page } = await visitor();
  await page.goto(site.origin);
  await bound;
  await call('sendToGroup', { group: 'news', message: 'Hello' });
  await call('sendToUid', { uid: '7', message: { type: 'joined', uid: 7 } });
  await expect(page.locator('pre')).toHaveText('Hello\n{"type":"joined","uid":7}\n');

  // B54: after a restart, also with an empty folder, the page binds again.
  const again = page.waitForResponse((response) => response.url().endsWith('/my/bind'), { timeout: 20_000 });
  await server.startAnew();
  await again;
  await call('sendToGroup', { group: 'news', message: 'Hello again' });
  await expect(page.locator('pre')).toHaveText('Hello\n{"type":"joined","uid":7}\nHello again\n');
});

test('B54: docs/php.md: the page binds, shows and sends, and binds again', async ({ server, site, visitor, call }) => {
  // In the place of bind.php and send.php, which tests/server/docs/php.rs runs.
  site.answer = async (path, body) => {
    const { client_id, room, text } = Object.fromEntries(new URLSearchParams(body));
    if (room !== 'news') return 404;
    if (path === '/bind.php') await call('joinGroup', { client_id, group: room });
    else if (text === 'again') return 429;
    else await call('sendToGroup', { group: room, message: { type: 'say', room, name: 'Ming', text } });
    return 200;
  };
  const page = block('docs/php.md', '## A complete example', 'html');
  site.page = page.replace('wss://www.example.com', server.url.replace('http', 'ws'));
  const { page: news } = await visitor();
  const bound = news.waitForResponse((response) => response.url().endsWith('/bind.php'));
  await news.goto(site.origin);
  await bound;
  for (const text of ['hello <b>news</b>', 'again']) {
    await news.getByRole('textbox').fill(text);
    await news.getByRole('button').click();
    // An accepted text leaves the box; until then the next one would be overwritten.
    await expect(news.getByRole('textbox')).toHaveValue(text === 'again' ? 'again' : '');
    await expect(news.getByRole('alert')).toHaveText(text === 'again' ? 'Not so fast.' : '');
  }
  await expect(news.locator('#lines li')).toHaveText(['Ming: hello <b>news</b>']);

  // B54: after a restart, also with an empty folder, the page binds again; a refusal of the site's session is said.
  const again = news.waitForResponse((response) => response.url().endsWith('/bind.php') && response.ok(), { timeout: 20_000 });
  await server.startAnew();
  await again;
  await call('sendToGroup', { group: 'news', message: { type: 'say', room: 'news', name: 'Anna', text: 'again' } });
  await expect(news.locator('#lines li')).toHaveText(['Ming: hello <b>news</b>', 'Anna: again']);
  site.answer = async () => 401;
  await news.getByRole('button').click();
  await expect(news.getByRole('alert')).toHaveText('Please sign in.');
  await server.startAnew();
  await expect(news.getByRole('alert')).toHaveText('Please sign in.');
});
