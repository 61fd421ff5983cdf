// The parts of the menu that need public/page.js: keys, other tabs, copy buttons, times of messages, frames.
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, test } from './fixtures';
import { lines, menu, openMenu } from './person';

test('P27: Escape closes the menu and gives the focus back; a click or the focus outside closes it', async ({ guest }) => {
  const page = await (await guest('阿明')).open();
  const button = menu(page).locator('summary').first();
  await button.focus();
  await page.keyboard.press('Enter');
  await expect(menu(page)).toHaveAttribute('open');
  await page.keyboard.press('Tab');
  await page.keyboard.press('Escape');
  await expect(menu(page)).not.toHaveAttribute('open');
  await expect(button).toBeFocused();
  await button.click();
  await page.locator('.list').click({ position: { x: 8, y: 200 } });
  await expect(menu(page)).not.toHaveAttribute('open');
  await button.click();
  await page.locator('.list__scroller').focus();
  await expect(menu(page)).not.toHaveAttribute('open');
});

test('P27: the other tabs follow the theme, also a page that was hidden when it changed', async ({ guest }) => {
  const ming = await guest('阿明');
  const first = await ming.open();
  const second = await ming.context.newPage();
  await second.goto('/');
  const requests: string[] = [];
  first.on('request', (request) => requests.push(request.url()));
  await openMenu(first);
  await first.getByRole('button', { name: '深色' }).click();
  for (const page of [first, second]) await expect(page.locator('html')).toHaveAttribute('data-theme', 'dark');
  await expect(second.locator('meta[name="theme-color"]').first()).toHaveAttribute('content', '#18191c');
  expect(requests.filter((url) => url.includes('/session/')), 'the script needs no request').toEqual([]);
  await ming.context.addCookies([{ name: 'roomcast_theme', value: 'light', url: new URL('/', first.url()).href }]);
  await second.evaluate(() => document.dispatchEvent(new Event('visibilitychange')));
  await expect(second.locator('html')).toHaveAttribute('data-theme', 'light');
});

test('P30: a button copies the link', async ({ host, server }) => {
  const star = await host('小星', { permissions: ['clipboard-read', 'clipboard-write'] });
  const page = await star.open();
  const copy = page.locator('.new-room .copy').first().getByRole('button');
  await copy.click();
  await expect(copy).toHaveText('已复制');
  expect(await page.evaluate(() => navigator.clipboard.readText())).toBe(`${server.url}/rooms/1`);
  await expect(copy).toHaveText('复制');
});

test('P30: the greeting leaves with the first message', async ({ host, guest }) => {
  const [star, ming] = [await host('小星'), await guest('阿明')];
  const page = await star.open();
  await expect(page.locator('.new-room')).toBeVisible();
  await ming.tell('第一句');
  await expect(page.locator('.new-room')).toBeHidden();
});

test('P32: the times of messages are shown on request, and stay shown', async ({ guest }) => {
  const ming = await guest('阿明');
  await ming.tell('几点了');
  const page = await ming.open();
  const time = lines(page).first().locator('.line__time');
  await page.mouse.move(0, 0);
  await openMenu(page);
  await page.getByLabel('显示时间').check();
  await page.keyboard.press('Escape');
  await expect(page.locator('html')).toHaveClass(/list--times/);
  await expect(time).toHaveCSS('opacity', '1');
  await page.reload();
  await expect(page.locator('html')).toHaveClass(/list--times/);
});

test('P28: in a frame there is no way to the lobby, and links open beside the frame', async ({ guest, server }) => {
  let src = '';
  const site = createServer((_, response) => response.setHeader('content-type', 'text/html').end(`<iframe width="320" height="600" src="${src}"></iframe>`));
  await new Promise<void>((done) => site.listen(0, '127.0.0.1', done));
  const origin = `http://127.0.0.1:${(site.address() as AddressInfo).port}`;
  await server.stop();
  server.settings.ROOMCAST_WEB_FRAME_ANCESTORS = origin;
  await server.start();
  const ming = await guest('阿明');
  const { page } = ming;
  for (const query of ['', '?embed']) {
    src = `${server.url}/rooms/1${query}`;
    await page.goto(origin);
    const frame = page.frameLocator('iframe');
    await expect(frame.locator('.chat__title')).toBeVisible();
    await expect(frame.locator('.room__back')).toBeHidden();
    expect(await frame.locator('.list__scroller').evaluate((list) => list.getBoundingClientRect().height)).toBeGreaterThan(480);
    await frame.locator('.menu > summary').click();
    const opened = ming.context.waitForEvent('page');
    await frame.locator('.menu').getByRole('link', { name: '注册账号' }).click();
    const beside = await opened;
    await expect(beside).toHaveURL(/\/sign-in/);
    await beside.close();
    await expect(frame.locator('.chat__title')).toBeVisible();
  }
  site.close();
});
