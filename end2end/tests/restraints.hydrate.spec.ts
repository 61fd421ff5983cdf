// Restraints as they begin and end on a page that is open.
import { expect, NO_LIMITS, test } from './fixtures';
import { box, link, texts } from './person';

test.use({ settings: NO_LIMITS });

test('a timeout begins and ends without a reload, and the draft is kept', async ({ host, guest }) => {
  const [star, ming] = [await host('小星'), await guest('阿明')];
  const page = await ming.open();
  await box(page).fill('写了一半');
  await star.post('/gateway/mod/timeout', { room: '1', user: ming.uid, seconds: '4', reason: '冷静' });
  await expect(page.locator('.composer__why')).toContainText('冷静');
  await expect(box(page)).toBeHidden();
  await expect(box(page)).toBeVisible();
  await expect(box(page)).toHaveValue('写了一半');
  await box(page).press('Enter');
  await expect(texts(page)).toHaveText(['写了一半']);
});

test('a timeout shows the time that is left, second by second, to nobody who listens', async ({ host, guest }) => {
  const [star, ming] = [await host('小星'), await guest('阿明')];
  const page = await ming.open();
  const left = page.getByRole('timer');
  await star.post('/gateway/mod/timeout', { room: '1', user: ming.uid, seconds: '600', reason: '冷静' });
  await expect(left).toHaveText(/^还剩 9:5\d$/);
  const first = await left.textContent();
  await expect(left).not.toHaveText(first ?? '');
  await expect(page.locator('.composer__why')).not.toContainText('还剩');
  await star.post('/gateway/mod/timeout', { room: '1', user: ming.uid, seconds: '90061' });
  await expect(left).toHaveText(/^还剩 1 天 01:0[01]:\d\d$/);
  const { case: id } = await star.post('/gateway/mod/ban', { room: '1', user: ming.uid });
  await expect(left).toBeHidden();
  await star.post('/gateway/mod/lift', { case: id });
  await expect(left).toBeVisible();
});

test('the time that is left is in the language of the page', async ({ host, guest }) => {
  const [star, anna] = [await host('小星'), await guest('Anna', { locale: 'en' })];
  const page = await anna.open();
  await star.post('/gateway/mod/timeout', { room: '1', user: anna.uid, seconds: '600' });
  await expect(page.getByRole('timer')).toHaveText(/^9:5\d left$/);
});

test('a lifted ban opens the box at once', async ({ host, guest }) => {
  const [star, ming] = [await host('小星'), await guest('阿明')];
  const page = await ming.open();
  const { case: id } = await star.post('/gateway/mod/ban', { room: '1', user: ming.uid });
  await expect(page.locator('.composer__why')).toHaveText(/^你已被禁止发言 · 编号 [0-9a-f]{8}$/);
  await star.post('/gateway/mod/lift', { case: id });
  await expect(box(page)).toBeVisible();
});

test('a refused message stays in the box, and the refusal stands in its place', async ({ host, guest }) => {
  const [star, ming] = [await host('小星'), await guest('阿明')];
  const page = await ming.open();
  // The restraint begins while the message is on its way.
  await page.route(
    '**/gateway/send',
    async (route) => {
      await star.post('/gateway/mod/timeout', { room: '1', user: ming.uid, seconds: '600' });
      await route.continue();
    },
    { times: 1 },
  );
  await box(page).fill('被拒绝的话');
  await box(page).press('Enter');
  await expect(page.locator('.composer__why')).toContainText('你已被暂时禁言');
  await expect(box(page)).toHaveValue('被拒绝的话');
  await expect(texts(page)).toHaveCount(0);
  await page.reload();
  await expect(box(page)).toHaveValue('被拒绝的话');
  await expect(link(page)).toHaveCount(0);
});

test('a warning that comes is acknowledged without a reload', async ({ host, guest }) => {
  const [star, ming] = [await host('小星'), await guest('阿明')];
  const page = await ming.open();
  await page.evaluate(() => {
    document.body.dataset.same = '';
  });
  await box(page).fill('草稿');
  await star.post('/gateway/mod/warn', { room: '1', user: ming.uid, reason: '请勿刷屏' });
  await page.getByRole('button', { name: '我知道了' }).click();
  await expect(box(page)).toBeVisible();
  await expect(box(page)).toHaveValue('草稿');
  await expect(page.locator('body')).toHaveAttribute('data-same', '');
});
