// The lobby: rooms, pages, search; people's words beside others'.
import { expect, test } from './fixtures';

test('B22: a room below many newer ones is found by page and by search', async ({ visitor }) => {
  test.slow();
  const star = await visitor();
  await star.signIn('/session/register', { name: 'star', password: 'a long password', nickname: '小星' });
  for (let room = 0; room < 20; room++) await star.post('/gateway/rooms', { title: `午后 ${room}` });
  const { page } = await visitor();
  await page.goto('/');
  await page.getByRole('searchbox').fill('午后 7');
  await page.getByRole('button', { name: '搜索' }).click();
  await expect(page.locator('.room-card__title')).toHaveText(['午后 17', '午后 7']);
  await expect(page.getByRole('searchbox')).toHaveValue('午后 7');
  await page.getByRole('link', { name: '全部直播间' }).click();
  await expect(page.locator('.room-card')).toHaveCount(21);
});

test('B06: title and host of a room are read in their own direction', async ({ visitor }) => {
  const star = await visitor();
  await star.signIn('/session/register', { name: 'star', password: 'a long password', nickname: 'דניאל 123' });
  await star.post('/gateway/rooms', { title: '123 שלום' });
  const { page } = await visitor();
  await page.goto('/');
  const card = page.locator('.room-card').first();
  for (const words of ['123 שלום', 'דניאל 123']) await expect(card.locator('bdi').filter({ hasText: words })).toHaveCSS('unicode-bidi', 'isolate');
  // The digits stand where an isolated text of that direction puts them: right of the Hebrew word that follows them.
  const [digits, word] = await card.locator('.room-card__title bdi').evaluate((title) => {
    const text = title.firstChild as Text;
    const left = (start: number, end: number) => {
      const range = document.createRange();
      range.setStart(text, start);
      range.setEnd(text, end);
      return range.getBoundingClientRect().left;
    };
    return [left(0, 3), left(4, 8)];
  });
  expect(digits! > word!).toBe(true);
});

test('P21: the heading promises nothing', async ({ visitor }) => {
  const { page } = await visitor();
  await page.goto('/');
  await expect(page.getByRole('heading', { level: 1 })).toHaveText('直播间');
  await expect(page.locator('.room-card__live')).toHaveCount(0);
});
