// The staff's script in a room: the bar on a row, keys, the sheet of a phone, the card, undo, the number of reports, and its weight.
import AxeBuilder from '@axe-core/playwright';
import type { Page } from '@playwright/test';
import { brotliCompressSync } from 'node:zlib';
import { expect, NO_LIMITS, test } from './fixtures';
import { act, appoint, bar, point, row, sheet, toast, trySend } from './moderator';
import { pill, texts } from './person';

test.use({ settings: NO_LIMITS });

/** Bytes of public/mod.js as brotli, of the release build. */
const MAX_SCRIPT_BYTES = 12_000;

test('a moderator removes, restores, times out and bans with the mouse', async ({ host, guest, visitor }) => {
  const star = await host('小星');
  const ben = await appoint(star, await visitor(), 'ben', '小李');
  const [rude, reader] = [await guest('Rude'), await guest('Reader')];
  await rude.tell('one', 'two', 'three');
  const [page, seen] = [await ben.open(), await reader.open()];
  await expect(texts(seen)).toHaveText(['one', 'two', 'three']);

  await point(page, 2);
  await bar(page).locator('[data-act=remove]').click();
  await expect(row(page, 2)).toHaveClass(/line--removed/);
  await expect(row(seen, 2)).toHaveClass(/line--removed/);
  await expect(row(seen, 2)).not.toContainText('two');
  await toast(page).getByRole('button').click();
  await expect(row(seen, 2)).toContainText('two');
  await expect(row(page, 2)).toContainText('two');

  await point(page, 3);
  await bar(page).locator('[data-act=timeout]').click();
  await expect(toast(page)).toContainText('Rude');
  expect(await trySend(rude, 'four')).toBe('muted');
  await toast(page).getByRole('button').click();
  await expect.poll(() => trySend(rude, 'four')).toBe('sent');

  // A line that comes moves the rows under the mouse.
  await expect(row(page, 4)).toContainText('four');
  await point(page, 3);
  await bar(page).locator('[data-act=more]').click();
  await sheet(page).getByRole('button', { name: '封禁' }).click();
  // A ban asks once more.
  expect(await trySend(rude, 'five')).toBe('sent');
  await sheet(page).getByLabel('理由').fill('spam');
  await sheet(page).getByRole('button', { name: '封禁' }).click();
  await expect(toast(page)).toContainText('Rude');
  expect(await trySend(rude, 'six')).toBe('banned');

  // It was held while the sheet was open.
  await expect(row(page, 5)).toContainText('five');
  await point(page, 1);
  await bar(page).locator('[data-act=person]').click();
  await expect(sheet(page)).toContainText('封禁 · 无期限');
  await expect(sheet(page).locator('.said')).toHaveCount(5);
  await sheet(page).getByRole('button', { name: '解除' }).click();
  await expect.poll(() => trySend(rude, 'six')).toBe('sent');
});

test('the keyboard alone removes, restores, times out, bans and opens the card', async ({ host, guest }) => {
  const star = await host('小星');
  const rude = await guest('Rude');
  await rude.tell('one', 'two', 'three');
  const page = await star.open();
  await page.locator('.list__scroller').focus();
  await page.keyboard.press('Enter');
  await expect(row(page, 3).locator('a.line__time')).toBeFocused();
  await page.keyboard.press('k');
  await page.keyboard.press('ArrowUp');
  await page.keyboard.press('j');
  await expect(row(page, 2).locator('a.line__time')).toBeFocused();
  await page.keyboard.press('d');
  await expect(row(page, 2)).toHaveClass(/line--removed/);
  // The row was rendered anew and keeps the focus.
  await expect(row(page, 2).locator('a.line__time')).toBeFocused();
  await page.keyboard.press('u');
  await expect(row(page, 2)).toContainText('two');
  await expect(row(page, 2).locator('a.line__time')).toBeFocused();

  await page.keyboard.press('t');
  await expect(toast(page)).toContainText('1 ');
  await page.keyboard.press('1');
  await expect(toast(page)).toContainText('Rude');
  expect(await trySend(rude, 'four')).toBe('muted');
  await page.keyboard.press('u');
  await expect.poll(() => trySend(rude, 'four')).toBe('sent');

  await page.keyboard.press('b');
  expect(await trySend(rude, 'five')).toBe('sent');
  await page.keyboard.press('Enter');
  await expect.poll(() => trySend(rude, 'six')).toBe('banned');
  await page.keyboard.press('c');
  await expect(sheet(page)).toContainText('Rude');
  await page.keyboard.press('Escape');
  await expect(sheet(page)).toHaveCount(0);
  await page.keyboard.press('w');
  await page.keyboard.type('calm down');
  await page.keyboard.press('Enter');
  await expect(sheet(page)).toHaveCount(0);
  await expect(toast(page)).toContainText('Rude');
  await page.keyboard.press('?');
  await expect(sheet(page).locator('kbd')).toHaveCount(11);
  await page.keyboard.press('Escape');
  // In the text box the same keys are letters.
  await page.locator('.composer__text').fill('');
  await page.locator('.composer__text').focus();
  await page.keyboard.type('dub');
  await expect(page.locator('.composer__text')).toHaveValue('dub');
  await expect(row(page, 3)).not.toHaveClass(/line--removed/);
});

test('an armed ban ends with the focus, a click, Escape and time, and hits nobody else', async ({ host, guest }) => {
  const star = await host('小星');
  const [rude, kind] = [await guest('Rude'), await guest('Kind')];
  await rude.tell('one');
  await kind.tell('two');
  const page = await star.open();
  await page.clock.install();
  const link = (seq: number) => row(page, seq).locator('a.line__time');
  const disarmers = [
    () => page.keyboard.press('ArrowDown'),
    () => row(page, 2).click({ position: { x: 20, y: 10 } }),
    () => page.keyboard.press('Escape'),
    () => page.clock.runFor(9_000),
  ];
  for (const disarm of disarmers) {
    await link(1).focus();
    await page.keyboard.press('b');
    await page.clock.runFor(100);
    await expect(toast(page)).toContainText('Rude');
    await disarm();
    await expect(toast(page)).toHaveCount(0);
    await link(1).focus();
    // Without an armed act Enter opens the menu.
    await page.keyboard.press('Enter');
    await expect(sheet(page)).toBeVisible();
    await page.keyboard.press('Escape');
    await expect(sheet(page)).toHaveCount(0);
  }
  expect(await trySend(rude, 'three')).toBe('sent');
  expect(await trySend(kind, 'four')).toBe('sent');
});

test('a refusal is shown in the dialog, which keeps the text and closes when the act is done', async ({ host, guest }) => {
  const star = await host('小星');
  const rude = await guest('Rude');
  await rude.tell('one');
  const page = await star.open();
  await row(page, 1).locator('a.line__time').focus();
  await page.keyboard.press('w');
  await page.keyboard.type('calm down');
  await page.route('**/gateway/mod/warn', (route) => route.fulfill({ status: 403, json: { status: false, code: 'not_allowed', message: '不行' } }));
  await page.keyboard.press('Enter');
  await expect(sheet(page).getByRole('alert')).toHaveText('不行');
  await expect(sheet(page).getByRole('textbox')).toHaveValue('calm down');
  // A click beside the dialog would lose the text.
  await page.mouse.click(5, 5);
  await expect(sheet(page)).toBeVisible();
  await page.unroute('**/gateway/mod/warn');
  await sheet(page).locator('button[type=submit]').click();
  await expect(sheet(page)).toHaveCount(0);
  expect(await trySend(rude, 'two')).toBe('muted');
});

test('the host’s row offers a moderator no act on the host', async ({ host, guest, visitor }) => {
  const star = await host('小星');
  const ben = await appoint(star, await visitor(), 'ben', '小李');
  await star.tell('one');
  await (await guest('Rude')).tell('two');
  const page = await ben.open();
  await point(page, 1);
  await expect(bar(page).locator('[data-act=remove]')).toBeHidden();
  await point(page, 2);
  await expect(bar(page).locator('[data-act=remove]')).toBeVisible();
});

test('the feed stands still under the bar, a focused row and Alt, and counts on', async ({ host, guest }) => {
  const star = await host('小星');
  const anna = await guest('Anna');
  await anna.tell('one', 'two');
  const page = await star.open();
  await point(page, 1);
  await bar(page).hover();
  await anna.tell('three', 'four');
  await expect(pill(page)).toContainText('2');
  await expect(texts(page)).toHaveText(['one', 'two']);
  await page.mouse.move(1, 1);
  await expect(texts(page)).toHaveText(['one', 'two', 'three', 'four']);
  await expect(pill(page)).toHaveCount(0);

  await row(page, 2).locator('a.line__time').focus();
  await anna.tell('five');
  await expect(pill(page)).toContainText('1');
  await expect(texts(page)).toHaveCount(4);
  await page.locator('.composer__text').focus();
  await expect(texts(page)).toHaveCount(5);

  await page.keyboard.down('Alt');
  await anna.tell('six');
  await expect(pill(page)).toContainText('1');
  await expect(texts(page)).toHaveCount(5);
  await page.keyboard.up('Alt');
  await expect(texts(page)).toHaveCount(6);
});

test('a phone: a tap opens a sheet with targets of 48 px, destructive ones last and not beside Reply', async ({ host, guest }) => {
  const star = await host('小星', { viewport: { width: 360, height: 740 }, hasTouch: true, isMobile: true });
  await (await guest('Rude')).tell('one', 'two');
  const page = await star.open();
  await row(page, 2).tap({ position: { x: 30, y: 10 } });
  await expect(sheet(page)).toContainText('two');
  const items = sheet(page).locator('.sheet__item');
  for (const item of await items.all()) expect((await item.boundingBox())!.height).toBeGreaterThanOrEqual(48);
  const names = await items.allInnerTexts();
  const danger = await items.evaluateAll((all) => all.map((item) => item.classList.contains('sheet__item--danger')));
  const first = danger.indexOf(true);
  expect(first).toBeGreaterThan(names.indexOf('回复') + 1);
  expect(danger.slice(first, -1)).toEqual(danger.slice(first, -1).map(() => true));
  const box = (await sheet(page).boundingBox())!;
  expect(Math.round(box.x + box.width)).toBe(360);
  await items.getByText('移除', { exact: true }).or(items.filter({ hasText: /^移除$/ })).first().tap();
  await expect(row(page, 2)).toHaveClass(/line--removed/);
  await expect(row(page, 1)).not.toHaveClass(/line--removed/);
});

test('a revoked moderator is refused with a sentence', async ({ host, guest, visitor }) => {
  const star = await host('小星');
  const ben = await appoint(star, await visitor(), 'ben', '小李');
  await (await guest('Anna')).tell('one');
  const page = await ben.open();
  await star.post('/gateway/mod/role', { room: '1', user: ben.uid, role: 'none' });
  await point(page, 1);
  await bar(page).locator('[data-act=remove]').click();
  await expect(toast(page)).toBeVisible();
  await expect(toast(page).getByRole('button')).toHaveCount(0);
  await expect(row(page, 1)).toContainText('one');
  await expect(row(page, 1)).not.toHaveClass(/leaving/);
});

test('reports are counted on the button of the staff while the page is open', async ({ host, guest }) => {
  const star = await host('小星');
  const [anna, ben] = [await guest('Anna'), await guest('Ben')];
  await anna.tell('one', 'two');
  const page = await star.open();
  const counter = page.locator('[data-staff-count]');
  await expect(counter).toBeHidden();
  await ben.post('/gateway/report', { room: '1', seq: '1', reason: 'spam' });
  await expect(counter).toHaveText('1');
  await point(page, 1);
  await bar(page).locator('[data-act=remove]').click();
  await expect(counter).toBeHidden();
});

test('the script weighs at most 12 kB, and a viewer loads none of it', async ({ host, guest }) => {
  const [star, anna] = [await host('小星'), await guest('Anna')];
  const asked: string[] = [];
  anna.page.on('request', (request) => asked.push(new URL(request.url()).pathname));
  await anna.open();
  expect(asked.filter((path) => path.includes('/mod.'))).toEqual([]);
  expect(await anna.page.content()).not.toContain('data-staff');
  const page = await star.open();
  const url = await page.locator('script[data-staff]').getAttribute('src');
  const bytes = brotliCompressSync(await (await star.context.request.get(url!)).body()).length;
  console.log(`${bytes} bytes of ${MAX_SCRIPT_BYTES}: ${url}`);
  expect(bytes).toBeLessThanOrEqual(MAX_SCRIPT_BYTES);
});

async function expectNoViolations(page: Page): Promise<void> {
  const { violations, passes } = await new AxeBuilder({ page }).analyze();
  expect(passes.length).toBeGreaterThan(10);
  expect(violations.flatMap(({ id, nodes }) => nodes.map((node) => `${id}: ${node.html.slice(0, 160)} ${node.failureSummary}`)), page.url()).toEqual([]);
}

for (const colorScheme of ['light', 'dark'] as const) {
  test(`axe finds nothing on the pages of the staff, ${colorScheme}`, async ({ host, guest, visitor }) => {
    test.slow();
    const star = await host('小星', { colorScheme });
    await appoint(star, await visitor(), 'ben', '小李');
    const anna = await guest('Anna');
    await anna.tell('one', 'two', 'three', 'four');
    await star.tell('five');
    await (await guest('Eve')).post('/gateway/report', { room: '1', seq: '2', reason: 'other' });
    await star.post('/gateway/mod/remove', { room: '1', seq: '3' });
    await star.post('/gateway/mod/note', { room: '1', user: anna.uid, text: 'a note' });
    await star.post('/gateway/mod/warn', { room: '1', user: anna.uid, reason: 'calm down' });
    const { page } = star;
    await page.goto('/rooms/1/messages/2');
    await act(page, 'timeout').getByRole('button').click();
    await expect(page.locator('.outcome')).toBeVisible();
    await expectNoViolations(page);
    for (const path of ['/rooms/1/messages/3', '/rooms/1/moderate']) {
      await page.goto(path);
      await expectNoViolations(page);
    }
    await star.open();
    await point(page, 2);
    await expectNoViolations(page);
    await bar(page).locator('[data-act=more]').click();
    await expect(sheet(page)).toBeVisible();
    await expectNoViolations(page);
    await page.keyboard.press('Escape');
    await point(page, 2);
    await bar(page).locator('[data-act=person]').click();
    await expect(sheet(page).locator('.facts')).toBeVisible();
    await expectNoViolations(page);
    await page.keyboard.press('Escape');
    await row(page, 4).locator('a.line__time').focus();
    await page.keyboard.press('?');
    await expect(sheet(page).locator('kbd').first()).toBeVisible();
    await expectNoViolations(page);
  });
}
