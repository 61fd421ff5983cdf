// Language and theme: the browser's preference first, then the reader's choice, which is remembered.
import { expect, test } from './fixtures';
import { box, button, openMenu } from './person';

for (const [locale, lang, words] of [
  ['zh-CN', 'zh-CN', { lobby: '直播间', placeholder: '输入聊天内容...', send: '发送', other: 'English' }],
  ['en-GB', 'en', { lobby: 'Rooms', placeholder: 'Type a message...', send: 'Send', other: '中文' }],
  ['fr-FR', 'en', { lobby: 'Rooms', placeholder: 'Type a message...', send: 'Send', other: '中文' }],
] as const) {
  test(`a reader from ${locale} gets ${lang}`, async ({ guest }) => {
    const ming = await guest('阿明', { locale });
    await ming.page.goto('/');
    await expect(ming.page.locator('html')).toHaveAttribute('lang', lang);
    await expect(ming.page.getByRole('heading', { level: 1 })).toHaveText(words.lobby);
    const page = await ming.open();
    await expect(page.locator('html')).toHaveAttribute('lang', lang);
    await expect(box(page)).toHaveAttribute('placeholder', words.placeholder);
    await expect(button(page)).toHaveText(words.send);
    await openMenu(page);
    await expect(page.getByRole('button', { name: words.other })).toBeVisible();
  });
}

test('the language switch stays on the page and is remembered', async ({ guest }) => {
  const ming = await guest('阿明');
  const page = await ming.open();
  await openMenu(page);
  await page.getByRole('button', { name: 'English' }).click();
  await expect(page).toHaveURL(/\/rooms\/1$/);
  await expect(page.locator('html')).toHaveAttribute('lang', 'en');
  await expect(button(page)).toHaveText('Send');
  await page.goto('/');
  await expect(page.getByRole('heading', { level: 1 })).toHaveText('Rooms');
  await openMenu(page);
  await page.getByRole('button', { name: '中文' }).click();
  await expect(page.locator('html')).toHaveAttribute('lang', 'zh-CN');
  await expect(page.getByRole('heading', { level: 1 })).toHaveText('直播间');
});

test('refusals are in the reader\'s language', async ({ guest }) => {
  const anna = await guest('Anna', { locale: 'en-US' });
  const page = await anna.open();
  await box(page).fill('x'.repeat(141));
  await button(page).click();
  await expect(page.locator('.notice')).toHaveText('System: No more than 140 characters');
});

test('the theme follows the system until it is chosen, and is remembered', async ({ guest }) => {
  const [light, dark] = ['rgb(255, 255, 255)', 'rgb(24, 25, 28)'];
  const ming = await guest('阿明', { colorScheme: 'dark' });
  const page = await ming.open();
  const panel = page.locator('.chat');
  const choose = async (name: string) => {
    await openMenu(page);
    await page.getByRole('button', { name, exact: true }).click();
  };
  await expect(panel).toHaveCSS('background-color', dark);
  await choose('浅色');
  await expect(panel).toHaveCSS('background-color', light);
  await page.reload();
  await expect(panel).toHaveCSS('background-color', light);

  await page.emulateMedia({ colorScheme: 'light' });
  await choose('深色');
  await expect(panel).toHaveCSS('background-color', dark);
  await choose('跟随系统');
  await expect(page.locator('html')).toHaveAttribute('data-theme', 'system');
  await expect(panel).toHaveCSS('background-color', light);
});
