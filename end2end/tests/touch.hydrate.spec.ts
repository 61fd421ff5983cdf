// Sending by touch and by keyboards: the focus stays in the box, Enter during the cooldown arms, Esc disarms.
import type { Page } from '@playwright/test';
import { expect, test } from './fixtures';
import { box, button, line, notice, texts } from './person';

const PHONE = { viewport: { width: 360, height: 740 }, hasTouch: true, isMobile: true };
const hint = (page: Page) => page.locator('.composer__hint');

for (const [device, options] of Object.entries({ phone: PHONE, desktop: {} })) {
  test(`P3: on a ${device} the focus stays in the box when Send and its neighbours are used`, async ({ guest }) => {
    const ming = await guest('阿明', options);
    const page = await ming.open();
    // By force: Playwright waits for a button that says that it is disabled.
    const press = (target = button(page)) => (device === 'phone' ? target.tap({ force: true }) : target.click({ force: true }));
    await box(page).fill('第一句');
    await press();
    await expect(texts(page)).toHaveText(['第一句']);
    await expect(box(page)).toBeFocused();
    await box(page).fill('第二句');
    await press();
    await expect(box(page)).toBeFocused();
    await press(page.getByRole('button', { name: '取消' }));
    await expect(box(page)).toBeFocused();
    await expect(hint(page)).toBeHidden();
    await expect(button(page)).toHaveText('发送', { timeout: 5_000 });
    await expect(texts(page)).toHaveText(['第一句']);
  });
}

test('P9: Enter during the cooldown arms the message, which is sent by itself', async ({ guest }) => {
  const ming = await guest('阿明');
  const page = await ming.open();
  await ming.say('第一句');
  await expect(button(page)).toHaveText(/^\d S$/);
  await expect(button(page)).toHaveAttribute('aria-disabled', 'true');
  await expect(button(page)).toHaveAccessibleName(/^发送（[123] 秒后可用）$/);
  await ming.say('第二句');
  await expect(hint(page)).toContainText(/[123] 秒后发送/);
  await expect(box(page)).toHaveAccessibleDescription(/[123] 秒后发送/);
  await expect(box(page)).toHaveValue('第二句');
  await expect(texts(page)).toHaveText(['第一句', '第二句'], { timeout: 6_000 });
  await expect(box(page)).toHaveValue('');
  await expect(notice(page)).toHaveCount(0);
  await expect(button(page)).toHaveText('发送', { timeout: 5_000 });
  await expect(button(page)).toHaveAccessibleName('发送');
  await expect(button(page)).not.toHaveAttribute('aria-disabled');
});

test('P9: the button that disarms gives the focus back to the box', async ({ guest }) => {
  const ming = await guest('阿明');
  const page = await ming.open();
  await ming.say('第一句');
  await expect(button(page)).toHaveText(/^\d S$/);
  // The place of the hint is there before its words: only then they are announced.
  await expect(hint(page)).toHaveCSS('display', 'flex');
  await ming.say('第二句');
  await page.getByRole('button', { name: '取消' }).press('Enter');
  await expect(box(page)).toBeFocused();
  await expect(hint(page)).toBeHidden();
});

test('P9: Escape disarms', async ({ guest }) => {
  const ming = await guest('阿明');
  const page = await ming.open();
  await ming.say('第一句');
  await expect(button(page)).toHaveText(/^\d S$/);
  await ming.say('第二句');
  await expect(hint(page)).toContainText('秒后发送');
  await box(page).press('Escape');
  await expect(hint(page)).toBeHidden();
  await expect(button(page)).toHaveText('发送', { timeout: 5_000 });
  await expect(box(page)).toHaveValue('第二句');
  await expect(texts(page)).toHaveText(['第一句']);
});

for (const how of ['a key', 'an input method']) {
  test(`P9: an armed text that is edited by ${how} does not leave by itself`, async ({ guest }) => {
    const ming = await guest('阿明');
    const page = await ming.open();
    await ming.say('第一句');
    await expect(button(page)).toHaveText(/^\d S$/);
    await ming.say('第二');
    await expect(hint(page)).toContainText('秒后发送');
    if (how === 'a key') {
      await box(page).press('x');
    } else {
      const browser = await page.context().newCDPSession(page);
      await browser.send('Input.imeSetComposition', { text: 'ju', selectionStart: 2, selectionEnd: 2 });
    }
    await expect(hint(page)).toBeHidden();
    await expect(button(page)).toHaveText('发送', { timeout: 5_000 });
    await expect(box(page)).toHaveValue(how === 'a key' ? '第二x' : '第二ju');
    await expect(texts(page)).toHaveText(['第一句']);
  });
}

test('P9: a double tap sends once and says nothing', async ({ guest }) => {
  const ming = await guest('阿明');
  const page = await ming.open();
  await box(page).fill('一次');
  await button(page).dblclick();
  await expect(texts(page)).toHaveText(['一次']);
  await expect(button(page)).toHaveText(/^\d S$/);
  await expect(notice(page)).toHaveCount(0);
});

test('B11: a clock that is set back does not lengthen the countdown', async ({ guest }) => {
  const ming = await guest('阿明');
  const page = await ming.open();
  await ming.say('之前');
  await expect(button(page)).toHaveText(/^\d S$/);
  await page.evaluate(() => {
    const now = Date.now.bind(Date);
    Date.now = () => now() - 3_600_000;
  });
  await expect(button(page)).toHaveText('发送', { timeout: 5_000 });
  await ming.say('之后');
  await expect(line(page, '之后')).toHaveCount(1);
  await expect(button(page)).toHaveText(/^[123] S$/);
});

test('B16: a keyboard on the screen whose Send comes as a line break sends', async ({ guest }) => {
  const ming = await guest('阿明', PHONE);
  const page = await ming.open();
  const screenKey = (init: { key: string; keyCode: number; isComposing?: boolean }) =>
    box(page).evaluate((element, { key, keyCode, isComposing }) => {
      element.dispatchEvent(new KeyboardEvent('keydown', { key, keyCode, bubbles: true, cancelable: true, isComposing }));
      const init = { inputType: 'insertLineBreak', bubbles: true, cancelable: true, isComposing };
      return !element.dispatchEvent(new InputEvent('beforeinput', init));
    }, init);
  await box(page).fill('写到一半');
  expect(await screenKey({ key: 'Process', keyCode: 229, isComposing: true })).toBe(false);
  await expect(box(page)).toHaveValue('写到一半');
  expect(await screenKey({ key: 'Unidentified', keyCode: 229 })).toBe(true);
  await expect(texts(page)).toHaveText(['写到一半']);
  await expect(box(page)).toHaveValue('');
});

test('P8: notices leave: on input, after success, at the end of the countdown', async ({ guest }) => {
  const ming = await guest('阿明');
  const page = await ming.open();
  await ming.say('  ');
  await expect(notice(page)).toHaveText('系统提示: 不能发送空消息');
  await box(page).pressSequentially('好');
  await expect(notice(page)).toHaveCount(0);
  await ming.say('字'.repeat(150));
  await expect(notice(page)).toHaveText('系统提示: 不能超过140个字符');
  await ming.say('可以');
  await expect(texts(page)).toHaveText(['可以']);
  await expect(notice(page)).toHaveCount(0);

  const second = await ming.open('1', await ming.context.newPage());
  await expect(button(page)).toHaveText('发送', { timeout: 5_000 });
  await ming.say('再一句');
  await expect(texts(second)).toHaveText(['可以', '再一句']);
  await ming.say('太快', second);
  await expect(notice(second)).toHaveText(/^发言太快，[123] 秒后可再发$/);
  // For people who hear the page the number does not run.
  await expect(notice(second)).toHaveAttribute('aria-hidden', 'true');
  const heard = second.locator('.composer__card .visually-hidden');
  const once = await heard.textContent();
  expect(once).toMatch(/^发言太快，[123] 秒后可再发$/);
  await expect(notice(second)).toHaveText('发言太快，1 秒后可再发');
  await expect(heard).toHaveText(once ?? '');
  await expect(notice(second)).toHaveCount(0);
  await expect(button(second)).toHaveText('发送');
  await expect(box(second)).toHaveValue('太快');
});

test('P10: a notice and a hint lie over the list and move nothing', async ({ guest }) => {
  const ming = await guest('阿明');
  const page = await ming.open();
  const top = () => page.locator('.list').evaluate((list) => list.getBoundingClientRect().height);
  const before = await top();
  await ming.say('  ');
  await expect(notice(page)).toBeVisible();
  expect(await top()).toBe(before);
});

test('over the limit the box and the counter say by how much', async ({ guest }) => {
  const ming = await guest('Ming', { locale: 'en-US' });
  const page = await ming.open();
  await box(page).fill('x'.repeat(150));
  await expect(page.locator('.composer__left')).toHaveText('10 over');
  await expect(page.locator('.composer__box--over .composer__text')).toHaveCSS('border-color', 'rgb(139, 0, 0)');
});
