// The layout of small, zoomed and printed windows: text box and lines stay, and nothing is wider than the window.
import type { Page } from '@playwright/test';
import { expect, NO_LIMITS, test } from './fixtures';
import { box, line, numbers, openMenu } from './person';

test.use({ settings: NO_LIMITS });

const height = (page: Page, selector: string) => page.locator(selector).evaluate((element) => element.getBoundingClientRect().height);

async function expectNothingBeyondTheEdge(page: Page): Promise<void> {
  const out = await page.evaluate(() =>
    [...document.body.querySelectorAll('*')]
      .filter((element) => {
        const { left, right, width, height } = element.getBoundingClientRect();
        const clip = getComputedStyle(element).clipPath;
        return width > 1 && height > 1 && clip === 'none' && (left < -0.5 || right > innerWidth + 0.5);
      })
      .map((element) => element.outerHTML.slice(0, 120)),
  );
  expect(out, page.url()).toEqual([]);
}

for (const [width, tall, bar, list, why] of [
  [320, 256, 36, 130, '400 %'],
  [640, 400, 36, 260, '200 %'],
  [740, 170, 0, 60, 'a phone on its side, with its keyboard'],
  [320, 600, 44, 460, 'a frame'],
  [1280, 800, 44, 600, 'a desk'],
] as const) {
  test(`P16 B15: ${width} by ${tall}, ${why}: one bar, lines, and the whole text box`, async ({ guest }) => {
    const ming = await guest('名字很长的阿明', { viewport: { width, height: tall } });
    await ming.tell('短', '字'.repeat(140), '最后一句');
    const page = await ming.open();
    expect(await page.locator('.top-bar').count()).toBe(0);
    expect(await height(page, '.chat__head')).toBe(bar);
    expect(await height(page, '.list__scroller')).toBeGreaterThanOrEqual(list);
    await expect(box(page)).toBeInViewport({ ratio: 1 });
    await expect(line(page, '最后一句')).toBeInViewport({ ratio: 0.9 });
    expect(await page.evaluate(() => document.documentElement.scrollHeight - innerHeight)).toBeLessThanOrEqual(0);
    await expectNothingBeyondTheEdge(page);
    if (bar === 0) return;
    await openMenu(page);
    const sheet = await page.locator('.menu__sheet').evaluate((element) => element.getBoundingClientRect());
    expect(sheet.bottom).toBeLessThanOrEqual(tall);
    await expectNothingBeyondTheEdge(page);
  });
}

for (const size of [24, 32]) {
  test(`B56: letters of ${size} px leave nothing beyond the edge of a phone`, async ({ host, guest, visitor }) => {
    const phone = { viewport: { width: 360, height: 740 } };
    const [star, ming] = [await host('名字很长的小星', phone), await guest('W'.repeat(32), phone)];
    for (const locale of ['zh-CN', 'en-US']) {
      const nobody = await visitor({ ...phone, locale });
      for (const { page } of [star, ming, nobody]) {
        for (const path of ['/', '/rooms/1', '/nowhere']) {
          await page.goto(path);
          await page.evaluate((px) => document.documentElement.style.setProperty('font-size', `${px}px`), size);
          await expectNothingBeyondTheEdge(page);
          await openMenu(page);
          await expectNothingBeyondTheEdge(page);
        }
      }
    }
  });
}

test('P16: while a phone\'s keyboard covers the page, the room is as high as the rest', async ({ guest }) => {
  const ming = await guest('阿明', { viewport: { width: 390, height: 800 } });
  await ming.context.addInitScript(() => {
    const viewport = Object.assign(new EventTarget(), { height: 800, scale: 1 });
    Object.defineProperty(window, 'visualViewport', { value: viewport });
  });
  const page = await ming.open();
  const resize = (tall: number, scale: number) =>
    page.evaluate(
      ([height, zoom]) => {
        Object.assign(window.visualViewport as object, { height, scale: zoom });
        window.visualViewport?.dispatchEvent(new Event('resize'));
      },
      [tall, scale],
    );
  await resize(460, 1);
  expect(await height(page, '.room')).toBe(460);
  await resize(400, 2);
  expect(await height(page, '.room'), 'a reader who zooms in keeps the page').toBe(800);
  await resize(800, 1);
  expect(await height(page, '.room')).toBe(800);
});

test('B13: a printed room has every line that the page holds, dark on white, and nothing to press', async ({ guest }) => {
  const ming = await guest('阿明', { colorScheme: 'dark' });
  await ming.tell(numbers(1, 30).join('\n'), ...numbers(101, 140));
  const page = await ming.open();
  await expect(line(page, '140')).toBeVisible();
  await page.emulateMedia({ media: 'print', colorScheme: 'dark' });
  for (const hidden of ['.composer', '.room__bar', '.list__pill']) {
    for (const element of await page.locator(hidden).all()) await expect(element).toBeHidden();
  }
  const { scroller, content, page: whole } = await page.evaluate(() => {
    const list = document.querySelector('.list__scroller');
    const lines = document.querySelector('.list__lines');
    return { scroller: list?.clientHeight ?? 0, content: lines?.scrollHeight ?? 1e9, page: document.documentElement.scrollHeight };
  });
  expect(scroller).toBeGreaterThanOrEqual(content);
  expect(whole).toBeGreaterThan(scroller);
  expect(await page.locator('html').evaluate((root) => getComputedStyle(root).colorScheme)).toBe('light');
  await expect(page.locator('.chat__title')).toBeVisible();
});

test('B14: in a contrast theme every visible button of the panel has an edge', async ({ guest }) => {
  const ming = await guest('阿明', { forcedColors: 'active', viewport: { width: 320, height: 600 } });
  await ming.tell('字'.repeat(140));
  const page = await ming.open();
  await expect(page.locator('.line__more')).toBeVisible();
  await page.route('**/gateway/send', () => {});
  await ming.say('第一句');
  await ming.say('第二句');
  await expect(page.locator('.composer__disarm')).toBeVisible();
  const bare = await page.locator('.chat button:visible').evaluateAll((buttons) =>
    buttons.filter((button) => Number.parseFloat(getComputedStyle(button).borderTopWidth) < 1).map((button) => button.className),
  );
  expect(bare).toEqual([]);
});

test('B14: in a contrast theme buttons have edges and icons are visible', async ({ guest, visitor }) => {
  const ming = await guest('阿明', { forcedColors: 'active' });
  const page = await ming.open();
  await openMenu(page);
  const edge = (selector: string) => page.locator(selector).first().evaluate((element) => getComputedStyle(element).borderTopWidth);
  for (const selector of ['.composer__send', '.menu > summary', '.room__back', '.choice', '.menu__item:visible']) {
    expect(Number.parseFloat(await edge(selector)), selector).toBeGreaterThanOrEqual(1);
  }
  expect(await edge('.choice[aria-pressed="true"]')).toBe('2px');
  const fill = await page.locator('.menu > summary svg').evaluate((icon) => [getComputedStyle(icon).fill, getComputedStyle(document.body).backgroundColor]);
  expect(fill[0]).not.toBe(fill[1]);
  const nobody = await visitor({ forcedColors: 'active' });
  await nobody.page.goto('/');
  expect(await nobody.page.locator('.top-bar .quiet-button').evaluate((element) => getComputedStyle(element).borderTopWidth)).toBe('1px');
});
