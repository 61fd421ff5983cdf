// The account's page: another password, the list of sessions, the end of sessions.
import type { Page } from '@playwright/test';
import { expect, test } from './fixtures';

const ACCOUNT = { name: 'anna', password: 'a long password' };
const sessions = (page: Page) => page.locator('.account__session');

test('the bar leads to the page, which changes the password and ends the other sessions', async ({ visitor }) => {
  const [desk, phone] = [await visitor(), await visitor()];
  await desk.signIn('/session/register', { ...ACCOUNT, nickname: '安娜' });
  await phone.signIn('/session/login', ACCOUNT);
  const { page } = desk;
  await page.goto('/');
  await page.getByRole('link', { name: '安娜' }).click();
  await expect(page).toHaveURL(/\/account$/);
  await expect(sessions(page)).toHaveCount(2);

  const change = async (current: string) => {
    await page.getByLabel('当前密码').fill(current);
    await page.getByLabel('新密码').fill('another long one');
    await page.getByRole('button', { name: '修改密码' }).click();
  };
  await change('not this one');
  await expect(page.locator('.refusal')).toHaveText('当前密码不正确');
  await expect(sessions(page)).toHaveCount(2);
  await change(ACCOUNT.password);
  await expect(page.getByRole('status')).toHaveText('密码已修改，其他设备已退出登录');
  await expect(sessions(page)).toHaveCount(1);
  await phone.page.goto('/');
  await expect(phone.page.locator('.top-bar__you')).toHaveCount(0);
});

test('one session is ended from another', async ({ visitor }) => {
  const [desk, phone] = [await visitor(), await visitor()];
  await desk.signIn('/session/register', { ...ACCOUNT, nickname: '安娜' });
  await phone.signIn('/session/login', ACCOUNT);
  await desk.page.goto('/account');
  await sessions(desk.page).getByRole('button').click();
  await expect(sessions(desk.page)).toHaveCount(1);
  await expect(sessions(desk.page)).toContainText('当前设备');
  await phone.page.goto('/account');
  await expect(phone.page.locator('.refusal')).toHaveText('请先登录');
});
