// Limits of a message: 140 visible characters, not blank; the Enter key.
import { expect, test } from './fixtures';
import { box, button, lines, notice, texts } from './person';
import { SYSTEM } from './style';

const FAMILY = '👨‍👩‍👧‍👦';

test.use({ settings: { ROOMCAST_CHAT_COOLDOWN_MS: '0' } });

test('140 characters are sent; 141 are refused and stay in the box', async ({ guest }) => {
  const ming = await guest('阿明');
  const page = await ming.open();
  await ming.say('字'.repeat(141));
  await expect(notice(page)).toHaveText('系统提示: 不能超过140个字符');
  await expect(notice(page)).toHaveCSS('color', SYSTEM);
  await expect(box(page)).toHaveValue('字'.repeat(141));
  await expect(lines(page)).toHaveCount(0);

  await ming.say('字'.repeat(140));
  await expect(texts(page)).toHaveText(['字'.repeat(140)]);
  await expect(notice(page)).toHaveCount(0);
  await expect(box(page)).toHaveValue('');
});

test('an emoji of several code points is one character', async ({ guest }) => {
  const ming = await guest('阿明');
  const page = await ming.open();
  await ming.say(FAMILY.repeat(141));
  await expect(notice(page)).toHaveText('系统提示: 不能超过140个字符');
  await ming.say(FAMILY.repeat(140));
  await expect(texts(page)).toHaveText([FAMILY.repeat(140)]);
});

test('blank texts are refused', async ({ guest }) => {
  const ming = await guest('阿明');
  const page = await ming.open();
  for (const blank of ['', '  \n ', '\u3000', '\u200b']) {
    await ming.say('说了话');
    await expect(notice(page)).toHaveCount(0);
    // Enter does nothing while a message is pending.
    await expect(page.locator('.line--pending')).toHaveCount(0);
    await ming.say(blank);
    await expect(notice(page)).toHaveText('系统提示: 不能发送空消息');
    await expect(notice(page)).toHaveCSS('color', SYSTEM);
    await expect(box(page)).toHaveValue(blank);
  }
  await expect(lines(page)).toHaveCount(4);
});

test('the counter shows near the limit', async ({ guest }) => {
  const ming = await guest('阿明');
  const page = await ming.open();
  const left = page.locator('.composer__left');
  await box(page).fill('字'.repeat(100));
  await expect(left).toHaveCount(0);
  await box(page).fill('字'.repeat(130));
  await expect(left).toHaveText('10');
  await box(page).press('End');
  await box(page).pressSequentially('ab');
  await expect(left).toHaveText('8');
  await box(page).fill(FAMILY.repeat(139));
  await expect(left).toHaveText('1');
  await box(page).fill('字'.repeat(143));
  await expect(left).toHaveText('超出 3 字');
  await expect(left).toHaveCSS('color', SYSTEM);
  await box(page).fill('');
  await expect(left).toHaveCount(0);
});

test('Shift+Enter inserts a new line, Enter sends', async ({ guest }) => {
  const ming = await guest('阿明');
  const page = await ming.open();
  await box(page).pressSequentially('上');
  await box(page).press('Shift+Enter');
  await box(page).pressSequentially('下');
  await expect(box(page)).toHaveValue('上\n下');
  await expect(lines(page)).toHaveCount(0);
  await box(page).press('Enter');
  await expect(texts(page)).toHaveCount(1);
  expect(await texts(page).textContent()).toBe('上\n下');
});

test('Enter while an input method composes belongs to the input method', async ({ guest }) => {
  const ming = await guest('阿明');
  const page = await ming.open();
  const sent: string[] = [];
  page.on('request', (request) => {
    if (request.url().endsWith('/gateway/send')) sent.push(new URLSearchParams(request.postData() ?? '').get('message') ?? '');
  });
  const keyTaken = (init: { isComposing?: boolean; keyCode?: number }) =>
    box(page).evaluate(
      (element, init) => !element.dispatchEvent(new KeyboardEvent('keydown', { key: 'Enter', bubbles: true, cancelable: true, ...init })),
      init,
    );
  await box(page).fill('nihao');
  expect(await keyTaken({ isComposing: true, keyCode: 229 })).toBe(false);
  expect(await keyTaken({ isComposing: true })).toBe(false);
  // Safari reports it by the key code alone.
  expect(await keyTaken({ keyCode: 229 })).toBe(false);
  await expect(box(page)).toHaveValue('nihao');

  // Chromium's own input method, from composing to the chosen word.
  await box(page).fill('');
  const browser = await page.context().newCDPSession(page);
  await browser.send('Input.imeSetComposition', { text: 'nihao', selectionStart: 5, selectionEnd: 5 });
  // An input method consumes the key: keydown without a character.
  await browser.send('Input.dispatchKeyEvent', { type: 'rawKeyDown', key: 'Enter', code: 'Enter', windowsVirtualKeyCode: 13 });
  await browser.send('Input.dispatchKeyEvent', { type: 'keyUp', key: 'Enter', code: 'Enter', windowsVirtualKeyCode: 13 });
  await expect(box(page)).toHaveValue('nihao');
  await browser.send('Input.insertText', { text: '你好' });
  await expect(box(page)).toHaveValue('你好');
  await box(page).press('Enter');
  await expect(texts(page)).toHaveText(['你好']);
  await expect(button(page)).toHaveText('发送');
  expect(sent).toEqual(['你好']);
});
