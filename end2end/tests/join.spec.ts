// A reader joins at the place of the text box, with JavaScript and without.
import { expect, test } from './fixtures';
import { box, button, notice, texts } from './person';

test('P7: a reader joins by nickname and sends', async ({ visitor }) => {
  const { page } = await visitor();
  await page.goto('/rooms/1');
  await expect(box(page)).toBeHidden();
  const nickname = page.locator('.composer__nickname');
  await nickname.fill('阿明');
  await page.locator('.composer--join').getByRole('button', { name: '进入' }).click();
  await expect(box(page)).toBeVisible();
  await expect(nickname).toHaveCount(0);
  await box(page).fill('大家好');
  await button(page).click();
  await expect(texts(page)).toHaveText(['大家好']);
});

test('P7: a refused nickname stays in its field, with the reason', async ({ visitor }) => {
  const { page } = await visitor();
  await page.goto('/rooms/1');
  const nickname = page.locator('.composer__nickname');
  await nickname.fill('[主播]');
  await page.locator('.composer--join').getByRole('button', { name: '进入' }).click();
  await expect(notice(page)).toHaveText(/^系统提示: /);
  await expect(nickname).toHaveValue('[主播]');
  await expect(nickname).toHaveAttribute('aria-invalid', 'true');
  await expect(nickname).toHaveAccessibleDescription(/^系统提示: /);
});

test('P17: sign-in and registration lead back to the room', async ({ visitor }) => {
  const { page } = await visitor();
  await page.goto('/rooms/1');
  await page.locator('.composer__nickname').focus();
  const account = page.locator('.composer__account');
  await expect(account.getByRole('link', { name: '已有账号？登录' })).toHaveAttribute('href', '/sign-in?next=/rooms/1');
  await expect(account.getByRole('link', { name: '注册账号' })).toHaveAttribute('href', '/sign-in?next=/rooms/1#register');
});

test('a closed room says so before one types', async ({ host, guest }) => {
  const star = await host('小星');
  await star.post('/gateway/mod/mode', { room: '1', closed: 'true' });
  const ming = await guest('阿明');
  const page = await ming.open();
  await expect(box(page)).toHaveAttribute('placeholder', '该房间已关闭，不能发言');
});
