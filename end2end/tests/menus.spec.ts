// The menu behind the three dots: the person, the host's tools, language and theme. It works without JavaScript.
import type { Page } from '@playwright/test';
import { expect, test } from './fixtures';
import { menu, openMenu, texts } from './person';

const form = (page: Page, action: string) => menu(page).locator(`form[action="${action}"]`);

test('P14: a guest changes the nickname in the room, and keeps the uid', async ({ guest }) => {
  const ming = await guest('阿明');
  await ming.tell('以前的');
  const page = await ming.open();
  await openMenu(page);
  await expect(menu(page).locator('.menu__you')).toHaveText('阿明');
  await page.getByLabel('更换昵称').fill('明明');
  await form(page, '/session/guest').getByRole('button').click();
  await expect(page).toHaveURL(/\/rooms\/1$/);
  await openMenu(page);
  await expect(menu(page).locator('.menu__you')).toHaveText('明明');
  await expect(page.locator('.line--mine .line__text')).toHaveText(['以前的']);
});

test('P14: a refused nickname comes back to the open menu, at its field', async ({ guest }) => {
  const page = await (await guest('阿明')).open();
  await openMenu(page);
  await page.getByLabel('更换昵称').fill('[主播] 阿明');
  await form(page, '/session/guest').getByRole('button').click();
  const field = page.getByLabel('更换昵称');
  await expect(field).toBeVisible();
  await expect(field).toHaveValue('[主播] 阿明');
  await expect(field).toHaveAttribute('aria-invalid', 'true');
  await expect(page.locator('#menu-nickname-refusal')).toBeVisible();
});

test('P13: a guest ends the own person in two steps only, with a warning', async ({ guest }) => {
  const page = await (await guest('阿明')).open();
  await openMenu(page);
  await expect(page.getByRole('button', { name: '退出登录' })).toHaveCount(0);
  const end = page.getByRole('button', { name: '确认清除' });
  await expect(end).toBeHidden();
  await menu(page).getByText('清除身份').click();
  await expect(menu(page).locator('.menu__warning')).toContainText('无法恢复');
  await end.click();
  await expect(page).toHaveURL(/\/rooms\/1$/);
  await expect(page.locator('.room')).toHaveAttribute('data-person', 'none');
});

test('P14: each kind of person sees their own items, which lead back to the room', async ({ guest, visitor }) => {
  const anna = await visitor();
  await anna.signIn('/session/register', { name: 'anna', password: 'a long password', nickname: '安娜' });
  for (const [person, shown, hidden] of [
    [await visitor(), ['登录', '注册账号'], ['账号', '退出登录', '清除身份', '更换昵称']],
    [await guest('阿明'), ['注册账号', '清除身份', '更换昵称'], ['登录', '账号', '退出登录']],
    [anna, ['账号', '退出登录', '更换昵称'], ['登录', '注册账号', '清除身份']],
  ] as const) {
    const page = await person.open();
    await openMenu(page);
    for (const item of shown) await expect(menu(page).getByText(item, { exact: true }).first()).toBeVisible();
    for (const item of hidden) await expect(menu(page).getByText(item, { exact: true })).toBeHidden();
    for (const link of await menu(page).locator('a[href^="/sign-in"]').all()) {
      await expect(link).toHaveAttribute('href', /next=.*rooms.*1$/);
    }
  }
  await form(anna.page, '/session/logout').and(anna.page.locator('.for-account')).getByRole('button').click();
  await expect(anna.page).toHaveURL(/\/rooms\/1$/);
  await expect(anna.page.locator('.room')).toHaveAttribute('data-person', 'none');
});

test('P5: the host sets title, slow mode and the closed state in the menu; nobody else has the forms', async ({ host, guest }) => {
  const [star, ming] = [await host('小星'), await guest('阿明')];
  const page = await star.open();
  await openMenu(page);
  await page.locator('#menu-title').fill('深夜电台');
  await form(page, '/gateway/mod/title').getByRole('button').click();
  await expect(page.locator('.chat__title')).toHaveText('深夜电台');

  await openMenu(page);
  await page.getByLabel('慢速模式').selectOption('60000');
  await form(page, '/gateway/mod/mode').first().getByRole('button').click();
  await expect(page).toHaveURL(/\/rooms\/1$/);
  await expect(page.getByLabel('慢速模式')).toHaveValue('60000');

  await openMenu(page);
  await page.getByRole('button', { name: '关闭房间' }).click();
  await openMenu(page);
  await expect(page.getByText('房间已关闭，没有人能发言')).toBeVisible();
  const refused = await ming.context.request.post('/gateway/send', { form: { room: '1', message: '喂' } });
  expect(refused.status()).toBe(403);
  await page.getByRole('button', { name: '重新开放' }).click();
  await openMenu(page);
  await expect(page.getByRole('button', { name: '关闭房间' })).toBeVisible();
  await ming.tell('又能说了');

  const guests = await ming.open();
  await openMenu(guests);
  await expect(guests.locator('.host-tools')).toHaveCount(0);
});

test('P5: a refused title comes back to the open menu, at its field', async ({ host }) => {
  const page = await (await host('小星')).open();
  await openMenu(page);
  await page.locator('#menu-title').fill('长'.repeat(61));
  await form(page, '/gateway/mod/title').getByRole('button').click();
  await expect(page.locator('#menu-title')).toHaveValue('长'.repeat(61));
  await expect(page.locator('#menu-title-refusal')).toHaveText('不能超过60个字符');
  await expect(page.locator('.chat__title')).not.toContainText('长长');
});

test('P30: a room without a message greets its host with link, frame and the place of the settings', async ({ host, guest, server }) => {
  const star = await host('小星');
  const page = await star.open();
  const card = page.locator('.new-room');
  await expect(card).toBeVisible();
  await expect(card.getByLabel('直播间链接')).toHaveValue(`${server.url}/rooms/1`);
  await expect(card.getByLabel('嵌入代码')).toHaveValue(new RegExp(`^<iframe src="${server.url}/rooms/1\\?embed" .*></iframe>$`));
  await expect(card).toContainText('右上角的菜单');
  const viewer = await (await guest('阿明')).open();
  await expect(viewer.locator('.new-room')).toHaveCount(0);
  await star.tell('开播了');
  await page.reload();
  await expect(texts(page)).toHaveText(['开播了']);
  await expect(card).toHaveCount(0);
});

test('P27: each theme is one click away, is pressed, and colours the browser\'s own bars', async ({ guest }) => {
  const page = await (await guest('阿明')).open();
  const colours = () => page.locator('meta[name="theme-color"]').evaluateAll((all) => all.map((meta) => (meta as HTMLMetaElement).content));
  const choose = async (name: string) => {
    await openMenu(page);
    await page.getByRole('button', { name, exact: true }).click();
  };
  expect(await colours()).toEqual(['#ffffff', '#18191c']);
  await choose('深色');
  await expect(page.locator('html')).toHaveAttribute('data-theme', 'dark');
  await expect(page.locator('.chat')).toHaveCSS('background-color', 'rgb(24, 25, 28)');
  expect(await colours()).toEqual(['#18191c', '#18191c']);
  await choose('浅色');
  await expect(page.locator('html')).toHaveAttribute('data-theme', 'light');
  expect(await colours()).toEqual(['#ffffff', '#ffffff']);
  await page.reload();
  await expect(page.locator('html')).toHaveAttribute('data-theme', 'light');
  await openMenu(page);
  await expect(page.getByRole('button', { name: '浅色' })).toHaveAttribute('aria-pressed', 'true');
  await choose('跟随系统');
  await expect(page.locator('html')).toHaveAttribute('data-theme', 'system');
});

test('P20: a page that does not exist knows the person', async ({ guest }) => {
  const { page } = await guest('阿明');
  for (const path of ['/nowhere', '/rooms/999']) {
    await page.goto(path);
    await expect(page.locator('.top-bar__you')).toHaveText('阿明');
    await expect(page.locator('.top-bar')).toHaveAttribute('data-person', 'guest');
  }
});

test('B06: title and host are isolated from the text around them', async ({ host }) => {
  const star = await host('نجم');
  await star.post('/gateway/mod/title', { room: '1', title: 'مرحبا؟' });
  const page = await star.open();
  await expect(page.locator('.chat__title bdi')).toHaveText('مرحبا؟');
  await expect(page.locator('.chat__title')).toHaveAttribute('title', 'مرحبا؟');
  await expect(page.locator('.chat__host bdi')).toHaveText('نجم');
  await expect(page.locator('.menu__title bdi')).toHaveText('مرحبا؟');
  await page.goto('/');
  await expect(page.locator('.top-bar__you bdi')).toHaveText('نجم');
});
