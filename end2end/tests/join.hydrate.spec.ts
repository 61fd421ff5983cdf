// Joining in place: by fetch, on the same socket and the same list; the end of a session brings the row back and keeps the draft.
import type { Page } from '@playwright/test';
import { expect, test } from './fixtures';
import { box, button, line, link, notice, texts, type Person } from './person';

const nickname = (page: Page) => page.locator('.composer__nickname');

/** Counts the sockets and marks the document, so that a reload shows. */
async function watch(page: Page) {
  const sockets = { count: 0 };
  page.on('websocket', () => sockets.count++);
  return sockets;
}

async function readAs(person: Person): Promise<Page> {
  const bound = person.page.waitForResponse((response) => response.url().endsWith('/gateway/bind') && response.ok());
  await person.page.goto('/rooms/1');
  await bound;
  await person.page.evaluate(() => Object.assign(window, { sameDocument: true }));
  return person.page;
}

const isSameDocument = (page: Page) => page.evaluate(() => 'sameDocument' in window);

test('P1: a reader sees live lines, joins in place, and keeps socket and list', async ({ visitor, guest }) => {
  const [reader, anna] = [await visitor(), await guest('Anna')];
  const sockets = await watch(reader.page);
  const page = await readAs(reader);
  await anna.tell('之前');
  await expect(texts(page)).toHaveText(['之前']);
  await nickname(page).fill('阿明');
  const bound = page.waitForResponse((response) => response.url().endsWith('/gateway/bind'));
  await nickname(page).press('Enter');
  await expect(box(page)).toBeFocused();
  await bound;
  await expect(page.locator('.room')).toHaveAttribute('data-person', 'guest');
  await page.keyboard.type('大家好');
  await page.keyboard.press('Enter');
  await expect(texts(page)).toHaveText(['之前', '大家好']);
  await expect(line(page, '大家好')).toHaveClass(/line--mine/);
  expect(sockets.count).toBe(1);
  expect(await isSameDocument(page)).toBe(true);
});

test('P7: joining tells the rest of the page', async ({ visitor }) => {
  const page = await readAs(await visitor());
  await nickname(page).fill('阿明');
  await nickname(page).press('Enter');
  await expect(page.locator('.menu__you [data-own-nickname]')).toHaveText('阿明');
  await expect(page.locator('input#menu-nickname')).toHaveValue('阿明');
});

test('P7: signing out elsewhere brings the row back, keeps the draft, and the page stays live', async ({ guest }) => {
  const [ming, anna] = [await guest('阿明'), await guest('Anna')];
  const page = await ming.open();
  await page.evaluate(() => Object.assign(window, { sameDocument: true }));
  await box(page).fill('写到一半');
  await ming.post('/session/logout', {});
  await expect(notice(page)).toHaveText('您已退出登录');
  await expect(nickname(page)).toBeFocused();
  await expect(nickname(page)).toHaveValue('阿明');
  await expect(page.locator('.room')).toHaveAttribute('data-person', 'none');
  await anna.tell('还在直播');
  await expect(texts(page)).toHaveText(['还在直播'], { timeout: 15_000 });
  await expect(link(page)).toHaveCount(0);

  await page.getByRole('button', { name: '重新加入' }).click();
  await expect(box(page)).toBeFocused();
  await expect(box(page)).toHaveValue('写到一半');
  await expect(notice(page)).toHaveCount(0);
  await box(page).press('Enter');
  await expect(texts(page)).toHaveText(['还在直播', '写到一半']);
  expect(await isSameDocument(page)).toBe(true);
});

test('P7: a guest whom the server does not know any more keeps the text and joins again', async ({ guest }) => {
  const ming = await guest('阿明');
  const page = await ming.open();
  await ming.context.clearCookies();
  await ming.say('还想说');
  await expect(notice(page)).toHaveText('身份已过期，重新取个昵称即可继续');
  await expect(texts(page)).toHaveCount(0);
  await page.getByRole('button', { name: '重新加入' }).click();
  await expect(box(page)).toHaveValue('还想说');
  await expect(box(page)).toBeFocused();
  await box(page).press('Enter');
  await expect(texts(page)).toHaveText(['还想说']);
});

test('B53: a browser that takes no cookies is told so after joining', async ({ visitor }) => {
  const reader = await visitor();
  await reader.page.route('**/session/guest', async (route) => {
    const response = await route.fetch();
    const headers = response.headers();
    delete headers['set-cookie'];
    await reader.context.clearCookies({ name: 'roomcast_session' });
    await route.fulfill({ response, headers });
  });
  const page = await readAs(reader);
  await nickname(page).fill('阿明');
  await nickname(page).press('Enter');
  await expect(notice(page)).toHaveText('浏览器没有保存 Cookie，请允许本站使用 Cookie 后再试');
  await expect(nickname(page)).toHaveValue('阿明');
});

test('P7: until it has the focus, the row looks like the box', async ({ visitor }) => {
  const page = await readAs(await visitor());
  await expect(page.locator('.composer__look')).toHaveText('输入聊天内容...');
  await expect(page.locator('.composer__look')).toBeVisible();
  await expect(page.locator('.composer__join')).toBeHidden();
  await page.locator('.composer__look').click({ force: true });
  await expect(nickname(page)).toBeFocused();
  await expect(page.locator('.composer__look')).toBeHidden();
  await expect(page.locator('.composer__join')).toBeVisible();
  await expect(button(page)).toBeHidden();
});
