// History: the newest messages first, older ones by scrolling, a fixed reading position, and the way back to the newest.
import type { Locator, Page } from '@playwright/test';
import { expect, NO_LIMITS, test } from './fixtures';
import { box, line, lines, numbers, pill, scroller, texts } from './person';

const FEW_PIXELS = 4;

test.use({ settings: NO_LIMITS });

/** Returns how many pixels a line moves, measured in every frame until `settled`. */
async function drift(watched: Locator, settled: () => Promise<void>): Promise<number> {
  await watched.evaluate((element) => {
    const places: number[] = [];
    const look = () => {
      places.push(element.isConnected ? element.getBoundingClientRect().top : Number.POSITIVE_INFINITY);
      requestAnimationFrame(look);
    };
    look();
    Object.assign(window, { places });
  });
  await settled();
  const places = await watched.page().evaluate(
    () => new Promise<number[]>((done) => requestAnimationFrame(() => setTimeout(() => done((window as unknown as { places: number[] }).places)))),
  );
  return Math.max(...places) - Math.min(...places);
}

/** The scroll position is 0 at the bottom and negative above; `below` returns the pixels below the reader. */
const scrollAbove = (page: Page, pixels: number) => scroller(page).evaluate((element, pixels) => (element.scrollTop = -pixels), pixels);
const below = (page: Page) => scroller(page).evaluate((element) => Math.abs(element.scrollTop));
const atTop = (page: Page) => scroller(page).evaluate((element) => (element.scrollTop = -element.scrollHeight));

test('the list starts with the newest 50 messages and fetches older ones on scrolling up, without a jump', async ({ guest }) => {
  const [ming, anna] = [await guest('阿明'), await guest('Anna')];
  await anna.tell(...numbers(1, 130));
  const page = await ming.open();
  await expect(lines(page)).toHaveCount(50);
  await expect(line(page, '130')).toBeInViewport();
  await expect(line(page, '81')).not.toBeInViewport();

  await scroller(page).hover();
  await page.mouse.wheel(0, -300);
  await expect(pill(page)).toHaveText('回到最新');
  await expect(lines(page), 'far from the top nothing is fetched').toHaveCount(50);

  for (const [from, read, top] of [[31, '85', 81], [1, '35', 31]] as const) {
    let answer = () => {};
    const held = new Promise<void>((done) => (answer = done));
    await page.route('**/gateway/history', async (route) => {
      await held;
      await route.continue();
    });
    const requested = page.waitForRequest('**/gateway/history');
    await atTop(page);
    await requested;
    await expect(line(page, String(top))).toBeInViewport();
    const moved = await drift(line(page, read), async () => {
      answer();
      await expect(lines(page)).toHaveCount(131 - from);
    });
    expect(moved).toBeLessThanOrEqual(FEW_PIXELS);
    await page.unroute('**/gateway/history');
  }
  expect(await texts(page).allTextContents()).toEqual(numbers(1, 130));
  await expect(page.locator('.list__edge')).toHaveText('没有更早的消息了');
});

test('the list stays bounded while the reader scrolls far up and down again', async ({ guest }) => {
  const [ming, anna] = [await guest('阿明'), await guest('Anna')];
  await anna.tell(...numbers(1, 420));
  const page = await ming.open();
  let most = 0;
  await expect(async () => {
    await atTop(page);
    most = Math.max(most, await lines(page).count());
    await expect(line(page, '1')).toBeInViewport({ timeout: 50 });
  }).toPass({ intervals: [50] });
  most = Math.max(most, await lines(page).count());
  expect(most).toBeGreaterThan(190);
  expect(most).toBeLessThanOrEqual(250);
  const first = Number(await texts(page).first().textContent());
  const last = Number(await texts(page).last().textContent());
  expect(last).toBeLessThan(420);
  expect(await texts(page).allTextContents()).toEqual(numbers(first, last));

  // Down again page by page: every message in between is fetched, in order.
  await expect(async () => {
    await scrollAbove(page, 60);
    await expect(line(page, '420')).toHaveCount(1, { timeout: 50 });
  }).toPass({ intervals: [50] });
  expect(await lines(page).count()).toBeLessThanOrEqual(250);
  const [top] = await texts(page).allTextContents();
  expect(await texts(page).allTextContents()).toEqual(numbers(Number(top), 420));
});

test('new messages do not move the line that is read; the pill counts them and jumps to the newest', async ({ guest }) => {
  const [ming, anna] = [await guest('阿明'), await guest('Anna')];
  await anna.tell(...numbers(1, 60));
  const page = await ming.open();
  await scrollAbove(page, 400);
  await expect(pill(page)).toHaveText('回到最新');
  const read = line(page, '40');
  await expect(read).toBeInViewport();

  const moved = await drift(read, async () => {
    for (const [text, count] of [['61', '1'], ['62', '2'], ['63', '3']] as const) {
      await anna.tell(text);
      await expect(pill(page)).toHaveText(`${count} 条新消息`);
    }
    await expect(line(page, '63')).toHaveCount(1);
  });
  expect(moved).toBeLessThanOrEqual(FEW_PIXELS);
  await expect(line(page, '63')).not.toBeInViewport();

  await pill(page).click();
  await expect(pill(page)).toHaveCount(0);
  await expect(line(page, '63')).toBeInViewport();
  await anna.tell(...numbers(64, 66));
  await expect(line(page, '66')).toBeInViewport();
  await expect(pill(page)).toHaveCount(0);
  expect(await below(page)).toBe(0);
});

test('from far above, the pill jumps to the newest message', async ({ guest }) => {
  const [ming, anna] = [await guest('阿明'), await guest('Anna')];
  await anna.tell(...numbers(1, 320));
  const page = await ming.open();
  await expect(async () => {
    await atTop(page);
    await expect(line(page, '1')).toBeInViewport({ timeout: 50 });
  }).toPass({ intervals: [50] });
  await expect(line(page, '320'), 'the newest messages left the window').toHaveCount(0);
  await anna.tell('321');
  await pill(page).click();
  await expect(line(page, '321')).toBeInViewport();
  await expect(pill(page)).toHaveCount(0);
  await anna.tell('322');
  await expect(line(page, '322')).toBeInViewport();
  await expect(page.locator('.list__gap')).toHaveCount(0);
});

test('sending while scrolled up jumps to the sent message', async ({ guest }) => {
  const [ming, anna] = [await guest('阿明'), await guest('Anna')];
  await anna.tell(...numbers(1, 60));
  const page = await ming.open();
  await scrollAbove(page, 400);
  await expect(pill(page)).toBeVisible();
  await ming.say('我说一句');
  await expect(box(page)).toHaveValue('');
  await expect(line(page, '我说一句')).toBeInViewport();
  await expect(pill(page)).toHaveCount(0);
});

test('the list stays bounded while the reader follows a busy room', async ({ guest }) => {
  const [ming, anna] = [await guest('阿明'), await guest('Anna')];
  await anna.tell(...numbers(1, 50));
  const page = await ming.open();
  await anna.tell(...numbers(51, 330));
  await expect(line(page, '330')).toBeInViewport();
  const held = await texts(page).allTextContents();
  expect(held.length).toBeLessThanOrEqual(250);
  expect(held).toEqual(numbers(331 - held.length, 330));
});
