// The menu of a message: replies, mentions, reports, the deletion of one's own.
import AxeBuilder from '@axe-core/playwright';
import { expect, NO_LIMITS, test } from './fixtures';
import { box, line, type Person, scroller, texts } from './person';
import type { Page } from '@playwright/test';

test.use({ settings: NO_LIMITS });

async function openMenuOf(page: Page, text: string): Promise<void> {
  await line(page, text).hover();
  await line(page, text).locator('.line__time').click();
}
const item = (page: Page, name: string) => page.getByRole('dialog').getByRole('button', { name });

async function three(guest: (nickname: string) => Promise<Person>): Promise<[Person, Person, Page]> {
  const [ming, lan] = [await guest('阿明'), await guest('小兰')];
  await lan.tell('吃了吗', '<b>粗</b>');
  return [ming, lan, await ming.open()];
}

test('a reply names its message, and leads to it', async ({ guest }) => {
  const [, lan, page] = await three(guest);
  await openMenuOf(page, '吃了吗');
  await item(page, '回复').click();
  await expect(page.locator('.composer__re')).toHaveText(/回复 @小兰/);
  await expect(box(page)).toBeFocused();
  await box(page).fill('吃了');
  await box(page).press('Enter');
  const answer = line(page, '吃了');
  await expect(answer.locator('.line__re')).toHaveText('↩ @小兰');
  await expect(page.locator('.composer__re')).toHaveCount(0);
  await answer.locator('.line__re').click();
  await expect(line(page, '吃了吗')).toHaveClass(/line--found/);
  // The answer copies nothing: without its message it names nobody.
  await lan.post('/gateway/retract', { room: '1', seq: '1' });
  await expect(page.locator('[data-seq="1"]')).toHaveText(/消息已被发送者撤回/);
  await page.reload();
  await expect(answer.locator('.line__re')).not.toContainText('吃了吗');
});

test('a refused reply is still a reply', async ({ guest }) => {
  const [, , page] = await three(guest);
  await openMenuOf(page, '吃了吗');
  await item(page, '回复').click();
  await page.route('**/gateway/send', (route) => route.fulfill({ status: 503, json: { status: false, code: 'busy', message: '忙' } }));
  await box(page).fill('吃了');
  await box(page).press('Enter');
  await expect(box(page)).toHaveValue('吃了');
  await expect(page.locator('.composer__re')).toBeVisible();
  await page.unroute('**/gateway/send');
  await box(page).press('Enter');
  await expect(line(page, '吃了').locator('.line__re')).toHaveText('↩ @小兰');
});

test('one deletes a message of one’s own, after a question', async ({ guest }) => {
  const [ming, , page] = await three(guest);
  await ming.tell('说错了');
  await openMenuOf(page, '说错了');
  await item(page, '删除').click();
  await expect(page.getByRole('dialog')).toContainText('删除这条消息？');
  await item(page, '删除').click();
  await expect(page.locator('[data-seq="3"]')).toHaveText(/消息已被发送者撤回/);
});

test('a message is reported with one of five reasons', async ({ guest }) => {
  const [, , page] = await three(guest);
  await openMenuOf(page, '吃了吗');
  await item(page, '举报').click();
  await expect(page.getByRole('dialog').locator('.sheet__item')).toHaveCount(6);
  const posted = page.waitForRequest('**/gateway/report');
  await item(page, '广告或刷屏').click();
  expect((await posted).postData()).toContain('reason=spam');
  await expect(page.locator('.toast')).toContainText('已举报');
});

test('an @ offers the speakers by keys and by pointer, and mentions mark the line of the person', async ({ guest }) => {
  const [, lan, page] = await three(guest);
  const lans = await lan.open();
  await box(page).click();
  await box(page).pressSequentially('@小');
  const offered = page.getByRole('listbox').getByRole('option');
  await expect(offered).toHaveText(['@小兰']);
  await expect(box(page)).toHaveAttribute('aria-activedescendant', 'mention-0');
  await page.keyboard.press('Escape');
  await expect(offered).toHaveCount(0);
  await box(page).fill('');
  await box(page).pressSequentially('@');
  await expect(offered).toHaveText(['@小兰']);
  await page.keyboard.press('Enter');
  await expect(box(page)).toHaveValue('@小兰 ');
  await box(page).pressSequentially('来');
  await page.keyboard.press('Enter');
  await expect(lans.locator('.line--mention')).toHaveText(/提到了你.*@小兰 来/);
  await expect(page.locator('.line--mention')).toHaveCount(0);
});

test('the text of a mention is text', async ({ guest }) => {
  const [, , page] = await three(guest);
  await expect(texts(page).nth(1)).toHaveText('<b>粗</b>');
  await openMenuOf(page, '<b>粗</b>');
  await expect(page.getByRole('dialog')).toContainText('<b>粗</b>');
  await page.keyboard.press('Escape');
  await expect(page.getByRole('dialog')).toHaveCount(0);
});

test('the rows are reached by keys', async ({ guest }) => {
  const [, , page] = await three(guest);
  await scroller(page).focus();
  await page.keyboard.press('Enter');
  await expect(line(page, '<b>粗</b>').locator('.line__time')).toBeFocused();
  // Below the newest is nothing.
  await page.keyboard.press('ArrowDown');
  await expect(line(page, '<b>粗</b>').locator('.line__time')).toBeFocused();
  await page.keyboard.press('ArrowUp');
  await expect(line(page, '吃了吗').locator('.line__time')).toBeFocused();
  await page.keyboard.press('Enter');
  await expect(page.getByRole('dialog')).toBeVisible();
  await page.keyboard.press('Escape');
  await expect(line(page, '吃了吗').locator('.line__time')).toBeFocused();
});

for (const [name, options] of [
  ['360 zh dark', { viewport: { width: 360, height: 640 }, colorScheme: 'dark', locale: 'zh-CN' }],
  ['1280 en light', { viewport: { width: 1280, height: 720 }, colorScheme: 'light', locale: 'en-US' }],
] as const) {
  test(`menu, reply, pin, tombstones and restraints pass axe: ${name}`, async ({ guest, host }) => {
    const [star, ming, lan] = [await host('小星'), await guest('阿明', options), await guest('小兰')];
    await star.tell('群规：友善发言，不刷屏，不剧透，请大家一起维护');
    await lan.tell('吃了吗', '要删除的');
    await ming.tell('要撤回的', '在');
    await star.post('/gateway/mod/pin', { room: '1', seq: '1' });
    await star.post('/gateway/mod/remove', { room: '1', seq: '3' });
    await ming.post('/gateway/retract', { room: '1', seq: '4' });
    await lan.post('/gateway/send', { room: '1', message: '@阿明 来看', re: '2' });
    const page = await ming.open();
    await expect(page.locator('.pin')).toBeVisible();
    const check = async (state: string) => {
      const { violations } = await new AxeBuilder({ page }).analyze();
      expect(violations.map(({ id, nodes }) => `${id}: ${nodes[0]!.html}`), state).toEqual([]);
      if (process.env.SHOTS) await page.screenshot({ path: `${process.env.SHOTS}/${name} ${state}.png` });
    };
    await openMenuOf(page, '吃了吗');
    await expect(page.getByRole('dialog')).toBeVisible();
    await check('menu');
    await page.getByRole('dialog').getByRole('button').first().click();
    await box(page).pressSequentially('@');
    await expect(page.getByRole('listbox')).toBeVisible();
    await check('reply');
    await page.keyboard.press('Escape');
    await star.post('/gateway/mod/warn', { room: '1', user: ming.uid, reason: '请勿刷屏，先看群规再发言' });
    await expect(page.locator('.composer__shut')).toBeVisible();
    await check('warning');
    await star.post('/gateway/mod/timeout', { room: '1', user: ming.uid, seconds: '600', reason: '刷屏' });
    await expect(page.locator('.composer__why')).toContainText('刷屏');
    await check('timeout');
  });
}
