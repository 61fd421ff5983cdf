// One accepted message every three seconds: the button counts down, the typed text is kept, the server decides.
import type { Page } from '@playwright/test';
import { expect, test } from './fixtures';
import { box, button, notice, texts } from './person';

/** Records every text of the button, so that none is missed between two reads. */
async function watchButton(page: Page): Promise<() => Promise<string[]>> {
  await button(page).evaluate((element) => {
    const labels: string[] = [];
    Object.assign(window, { labels });
    new MutationObserver(() => {
      const text = element.textContent ?? '';
      if (labels.at(-1) !== text) labels.push(text);
    }).observe(element, { childList: true, characterData: true, subtree: true });
  });
  return () => page.evaluate(() => (window as unknown as { labels: string[] }).labels);
}

test('the button counts down 3 S, 2 S, 1 S; text typed meanwhile stays in the box until it is over', async ({ guest }) => {
  const ming = await guest('阿明');
  const page = await ming.open();
  await expect(button(page)).toHaveText('发送');
  const labels = await watchButton(page);

  await ming.say('第一句');
  await expect(button(page)).toHaveText('3 S');
  const began = Date.now();
  await box(page).fill('第二句');
  await expect.poll(labels).toEqual(['3 S', '2 S', '1 S', '发送']);
  expect(Date.now() - began).toBeGreaterThan(2_000);
  await expect(box(page)).toHaveValue('第二句');
  await expect(texts(page)).toHaveText(['第一句']);

  // The clocks of page and server agree: as soon as the countdown is over, the server accepts the message.
  await button(page).click();
  await expect(texts(page)).toHaveText(['第一句', '第二句']);
  await expect(notice(page)).toHaveCount(0);
});

test('a refused draft starts no cooldown', async ({ guest }) => {
  const ming = await guest('阿明');
  const page = await ming.open();
  for (const refused of ['字'.repeat(141), '   ']) {
    await ming.say(refused);
    await expect(notice(page)).toBeVisible();
    await expect(button(page)).toHaveText('发送');
  }
  await ming.say('这句可以');
  await expect(texts(page)).toHaveText(['这句可以']);
  await expect(button(page)).toHaveText(/^\d S$/);
  await expect(notice(page)).toHaveCount(0);
});

test('with two tabs of one person, the second is refused, counts down and keeps its text', async ({ guest }) => {
  const ming = await guest('阿明');
  const first = await ming.open();
  const second = await ming.open('1', await ming.context.newPage());

  await ming.say('从第一页', first);
  await expect(texts(second)).toHaveText(['从第一页']);
  await ming.say('从第二页', second);
  await expect(notice(second)).toHaveText(/^发言太快，[123] 秒后可再发$/);
  await expect(box(second)).toHaveValue('从第二页');
  await expect(texts(second)).toHaveText(['从第一页']);

  // The second tab waits for the rest of the three seconds, not for three more.
  await expect(button(second)).toHaveText('发送', { timeout: 3_500 });
  await button(second).click();
  await expect(texts(first)).toHaveText(['从第一页', '从第二页']);
});
