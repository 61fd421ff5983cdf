// The lobby's script: the list is renewed in place.
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { chromium, type Page } from '@playwright/test';
import { expect, test } from './fixtures';

const titles = (page: Page) => page.locator('.room-card__title');

test('P21: the list renews itself every 10 s while the page can be seen, and keeps the focus', async ({ visitor }) => {
  const star = await visitor();
  await star.signIn('/session/register', { name: 'star', password: 'a long password', nickname: '小星' });
  const { page } = await visitor();
  await page.clock.install();
  await page.goto('/');
  await expect(titles(page)).toHaveText(['直播间 1 · Room 1']);
  await page.locator('.room-card').first().focus();
  await star.post('/gateway/rooms', { title: '新的' });
  await page.clock.runFor(9_000);
  await expect(titles(page)).toHaveText(['直播间 1 · Room 1']);
  const renewed = page.waitForResponse((response) => new URL(response.url()).pathname === '/');
  await page.clock.runFor(1_500);
  await renewed;
  await expect(titles(page)).toHaveText(['新的', '直播间 1 · Room 1']);
  await expect(page.locator('.room-card').last()).toBeFocused();

  // A page that nobody sees asks for nothing.
  await page.evaluate(() => {
    Object.defineProperty(document, 'visibilityState', { value: 'hidden', configurable: true });
    document.dispatchEvent(new Event('visibilitychange'));
  });
  let asked = 0;
  page.on('request', () => asked++);
  await page.clock.runFor(60_000);
  expect(asked).toBe(0);
  await star.post('/gateway/rooms', { title: '更新的' });
  await page.evaluate(() => {
    Object.defineProperty(document, 'visibilityState', { value: 'visible', configurable: true });
    document.dispatchEvent(new Event('visibilitychange'));
  });
  await expect(titles(page).first()).toHaveText('更新的');
});

test('P23: going back from a room shows the lobby from memory', async ({ server, launchOptions }) => {
  // Playwright switches the cache off that this test is about.
  const browser = await chromium.launch({ ...launchOptions, ignoreDefaultArgs: ['--disable-back-forward-cache'] });
  try {
    const page = await browser.newPage();
    await page.goto(server.url);
    await page.evaluate(() => addEventListener('pageshow', (event) => document.body.setAttribute('data-restored', String(event.persisted))));
    await page.locator('.room-card').first().click();
    await expect(page).toHaveURL(/\/rooms\/1$/);
    // No `load` comes with a page from memory.
    await page.goBack({ waitUntil: 'commit' });
    await expect(page.locator('body')).toHaveAttribute('data-restored', 'true');
  } finally {
    await browser.close();
  }
});

test('P21: a room is live while its host is in it', async ({ host, guest, visitor }) => {
  const { page } = await visitor();
  await page.goto('/');
  await (await guest('阿明')).open();
  await expect.poll(async () => {
    await page.reload();
    return page.locator('.room-card__online').innerText();
  }).toBe('1 人在线');
  await expect(page.locator('.room-card__live')).toHaveCount(0);
  await (await host('小星')).open();
  await expect.poll(async () => {
    await page.reload();
    return page.locator('.room-card__live').count();
  }).toBe(1);
  await expect(page.locator('.room-card__live')).toHaveText('直播中');
});

test.describe('in a frame of another site', () => {
  // Another site than 127.0.0.1, so that the browser sends no cookie.
  let site: Server;
  let frame = '';
  test.beforeAll(async () => {
    site = createServer((_, response) => response.setHeader('content-type', 'text/html').end(`<iframe width="700" height="700" src="${frame}"></iframe>`));
    await new Promise<void>((done) => site.listen(0, 'localhost', done));
  });
  test.afterAll(() => site.close());

  for (const path of ['/rooms/1', '/sign-in?tab=register', '/']) {
    test(`B53: the language switch on ${path} says that cookies are needed`, async ({ server, visitor }) => {
      const port = (site.address() as AddressInfo).port;
      await server.stop();
      server.settings.ROOMCAST_WEB_FRAME_ANCESTORS = `http://localhost:${port}`;
      await server.start();
      frame = `${server.url}${path}`;
      const { page } = await visitor();
      await page.goto(`http://localhost:${port}/`);
      const inner = page.frameLocator('iframe');
      await inner.locator('form[action="/session/preferences"]').first().evaluate((form: HTMLFormElement) => form.submit());
      await expect(inner.getByText('浏览器没有保存 Cookie')).toBeVisible();
    });
  }
});
