// Colour and badge of own, host's and others' messages, as the browser computes them.
import { expect, test } from './fixtures';
import { line } from './person';
import { contrast, HOST, OTHERS, OWN } from './style';

for (const [locale, badge] of [['zh-CN', '[主播]'], ['en-US', '[Host]']] as const) {
  test(`own, host's and others' messages have their colours in ${locale}`, async ({ host, guest }) => {
    const [star, ming, anna] = [await host('小星'), await guest('阿明', { locale }), await guest('Anna', { locale })];
    await star.tell('开播了');
    await ming.tell('[主播] 是我');
    await anna.tell('hello');
    const page = await ming.open();

    await expect(line(page, '开播了').locator('.line__text')).toHaveCSS('color', HOST);
    await expect(line(page, '开播了').locator('.line__nickname')).toHaveCSS('color', HOST);
    await expect(line(page, '开播了').locator('.line__badge')).toHaveText(badge);
    await expect(line(page, '[主播] 是我').locator('.line__text')).toHaveCSS('color', OWN);
    await expect(line(page, 'hello').locator('.line__text')).toHaveCSS('color', OTHERS);
    await expect(page.locator('.line__badge')).toHaveCount(1);

    // The host sees their own message in the own colour; a badge cannot be typed.
    const hosts = await star.open();
    await expect(line(hosts, '开播了').locator('.line__text')).toHaveCSS('color', OWN);
    await expect(line(hosts, '[主播] 是我').locator('.line__text')).toHaveCSS('color', OTHERS);
    await expect(hosts.locator('.line__badge')).toHaveCount(0);
  });
}

for (const colorScheme of ['light', 'dark'] as const) {
  test(`every role has enough contrast in the ${colorScheme} theme`, async ({ host, guest }) => {
    const [star, ming, anna] = [await host('小星'), await guest('阿明', { colorScheme }), await guest('Anna')];
    await star.tell('主播说');
    await ming.tell('自己说');
    await anna.tell('别人说');
    const page = await ming.open();
    for (const text of ['主播说', '自己说', '别人说']) {
      for (const part of ['.line__nickname', '.line__text', '.line__time']) {
        expect(await contrast(line(page, text).locator(part)), `${text} ${part}`).toBeGreaterThanOrEqual(4.5);
      }
    }
    expect(await contrast(page.locator('.line__badge')), 'badge').toBeGreaterThanOrEqual(4.5);
  });
}

test('a name that imitates the badge is refused', async ({ visitor }) => {
  const { context } = await visitor();
  const response = await context.request.post('/session/guest', { form: { nickname: '[主播] 小星' } });
  expect(response.status()).toBe(422);
});
