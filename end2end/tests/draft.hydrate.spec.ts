// Text that is typed and not sent stays in the box when the page is loaded again.
import { expect, test } from './fixtures';
import { openMenu } from './person';

test('a draft survives a switch of language and a reload, and is deleted when it is sent', async ({ guest }) => {
  const ming = await guest('阿明');
  const page = await ming.open();
  const box = page.locator('.composer__text');
  await box.fill('还没写完');
  await openMenu(page);
  await page.getByRole('button', { name: 'English' }).click();
  await expect(page.locator('html')).toHaveAttribute('lang', 'en');
  await expect(box).toHaveValue('还没写完');
  await page.reload();
  await expect(box).toHaveValue('还没写完');
  await box.press('Enter');
  await expect(page.locator('.line__text')).toHaveText(['还没写完']);
  await expect(box).toHaveValue('');
  await page.reload();
  await expect(page.locator('.line__text')).toHaveText(['还没写完']);
  await expect(box).toHaveValue('');
});
