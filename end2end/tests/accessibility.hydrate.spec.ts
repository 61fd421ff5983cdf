// axe finds no serious violation on any page, in either theme. axe is a script, so it runs in hydrated pages only.
import AxeBuilder from '@axe-core/playwright';
import type { Page } from '@playwright/test';
import { expect, test } from './fixtures';
import { box, line, link, notice, openMenu, pill, scroller } from './person';

async function expectNoViolations(page: Page): Promise<void> {
  const { violations, passes } = await new AxeBuilder({ page }).analyze();
  expect(passes.length).toBeGreaterThan(10);
  const serious = violations.filter(({ impact }) => impact === 'serious' || impact === 'critical');
  const summaries = serious.flatMap(({ id, nodes }) => nodes.map((node) => `${id}: ${node.html.slice(0, 160)} ${node.failureSummary}`));
  expect(summaries, page.url()).toEqual([]);
}

for (const colorScheme of ['light', 'dark'] as const) {
  test(`a visitor's pages, ${colorScheme}`, async ({ guest, visitor }) => {
    await (await guest('阿明')).tell('大家好');
    const { page } = await visitor({ colorScheme });
    for (const path of ['/', '/rooms/1', '/sign-in', '/nowhere']) {
      await page.goto(path);
      await expectNoViolations(page);
    }
  });

  test(`a room with every role and a notice, and the account's pages, ${colorScheme}`, async ({ host, guest, visitor }) => {
    const [star, anna, ming] = [await host('小星'), await guest('Anna'), await visitor({ colorScheme })];
    await ming.signIn('/session/register', { name: 'ming', password: 'a long password', nickname: '阿明' });
    await star.tell('开播了');
    await ming.tell('自己说');
    // Each is six rows high on a phone: together they are higher than the list.
    for (const person of [anna, ...(await Promise.all(['Ben', 'Cleo', 'Dan', 'Eve'].map((name) => guest(name))))]) {
      await person.tell('字'.repeat(140));
    }
    const page = await ming.open();
    await ming.say('字'.repeat(141));
    await expect(notice(page)).toBeVisible();
    await expect(page.locator('.composer__left')).toHaveText('超出 1 字');
    await expectNoViolations(page);
    await page.setViewportSize({ width: 360, height: 480 });
    await scroller(page).evaluate((element) => (element.scrollTop = -element.scrollHeight));
    await expect(pill(page)).toBeVisible();
    await expect(line(page, '开播了')).toBeInViewport();
    await expectNoViolations(page);
    for (const path of ['/', '/sign-in', '/account']) {
      await page.goto(path);
      await expectNoViolations(page);
    }
  });
}

for (const colorScheme of ['light', 'dark'] as const) {
  test(`P19: the list's states, ${colorScheme}`, async ({ server, host, guest }) => {
    const [star, ming] = [await host('小星'), await guest('阿明', { colorScheme, viewport: { width: 320, height: 600 } })];
    const page = await ming.open();
    await expect(page.locator('.list__empty')).toBeVisible();
    await expectNoViolations(page);
    await star.tell('字'.repeat(140));
    await expect(page.locator('.line__more')).toBeVisible();
    await page.route('**/gateway/send', () => {});
    await ming.say('在路上');
    await expect(page.locator('.line--pending')).toBeVisible();
    await expectNoViolations(page);
    await line(page, '字'.repeat(140)).hover();
    await server.kill();
    await expect(link(page)).toBeVisible();
    await expectNoViolations(page);
  });
}

for (const colorScheme of ['light', 'dark'] as const) {
  test(`P19: menus, a reader's row, an unsent line and a waiting text, ${colorScheme}`, async ({ host, guest, visitor }) => {
    test.slow();
    const star = await host('小星', { colorScheme });
    let page = await star.open();
    await expect(page.locator('.new-room')).toBeVisible();
    await expectNoViolations(page);
    await openMenu(page);
    await expectNoViolations(page);
    page = (await visitor({ colorScheme })).page;
    await page.goto('/rooms/1');
    await page.locator('.composer__nickname').focus();
    await expect(page.locator('.composer__account')).toBeVisible();
    await expectNoViolations(page);
    const ming = await guest('阿明', { colorScheme });
    page = await ming.open();
    await openMenu(page);
    await expectNoViolations(page);
    await page.keyboard.press('Escape');
    await ming.say('第一句');
    await expect(line(page, '第一句')).not.toHaveClass(/pending/);
    await page.route('**/gateway/send', (route) => route.abort());
    await ming.say('第二句');
    await expect(page.locator('.composer__disarm')).toBeVisible();
    await expectNoViolations(page);
    await expect(page.locator('.line--unsent')).toBeVisible({ timeout: 20_000 });
    await expect(box(page)).toHaveValue('');
    await expectNoViolations(page);
  });
}

test('P19: for people who asked for less motion nothing runs', async ({ guest }) => {
  const ming = await guest('阿明', { reducedMotion: 'reduce' });
  const page = await ming.open();
  await ming.say('第一句');
  const waiting = page.locator('.composer__send--waiting');
  await expect(waiting).toBeVisible();
  expect(await waiting.evaluate((element) => getComputedStyle(element, '::after').display)).toBe('none');
  expect(await page.evaluate(() => document.getAnimations().length)).toBe(0);
});

test('the keyboard alone reaches the box and the button, and sends', async ({ guest }) => {
  const ming = await guest('阿明');
  const page = await ming.open();
  await page.locator('.list__scroller').focus();
  await page.keyboard.press('Tab');
  await expect(page.locator('.composer__text')).toBeFocused();
  await page.keyboard.type('只用键盘');
  await page.keyboard.press('Tab');
  await expect(page.locator('.composer__send')).toBeFocused();
  await expect(page.locator('.composer__send')).toHaveCSS('outline-style', 'solid');
  await page.keyboard.press('Enter');
  await expect(line(page, '只用键盘')).toBeVisible();
});
