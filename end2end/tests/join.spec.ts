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
  await expect(notice(page)).toHaveText('这个昵称不能用：它像主播或系统的标记，请换一个');
  await expect(nickname).toHaveValue('[主播]');
  await expect(nickname).toHaveAttribute('aria-invalid', 'true');
  await expect(nickname).toHaveAccessibleDescription(/^这个昵称不能用/);
});

test('P17: sign-in and registration lead back to the room', async ({ visitor }) => {
  const { page } = await visitor();
  await page.goto('/rooms/1');
  await page.locator('.composer__nickname').focus();
  const account = page.locator('.composer__account');
  await expect(account.getByRole('link', { name: '已有账号？登录' })).toHaveAttribute('href', '/sign-in?tab=login&next=/rooms/1');
  await account.getByRole('link', { name: '注册账号' }).click();
  const form = page.locator('form[action="/session/register"]');
  await form.locator('[name=name]').fill('ming');
  await form.locator('[name=password]').fill('a long password');
  await form.getByRole('button').click();
  await expect(page).toHaveURL(/\/rooms\/1$/);
  await expect(box(page)).toBeVisible();
});

test('P28: joining and sending in a frame lead back to the frame, and links open beside it', async ({ visitor }) => {
  const { page } = await visitor();
  await page.goto('/rooms/1?embed');
  for (const link of await page.locator('.composer__account a').all()) {
    await expect(link).toHaveAttribute('target', '_blank');
    await expect(link).toHaveAttribute('href', /next=\/rooms\/1\?embed$/);
  }
  await page.locator('.composer__nickname').fill('阿明');
  await page.locator('.composer--join').getByRole('button', { name: '进入' }).click();
  await expect(box(page)).toBeVisible();
  await expect(page).toHaveURL(/\/rooms\/1\?embed$/);
  await box(page).fill('字'.repeat(141));
  await button(page).click();
  await expect(notice(page)).toHaveText('系统提示: 不能超过140个字符');
  await expect(page).toHaveURL(/\/rooms\/1\?embed$/);
  await box(page).fill('大家好');
  await button(page).click();
  await expect(texts(page)).toHaveText(['大家好']);
  await expect(page).toHaveURL(/\/rooms\/1\?embed$/);
});

test('a closed room says so before one types', async ({ host, guest }) => {
  const star = await host('小星');
  await star.post('/gateway/mod/mode', { room: '1', closed: 'true' });
  const ming = await guest('阿明');
  const page = await ming.open();
  await expect(box(page)).toHaveAttribute('placeholder', '该房间已关闭，不能发言');
});
