// The form of a line: direction, copying, height, time. It is the same with and without JavaScript.
import type { Page } from '@playwright/test';
import { expect, NO_LIMITS, test } from './fixtures';
import { line, lines } from './person';

test.use({ settings: NO_LIMITS });

/** Returns the parts of a line from the left: the middle of each part's first box, in pixels. */
const places = (page: Page, text: string) =>
  line(page, text).evaluate((row) =>
    ['.line__nickname', '.line__colon', '.line__text'].map((part) => {
      const { left, width } = row.querySelector(part)!.getBoundingClientRect();
      return left + width / 2;
    }),
  );

test('B06: names and texts of any direction stand in their order, each by itself', async ({ guest }) => {
  const [dani, bob, salma] = [await guest('דניאל'), await guest('Bob'), await guest('سلمى')];
  await dani.tell('123 likes');
  await bob.tell('שלום לכולם 5');
  await salma.tell('كيف الحال؟');
  const page = await bob.open();
  for (const text of ['123 likes', 'שלום לכולם 5', 'كيف الحال؟']) {
    const [name, colon, words] = await places(page, text);
    expect(name!, text).toBeLessThan(colon!);
    expect(colon!, text).toBeLessThan(words!);
    for (const part of ['.line__nickname', '.line__text']) await expect(line(page, text).locator(part)).toHaveCSS('unicode-bidi', 'isolate');
  }
  // The question mark ends a right-to-left text, so it is at its left.
  await expect(line(page, 'كيف الحال؟').locator('.line__text')).toHaveCSS('direction', 'rtl');
  await expect(line(page, '123 likes').locator('.line__text')).toHaveCSS('direction', 'ltr');
});

test('P32: a text that has no room beside a long name begins in the next row, whole', async ({ guest }) => {
  const [ming, anna] = [await guest('阿明', { viewport: { width: 360, height: 600 } }), await guest('LongNicknameThatGoesOnAndOnFor32')];
  await anna.tell('unbroken');
  const page = await ming.open();
  const rows = await line(page, 'unbroken').locator('.line__text').evaluate((text) => text.getClientRects().length);
  expect(rows).toBe(1);
  await expect(line(page, 'unbroken')).toContainText('LongNicknameThatGoesOnAndOnFor32 : unbroken');
});

test('B07: copied lines read as they are pushed, and no time is glued to the text', async ({ host, guest }) => {
  const [star, bob] = [await host('Star'), await guest('Bob')];
  await star.tell('hello');
  await bob.tell('code 48', 'https://example.com/a');
  const page = await bob.open();
  await line(page, 'code 48').hover();
  const copied = await page.evaluate(() => {
    getSelection()!.selectAllChildren(document.querySelector('.list__lines')!);
    return getSelection()!.toString();
  });
  const rows = copied.split('\n').map((row) => row.trim()).filter(Boolean);
  // Without scripts a link that reloads the page follows.
  const first = rows.indexOf('[主播]Star : hello');
  expect(rows.slice(first, first + 3)).toEqual(['[主播]Star : hello', 'Bob : code 48', 'Bob : https://example.com/a']);
  // Other programs read the markup: the time has a blank before it.
  expect(await line(page, 'code 48').textContent()).toMatch(/code 48 \d\d:\d\d$/);
});

for (const width of [320, 360, 1280]) {
  test(`P5, B59: no message is higher than six rows at ${width} px`, async ({ guest }) => {
    const [ming, anna] = [await guest('阿明', { viewport: { width, height: 600 } }), await guest('W'.repeat(32))];
    const texts = ['.\n'.repeat(70), '字'.repeat(140), '﷽'.repeat(140), 'Z' + '\u0301\u0316'.repeat(60), '🏳️‍🌈'.repeat(100), 'w'.repeat(140)];
    await anna.tell(...texts);
    const page = await ming.open();
    await expect(lines(page)).toHaveCount(texts.length);
    const clamps = await page.evaluate(() => matchMedia('(scripting: enabled)').matches);
    for (const row of await lines(page).all()) {
      const { height } = (await row.boundingBox())!;
      // Nothing could open a line without JavaScript: there it is as high as its words, and line breaks make no rows.
      if (clamps) expect(height).toBeLessThanOrEqual(126);
    }
    expect((await lines(page).first().boundingBox())!.height, 'line breaks are blanks').toBeLessThanOrEqual(126);
    expect((await lines(page).nth(3).boundingBox())!.height, 'combining marks make no rows').toBeLessThanOrEqual(66);
  });
}

test('P32: the time stands in the row only under the pointer; a silence of five minutes has its time', async ({ guest, javaScriptEnabled }) => {
  const ming = await guest('阿明');
  await ming.tell('一', '二');
  const page = await ming.open();
  const time = line(page, '一').locator('.line__time');
  // Without the script it is always there: it leads to the message's page, which has the acts.
  await expect(time).toHaveCSS('opacity', javaScriptEnabled === false ? '1' : '0');
  await expect(time.locator('time')).toHaveAttribute('datetime', /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
  const { height } = (await line(page, '一').boundingBox())!;
  expect(height).toBe(javaScriptEnabled === false ? 27 : 26);
  await line(page, '一').hover();
  await expect(time).toHaveCSS('opacity', '1');
  expect((await line(page, '一').boundingBox())!.height).toBe(height);
  await page.locator('.list').evaluate((list) => list.classList.add('list--times'));
  await expect(line(page, '二').locator('.line__time')).toHaveCSS('opacity', '1');
});
