// Colours and badge of own, host's and others' messages, as the browser computes them.
import { expect, NO_LIMITS, test } from './fixtures';
import { line, lines } from './person';
import { contrast, HOST, HOST_WORDS, OTHERS, OWN, OWN_WORDS, token } from './style';

test.use({ settings: NO_LIMITS });

for (const [locale, badge] of [['zh-CN', '[主播]'], ['en-US', '[Host]']] as const) {
  test(`P2, P29: own, host's and others' messages have bar, tint and words of their hue in ${locale}`, async ({ host, guest }) => {
    const [star, ming, anna] = [await host('小星'), await guest('阿明', { locale }), await guest('Anna', { locale })];
    await star.tell('开播了');
    await ming.tell('[主播] 是我');
    await anna.tell('hello');
    const page = await ming.open();

    await expect(line(page, '开播了').locator('.line__text')).toHaveCSS('color', HOST_WORDS);
    await expect(line(page, '开播了')).toHaveCSS('border-inline-start', `3px solid ${HOST}`);
    await expect(line(page, '开播了').locator('.line__badge')).toHaveText(badge);
    await expect(line(page, '开播了').locator('.line__badge')).toHaveCSS('background-color', HOST);
    await expect(line(page, '[主播] 是我').locator('.line__text')).toHaveCSS('color', OWN_WORDS);
    await expect(line(page, '[主播] 是我')).toHaveCSS('border-inline-start', `3px solid ${OWN}`);
    await expect(line(page, 'hello').locator('.line__text')).toHaveCSS('color', OTHERS);
    await expect(line(page, 'hello')).toHaveCSS('border-inline-start-width', '0px');
    await expect(page.locator('.line__badge')).toHaveCount(1);

    // The host sees the badge on the own line as viewers do. It cannot be typed.
    const hosts = await star.open();
    await expect(line(hosts, '开播了').locator('.line__text')).toHaveCSS('color', OWN_WORDS);
    await expect(line(hosts, '开播了')).toHaveCSS('border-inline-start', `3px solid ${OWN}`);
    await expect(line(hosts, '开播了').locator('.line__badge')).toHaveText('[主播]');
    await expect(line(hosts, '[主播] 是我').locator('.line__text')).toHaveCSS('color', OTHERS);
    await expect(hosts.locator('.line__badge')).toHaveCount(1);
  });
}

for (const colorScheme of ['light', 'dark'] as const) {
  test(`every part of a line has enough contrast in the ${colorScheme} theme, also under the pointer`, async ({ host, guest }) => {
    const [star, ming, anna] = [await host('小星'), await guest('阿明', { colorScheme }), await guest('Anna')];
    await star.tell('主播说');
    await ming.tell('自己说');
    await anna.tell('别人说');
    const page = await ming.open();
    for (const text of ['主播说', '自己说', '别人说']) {
      for (const pointed of [false, true]) {
        await (pointed ? line(page, text).hover() : page.mouse.move(0, 0));
        for (const part of ['.line__nickname', '.line__text', '.line__time']) {
          expect(await contrast(line(page, text).locator(part)), `${text} ${part} ${pointed}`).toBeGreaterThanOrEqual(4.5);
        }
      }
    }
    expect(await contrast(page.locator('.line__badge')), 'badge').toBeGreaterThanOrEqual(4.5);

    // Each hue of names, and a line on its way, which has no opacity.
    const other = line(page, '别人说');
    for (const hue of [0, 1, 2, 3, 4, 5]) {
      await other.evaluate((element, hue) => element.setAttribute('class', `line line--n${hue}`), hue);
      await expect(other.locator('.line__nickname')).toHaveCSS('color', await token(page, `name-${hue}`));
      for (const pointed of [false, true]) {
        await (pointed ? other.hover() : page.mouse.move(0, 0));
        expect(await contrast(other.locator('.line__nickname')), `hue ${hue} ${pointed}`).toBeGreaterThanOrEqual(4.5);
      }
    }
    const own = line(page, '自己说');
    await own.evaluate((element) => element.classList.add('line--pending'));
    await expect(own.locator('.line__text')).toHaveCSS('opacity', '1');
    expect(await contrast(own.locator('.line__text')), 'P19: on its way').toBeGreaterThanOrEqual(4.5);
  });
}

test('P12: people of one nickname differ by the hue of their names, which stays theirs', async ({ guest }) => {
  // Two of twelve people of six hues differ but for once in 360 million.
  const people = await Promise.all(Array.from({ length: 12 }, () => guest('Same')));
  for (const [index, person] of people.entries()) await person.tell(`${index}`);
  const hues = async (page: Awaited<ReturnType<(typeof people)[0]['open']>>) =>
    lines(page).locator('.line__nickname').evaluateAll((names) => names.map((name) => getComputedStyle(name).color));
  const page = await people[0]!.open();
  const seen = await hues(page);
  expect(seen).toHaveLength(12);
  expect(new Set(seen.slice(1)).size).toBeGreaterThan(1);
  await page.reload();
  expect(await hues(page)).toEqual(seen);
});

test('B14: in forced colours own, host\'s and others\' lines differ by edge and word', async ({ host, guest }) => {
  const [star, ming, anna] = [await host('小星'), await guest('阿明', { forcedColors: 'active' }), await guest('Anna')];
  await star.tell('主播说');
  await ming.tell('自己说');
  await anna.tell('别人说');
  const page = await ming.open();
  await expect(line(page, '自己说')).toHaveCSS('border-inline-start-style', 'double');
  await expect(line(page, '自己说').locator('.line__you')).toHaveText('你');
  expect(await line(page, '自己说').locator('.line__you').evaluate((word) => word.getBoundingClientRect().width)).toBeGreaterThan(8);
  await expect(line(page, '主播说')).toHaveCSS('border-inline-start-style', 'solid');
  await expect(line(page, '主播说').locator('.line__badge')).toHaveCSS('border-top-style', 'solid');
  await expect(line(page, '别人说')).toHaveCSS('border-inline-start-width', '0px');
});

test('a name that imitates the badge is refused', async ({ visitor }) => {
  const { context } = await visitor();
  const response = await context.request.post('/session/guest', { form: { nickname: '[主播] 小星' } });
  expect(response.status()).toBe(422);
});
