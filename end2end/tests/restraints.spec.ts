// A person who cannot send: a timeout, a ban, a warning.
import { expect, NO_LIMITS, test } from './fixtures';
import { box } from './person';

test.use({ settings: NO_LIMITS });

test('a warning is acknowledged by its button, and the box is there again', async ({ host, guest }) => {
  const [star, ming] = [await host('小星'), await guest('阿明')];
  const page = await ming.open();
  await star.post('/gateway/mod/warn', { room: '1', user: ming.uid, reason: '请勿刷屏' });
  await page.reload();
  const shut = page.locator('.composer__shut');
  await expect(shut).toContainText('请先确认房管的警告');
  await expect(shut).toContainText('请勿刷屏');
  await expect(box(page)).toBeHidden();
  await shut.getByRole('button', { name: '我知道了' }).click();
  await expect(box(page)).toBeVisible();
  await expect(shut).toBeHidden();
});

test('a restrained person sees reason and end on a page that is opened', async ({ host, guest }) => {
  const [star, ming] = [await host('小星'), await guest('阿明')];
  await star.post('/gateway/mod/timeout', { room: '1', user: ming.uid, seconds: '600', reason: '刷屏' });
  const page = await ming.open();
  await expect(page.locator('.composer__why')).toHaveText(/你已被暂时禁言 · 至 (\d\d:\d\d|.* UTC|.*\d\d:\d\d) · 理由：.?刷屏/);
  await expect(box(page)).toBeHidden();
  await star.post('/gateway/mod/ban', { room: '1', user: ming.uid });
  await page.reload();
  await expect(page.locator('.composer__why')).toHaveText(/^你已被禁止发言 · 编号 [0-9a-f]{8}$/);
});
