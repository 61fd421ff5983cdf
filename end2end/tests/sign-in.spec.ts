// Guest, account and owner; refusals of the forms; opening a room.
import type { Page } from '@playwright/test';
import { expect, test } from './fixtures';
import { openMenu } from './person';

const you = (page: Page) => page.locator('.top-bar__you');
const form = (page: Page, action: string) => page.locator(`form[action="/session/${action}"]`);

async function fillIn(page: Page, action: string, fields: Record<string, string>): Promise<void> {
  for (const [name, value] of Object.entries(fields)) await form(page, action).locator(`[name="${name}"]`).fill(value);
  await form(page, action).locator('button').click();
}

test('entering as a guest returns to the room the visitor came from', async ({ visitor }) => {
  const { page } = await visitor();
  await page.goto('/rooms/1');
  await page.locator('.composer__nickname').focus();
  await page.getByRole('link', { name: '已有账号？登录' }).click();
  await page.getByRole('link', { name: '游客', exact: true }).click();
  await fillIn(page, 'guest', { nickname: '阿明' });
  await expect(page).toHaveURL(/\/rooms\/1$/);
  await expect(page.locator('.menu__you')).toHaveText('阿明');
});

test('a guest who registers keeps the uid, the nickname and their messages', async ({ guest }) => {
  const ming = await guest('阿明');
  await ming.tell('我还是游客');
  await ming.page.goto('/sign-in');
  await expect(ming.page.getByText('保留你的昵称和发言，换设备也能用')).toBeVisible();
  await fillIn(ming.page, 'register', { name: 'ming', password: 'a long password' });
  await expect(ming.page).toHaveURL(/\/$/);
  await expect(you(ming.page)).toHaveText('阿明');
  await ming.page.goto('/rooms/1');
  await expect(ming.page.locator('.line--mine')).toContainText('我还是游客');

  const login = await ming.context.request.post('/session/login', { form: { name: 'ming', password: 'a long password' } });
  expect((await login.json()).uid).toBe(ming.uid);
});

test('an account can register, log out and log in again', async ({ visitor }) => {
  const { page } = await visitor();
  await page.goto('/sign-in?tab=register');
  await fillIn(page, 'register', { name: 'Anna', password: 'a long password', nickname: '安娜' });
  await expect(you(page)).toHaveText('安娜');

  await openMenu(page);
  await page.getByRole('button', { name: '退出登录' }).click();
  await expect(you(page)).toHaveCount(0);
  await expect(page.locator('.top-bar__nav > a')).toHaveText('登录');
  await page.goto('/rooms/1');
  await expect(page.locator('.chat').getByLabel('昵称')).toBeVisible();

  await page.goto('/sign-in');
  await fillIn(page, 'login', { name: 'ANNA', password: 'a long password' });
  await expect(you(page)).toHaveText('安娜');
});

test('a wrong password and an unknown name get the same refusal', async ({ visitor }) => {
  const { page, context } = await visitor();
  await context.request.post('/session/register', { form: { name: 'anna', password: 'a long password', nickname: '安娜' } });
  await context.clearCookies();
  for (const name of ['anna', 'nobody']) {
    await page.goto('/sign-in');
    await fillIn(page, 'login', { name, password: 'not this one' });
    await expect(page.locator('.refusal')).toHaveText('用户名或密码不正确');
    await expect(form(page, 'login').locator('[name="name"]')).toHaveValue(name);
    await expect(form(page, 'login').locator('[name="password"]')).toHaveValue('');
    await expect(you(page)).toHaveCount(0);
  }
});

test('account names are unique regardless of case', async ({ visitor }) => {
  const [first, second] = [await visitor(), await visitor()];
  await first.post('/session/register', { name: 'Ming', password: 'a long password', nickname: '阿明' });
  await second.page.goto('/sign-in?tab=register');
  await fillIn(second.page, 'register', { name: 'mING', password: 'another password' });
  await expect(second.page.locator('.refusal')).toHaveText('该用户名已被使用');
  await expect(form(second.page, 'register').locator('[name="name"]')).toHaveValue('mING');
});

test('the one-time link registers one owner, who hosts the first room', async ({ server, visitor }) => {
  const { page } = await visitor();
  const link = `/sign-in?owner=${await server.ownerToken()}`;
  await page.goto(link);
  await expect(page.getByText('这个账号将成为本站的站长')).toBeVisible();
  await fillIn(page, 'register', { name: 'owner', password: 'a long password', nickname: '小星' });
  await expect(page.locator('.room-card__host')).toHaveText('小星');

  const late = await visitor();
  await late.page.goto(link);
  await fillIn(late.page, 'register', { name: 'late', password: 'a long password' });
  await expect(late.page.locator('.refusal')).toBeVisible();
});

test('an account opens a room and hosts it; a guest sees a link to register', async ({ visitor, guest }) => {
  const anna = await visitor();
  await anna.signIn('/session/register', { name: 'anna', password: 'a long password', nickname: '安娜' });
  await anna.page.goto('/');
  await anna.page.getByLabel('直播间标题').fill('安娜的 <i>房间</i>');
  await anna.page.getByRole('button', { name: '创建', exact: true }).click();
  await expect(anna.page).toHaveURL(/\/rooms\/2$/);
  await expect(anna.page.getByRole('heading', { level: 1 })).toHaveText('安娜的 <i>房间</i>');
  await expect(anna.page.locator('.chat__host')).toHaveText('主播 安娜');

  const ming = await guest('阿明');
  await ming.page.goto('/');
  await expect(ming.page.getByRole('link', { name: '注册账号后就可以创建自己的直播间' })).toBeVisible();
  await expect(ming.page.locator('.room-card__title')).toHaveText(['安娜的 <i>房间</i>', '直播间 1 · Room 1']);
});

test('unknown rooms and paths are a 404 with a link to the lobby', async ({ visitor }) => {
  const { page } = await visitor();
  for (const path of ['/rooms/999', '/rooms/%3Cb%3E', '/nowhere']) {
    expect((await page.goto(path))?.status()).toBe(404);
    await expect(page.getByRole('heading', { level: 1 })).toHaveText('这个页面不存在');
  }
  await page.getByRole('link', { name: '返回大厅' }).click();
  await expect(page).toHaveURL(/\/$/);
});
