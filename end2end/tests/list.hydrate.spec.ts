// The list around its messages: nothing over it moves it, gaps fill themselves, focus and title, screen readers, later versions.
import type { Page } from '@playwright/test';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, NO_LIMITS, test } from './fixtures';
import { box, line, lines, link, numbers, pill, scroller, texts } from './person';

test.use({ settings: NO_LIMITS });

const scrollAbove = (page: Page, pixels: number) => scroller(page).evaluate((element, pixels) => (element.scrollTop = -pixels), pixels);

test('P10: the reader above the bottom is moved by nothing that the page itself does', async ({ server, guest }) => {
  const [ming, anna] = [await guest('阿明', { viewport: { width: 360, height: 640 } }), await guest('Anna')];
  await anna.tell(...numbers(1, 60));
  const page = await ming.open();
  await scrollAbove(page, 400);
  await expect(pill(page)).toBeVisible();
  // The line in the middle is the one that is read: its neighbours move when lines get another height.
  const middle = await scroller(page).evaluate((list) => {
    const { left, top, height } = list.getBoundingClientRect();
    return document.elementFromPoint(left + 100, top + height / 2)!.closest('li')!.querySelector('.line__text')!.textContent!;
  });
  const read = line(page, middle);
  const { y } = (await read.boundingBox())!;
  // A browser scrolls by whole pixels, so a height of 20.5 px leaves a half.
  // The page answers a new height in the frame that shows it.
  const expectStill = async (cause: string, less = 1) => {
    await page.evaluate(() => new Promise((shown) => requestAnimationFrame(() => requestAnimationFrame(shown))));
    expect(Math.abs((await read.boundingBox())!.y - y), cause).toBeLessThan(less);
  };

  await box(page).fill(Array.from({ length: 5 }, () => 'grows').join('\n'));
  await expectStill('the box grows');
  await box(page).fill('');
  await expectStill('the box shrinks');
  await page.setViewportSize({ width: 360, height: 560 });
  await expectStill('a keyboard opens');
  await page.setViewportSize({ width: 360, height: 640 });
  await expectStill('a keyboard closes');
  await page.evaluate(() => {
    const sheet = new CSSStyleSheet();
    sheet.replaceSync('.line { letter-spacing: 0.02em; padding-block: 5px }');
    document.adoptedStyleSheets = [sheet];
  });
  await expect.poll(async () => (await read.boundingBox())!.height).toBe(30);
  await expectStill('a font arrives', 2);
  const { y: now } = (await read.boundingBox())!;
  await server.kill();
  await expect(link(page)).toBeVisible();
  expect((await read.boundingBox())!.y, 'the connection is lost').toBe(now);
  const above = (await scroller(page).boundingBox())!;
  const over = (await link(page).boundingBox())!;
  expect(over.y, 'the state lies over the list').toBeGreaterThanOrEqual(above.y);
  expect(over.y + over.height).toBeLessThan(above.y + 60);
});

test('P26: a gap fills itself when the reader comes near, page after page', async ({ server, guest }) => {
  test.slow();
  const [ming, anna] = [await guest('阿明'), await guest('Anna')];
  await anna.tell('0');
  const page = await ming.open();
  await expect(texts(page)).toHaveText(['0']);
  let away = true;
  await page.route('**/gateway/bind', (route) => (away ? route.abort() : route.continue()));
  await server.kill();
  await server.start();
  await anna.tell(...numbers(1, 350));
  let asked = 0;
  await page.route('**/gateway/history', (route) => {
    asked += 1;
    return route.continue();
  });
  away = false;
  await expect(page.locator('.list__gap')).toHaveText('150 条消息未加载 · 加载', { timeout: 25_000 });
  expect(asked, 'far from the gap nothing is asked for').toBe(0);
  await page.locator('.list__gap button').focus();
  await expect(page.locator('.list__gap')).toHaveCount(0);
  expect(asked).toBe(2);
  await expect(scroller(page), 'the button that went had the focus').toBeFocused();
  expect(await texts(page).allTextContents()).toEqual(numbers(0, 350));
});

test('P33: the pill caps its number, covers no last line, and gives the focus to the list', async ({ guest }) => {
  test.slow();
  const [ming, anna] = [await guest('阿明'), await guest('Anna')];
  await anna.tell(...numbers(1, 60));
  const page = await ming.open();
  await scrollAbove(page, 400);
  await anna.tell(...numbers(61, 165));
  await expect(pill(page)).toHaveText('99+ 条新消息');
  expect((await pill(page).boundingBox())!.height).toBe(36);
  const list = (await scroller(page).boundingBox())!;
  const { y, height } = (await pill(page).boundingBox())!;
  expect(list.y + list.height - y - height).toBe(8);
  await pill(page).focus();
  await page.keyboard.press('Enter');
  await expect(pill(page)).toHaveCount(0);
  await expect(scroller(page)).toBeFocused();
  await expect(line(page, '165')).toBeInViewport();
  for (const above of [20, 40, 44, 45, 60]) {
    await scrollAbove(page, above);
    await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));
    const last = (await line(page, '165').boundingBox())!;
    const isWhole = last.y + last.height <= list.y + list.height;
    expect(isWhole && (await pill(page).count()) > 0, `the pill is over the last line, ${above} px above the bottom`).toBe(false);
  }
});

test('P34: the title of the tab counts the unread messages while it is hidden or the reader is above', async ({ guest }) => {
  const [ming, anna] = [await guest('阿明'), await guest('Anna')];
  await anna.tell(...numbers(1, 60));
  const page = await ming.open();
  const title = await page.title();
  await scrollAbove(page, 400);
  await expect(pill(page)).toBeVisible();
  await anna.tell('61', '62', '63');
  await expect(page).toHaveTitle(`(3) ${title}`);
  await pill(page).click();
  await expect(page).toHaveTitle(title);
  await page.evaluate(() => {
    Object.defineProperty(document, 'hidden', { configurable: true, get: () => true });
    document.dispatchEvent(new Event('visibilitychange', { bubbles: true }));
  });
  await anna.tell('64');
  await expect(page).toHaveTitle(`(1) ${title}`);
  await page.evaluate(() => {
    Object.defineProperty(document, 'hidden', { configurable: true, get: () => false });
    document.dispatchEvent(new Event('visibilitychange', { bubbles: true }));
  });
  await expect(page).toHaveTitle(title);
});

test('P34: the title of a tab that was opened in the background counts', async ({ guest }) => {
  const [ming, anna] = [await guest('阿明'), await guest('Anna')];
  await ming.page.addInitScript(() => Object.defineProperty(document, 'hidden', { configurable: true, get: () => true }));
  const page = await ming.open();
  const title = await page.title();
  await anna.tell('1');
  await expect(page).toHaveTitle(`(1) ${title}`);
});

test('P4: lines follow the person when the session ends in place', async ({ guest }) => {
  const ming = await guest('阿明');
  await ming.tell('自己说的');
  const page = await ming.open();
  await expect(line(page, '自己说的')).toHaveClass(/line--mine/);
  await ming.post('/session/logout', {});
  await expect(page.locator('.composer__nickname')).toBeVisible();
  await expect(line(page, '自己说的')).not.toHaveClass(/line--mine/);
});

for (const viewport of [{ width: 360, height: 600 }, { width: 1280, height: 600 }]) {
  test(`P32: eighteen one-row lines fit into 600 px, ${viewport.width} px wide`, async ({ guest }) => {
    const [ming, anna] = [await guest('阿明', { viewport }), await guest('Anna')];
    await anna.tell(...numbers(1, 30));
    const page = await ming.open();
    await expect(texts(page)).toHaveCount(30);
    const view = (await scroller(page).boundingBox())!;
    const boxes = await lines(page).evaluateAll((all) => all.map((row) => row.getBoundingClientRect()).map(({ top, bottom }) => [top, bottom] as const));
    const whole = boxes.filter(([top, bottom]) => top >= view.y && bottom <= view.y + view.height);
    expect(whole.length).toBeGreaterThanOrEqual(18);
  });
}

test('P18: a screen reader hears a burst as a digest, the same words twice, and that the own message was sent', async ({ guest }) => {
  const [ming, anna] = [await guest('Ming', { locale: 'en-US' }), await guest('Anna')];
  const page = await ming.open();
  await page.evaluate(() => {
    const heard: string[] = [];
    const region = document.querySelector('.list [aria-live=polite]')!;
    new MutationObserver(() => region.textContent && heard.push(region.textContent)).observe(region, { childList: true, subtree: true, characterData: true });
    Object.assign(window, { heard });
  });
  const heard = () => page.evaluate(() => (window as unknown as { heard: string[] }).heard);
  await Promise.all(numbers(1, 7).map((text) => anna.tell(text)));
  await expect.poll(async () => (await heard())[0]).toMatch(/^\nAnna: \d\nAnna: \d\nAnna: \d\nand 4 more$/);
  await anna.tell('again');
  await expect.poll(heard).toHaveLength(2);
  await anna.tell('again');
  await expect.poll(heard).toEqual([expect.stringContaining('and 4 more'), '\nAnna: again', '\nAnna: again']);
  await ming.say('mine');
  await expect.poll(async () => (await heard()).at(-1)).toBe('Sent');
  await expect(line(page, 'mine').locator('.line__you')).toHaveText('You');
});

test('P5: a long line opens and closes by its button, which keeps the focus', async ({ guest }) => {
  const [ming, anna] = [await guest('阿明', { viewport: { width: 320, height: 600 } }), await guest('Anna')];
  await anna.tell('字'.repeat(140), '短', '不长的一行，可是比四十八个字节要长一些，没有按钮');
  const page = await ming.open();
  const more = page.locator('.line__more:visible');
  await expect(more).toHaveCount(1);
  await expect(more).toHaveText('展开');
  await more.focus();
  await page.keyboard.press('Enter');
  await expect(more).toHaveText('收起');
  await expect(more).toHaveAttribute('aria-expanded', 'true');
  await expect(more).toBeFocused();
  expect((await lines(page).first().boundingBox())!.height).toBeGreaterThan(126);
  await page.keyboard.press('Enter');
  await expect(more).toHaveText('展开');
  await expect.poll(async () => (await lines(page).first().boundingBox())!.height).toBe(126);
  // On a wide page nothing is cut.
  await page.setViewportSize({ width: 1280, height: 600 });
  await expect(more).toHaveCount(0);
});

test('an empty room shows its title and that nobody has spoken', async ({ guest }) => {
  const ming = await guest('阿明');
  const page = await ming.open();
  await expect(page.locator('.list__empty')).toContainText('还没有人说话');
  await expect(page.locator('.list__empty .list__title')).toHaveText(await page.locator('h1').innerText());
  await page.locator('.room').evaluate((room) => room.setAttribute('data-empty', ''));
  await ming.say('有人了');
  await expect(page.locator('.room')).not.toHaveAttribute('data-empty');
  await expect(page.locator('.list__empty')).toHaveCount(0);
});

test('B07: copied messages keep the line breaks that the list shows as blanks', async ({ guest }) => {
  const [ming, anna] = [await guest('阿明'), await guest('Anna')];
  await anna.tell('first\nsecond', 'third');
  const page = await ming.open();
  await expect(texts(page)).toHaveCount(2);
  const copied = await page.evaluate(() => {
    getSelection()!.selectAllChildren(document.querySelector('.list__lines')!);
    const event = new ClipboardEvent('copy', { clipboardData: new DataTransfer(), bubbles: true, cancelable: true });
    document.dispatchEvent(event);
    return event.clipboardData!.getData('text/plain');
  });
  expect(copied).toMatch(/\nAnna : first\nsecond\nAnna : third$/);
});

test('T1: the messages of a later version do not stop the page', async ({ guest }) => {
  const ming = await guest('Ming', { locale: 'en-US' });
  await ming.tell('before');
  const page = ming.page;
  const failures: string[] = [];
  page.on('pageerror', (error) => failures.push(String(error)));
  const frames = readFileSync(join(import.meta.dirname, 'tomorrow.jsonl'), 'utf8').split('\n').filter(Boolean);
  let play = () => {};
  await page.routeWebSocket('**/ws', (socket) => {
    const server = socket.connectToServer();
    // The number of this server's readers would follow that of the recording.
    server.onMessage((frame) => {
      if (!frame.includes('"online"')) socket.send(frame);
    });
    play = () => {
      for (const frame of frames) socket.send(frame);
    };
  });
  await ming.open();
  // This server does not know the recording: its own answer to the gap would take the lines away.
  await page.route('**/gateway/bind', async (route) => {
    const response = await route.fetch();
    const bound = await response.json();
    await route.fulfill({ response, json: { ...bound, seq: 4, rev: 4, messages: [], changes: [], gap: false, stale: false } });
  });
  play();
  await expect(line(page, 'an ordinary line')).toBeVisible();
  await expect(texts(page)).toHaveText(['before', 'from a moderator', 'from a bot', 'Message removed', 'an ordinary line']);
  await expect(page.locator('.line__badge')).toHaveText(['[Mod]', '[Bot]']);
  await expect(line(page, 'Message removed').locator('.line__nickname')).toHaveCount(0);
  await expect(page.locator('.chat__online')).toHaveText('12 online');
  expect(failures).toEqual([]);
  await expect(page.locator('.crash-bar:visible')).toHaveCount(0);
});
