// Without JavaScript: the HTML contains the history, the forms work, a refusal is shown and the typed text is kept.
import { expect, test } from './fixtures';
import { box, button, lines, notice, texts } from './person';

test('the HTML contains the history', async ({ guest, visitor }) => {
  const ming = await guest('阿明');
  await ming.tell('写在页面里');
  const { page } = await visitor();
  await page.goto('/rooms/1');
  await expect(lines(page)).toContainText(['阿明 : 写在页面里']);
});

test('a visitor joins by nickname, sends, and sees the message after the redirect', async ({ visitor }) => {
  const { page } = await visitor();
  await page.goto('/rooms/1');
  await page.locator('.chat').getByLabel('昵称').fill('阿明');
  await page.getByRole('button', { name: '进入' }).click();
  await expect(page).toHaveURL(/\/rooms\/1$/);
  await expect(page.locator('.menu__you')).toHaveText('阿明');

  await box(page).fill('没有脚本也能聊\n第二行');
  await button(page).click();
  await expect(page).toHaveURL(/\/rooms\/1$/);
  await expect(texts(page)).toHaveCount(1);
  expect(await texts(page).textContent()).toBe('没有脚本也能聊\n第二行');
  await expect(box(page)).toHaveValue('');
});

test('a refused text returns to the box, with the reason', async ({ guest }) => {
  const ming = await guest('阿明');
  const page = await ming.open();
  const post = async (text: string) => {
    await box(page).fill(text);
    await button(page).click();
  };
  await post('字'.repeat(141));
  await expect(notice(page)).toHaveText('系统提示: 不能超过140个字符');
  await expect(box(page)).toHaveValue('字'.repeat(141));
  await expect(lines(page)).toHaveCount(0);

  await post('  ');
  await expect(notice(page)).toHaveText('系统提示: 不能发送空消息');

  // A refusal is shown once and starts no cooldown.
  await page.reload();
  await expect(notice(page)).toHaveCount(0);
  await post('第一句');
  await expect(texts(page)).toHaveText(['第一句']);
  await expect(notice(page)).toHaveCount(0);

  await post('太快的 <b>第二句</b> & "引号"');
  await expect(notice(page)).toHaveText(/^发言太快，[123] 秒后可再发$/);
  await expect(box(page)).toHaveValue('太快的 <b>第二句</b> & "引号"');
  await expect(texts(page)).toHaveText(['第一句']);
});

test('P7: a text that was sent after the end of the session is shown, with the reason', async ({ guest }) => {
  const ming = await guest('阿明');
  const page = await ming.open();
  await box(page).fill('写了很久的话');
  await ming.context.clearCookies({ name: 'roomcast_session' });
  await button(page).click();
  await expect(notice(page)).toHaveText('身份已过期，重新取个昵称即可继续');
  await expect(page.locator('.composer__unsent')).toHaveText('写了很久的话');
  await expect(page.locator('.composer__nickname')).toHaveValue('');
});

test('an invalid nickname is refused at its form', async ({ visitor }) => {
  const { page } = await visitor();
  await page.goto('/rooms/1');
  await page.locator('.chat').getByLabel('昵称').fill('[主播]');
  await page.getByRole('button', { name: '进入' }).click();
  await expect(notice(page)).toHaveText('这个昵称不能用：它像主播或系统的标记，请换一个');
  await expect(page.locator('.chat').getByLabel('昵称')).toHaveValue('[主播]');
});
