// A lost connection: the page shows it after 2 s, reconnects, and no message is lost, doubled or out of order.
import { expect, NO_LIMITS, test } from './fixtures';
import { line, link, lines, numbers, texts } from './person';

test.use({ settings: NO_LIMITS });

test('after a crash of the server the page reconnects and sends the waiting message', async ({ server, guest }) => {
  const [ming, anna] = [await guest('阿明'), await guest('Anna')];
  const page = await ming.open();
  await ming.say('之前');
  await expect(texts(page)).toHaveText(['之前']);
  // The response has arrived: a pending message would block the next one.
  await expect(page.locator('.line--pending')).toHaveCount(0);

  await server.kill();
  const killed = Date.now();
  await expect(link(page)).toHaveText('连接断开，正在重新连接…');
  expect(Date.now() - killed, 'a short interruption is not shown').toBeGreaterThan(1_500);
  // A message sent without a server is repeated until the server is back.
  await ming.say('断线时说的');
  await expect(lines(page).last()).toContainText('断线时说的');

  await server.start();
  await anna.tell('一', '二', '三');
  await expect(link(page)).toHaveCount(0, { timeout: 25_000 });
  await expect(texts(page)).toHaveCount(5);
  const shown = await texts(page).allTextContents();
  expect(shown.filter((text) => text !== '断线时说的')).toEqual(['之前', '一', '二', '三']);
  expect(shown).toContain('断线时说的');
  // It may still be pending, which would block the next one.
  await expect(page.locator('.line--pending')).toHaveCount(0);

  await ming.say('之后');
  await expect(texts(page)).toHaveText([...shown, '之后']);
  await page.reload();
  await expect(texts(page)).toHaveText([...shown, '之后']);
});

test('after a clean shutdown of the server the page reconnects', async ({ server, guest }) => {
  const [ming, anna] = [await guest('阿明'), await guest('Anna')];
  const page = await ming.open();
  const began = Date.now();
  expect(await server.stop()).toBe(0);
  expect(Date.now() - began).toBeLessThan(8_000);
  await server.start();
  await anna.tell('又见面了');
  await expect(texts(page)).toHaveText(['又见面了'], { timeout: 25_000 });
  await anna.tell('活的');
  await expect(texts(page)).toHaveText(['又见面了', '活的']);
});

test('messages sent while the browser is offline arrive afterwards', async ({ guest }) => {
  const [ming, anna] = [await guest('阿明'), await guest('Anna')];
  const page = await ming.open();
  await anna.tell('0');
  await expect(texts(page)).toHaveText(['0']);
  await ming.context.setOffline(true);
  await anna.tell(...numbers(1, 5));
  await ming.context.setOffline(false);
  await expect(texts(page)).toHaveText(numbers(0, 5));
  await anna.tell('6');
  await expect(texts(page)).toHaveText(numbers(0, 6));
});

test('being offline is shown after a delay; coming back shows at once', async ({ guest }) => {
  const [ming, anna] = [await guest('阿明'), await guest('Anna')];
  const page = await ming.open();
  await ming.context.setOffline(true);
  await expect(link(page)).toHaveText('连接断开，正在重新连接…');
  await anna.tell('错过的');
  await ming.context.setOffline(false);
  await expect(texts(page)).toHaveText(['错过的'], { timeout: 2_000 });
  await expect(link(page)).toHaveCount(0);
});

test('more missed messages than one bind returns become a gap, which is fetched when the reader comes near', async ({ guest, server }) => {
  const [ming, anna] = [await guest('阿明'), await guest('Anna')];
  await anna.tell('0');
  const page = await ming.open();
  await expect(texts(page)).toHaveText(['0']);
  // The page cannot bind while others send messages.
  let away = true;
  await page.route('**/gateway/bind', (route) => (away ? route.abort() : route.continue()));
  await server.kill();
  await server.start();
  await anna.tell(...numbers(1, 230));
  await expect(texts(page)).toHaveText(['0']);
  away = false;

  const gap = page.locator('.list__gap button');
  await expect(gap).toHaveText('30 条消息未加载 · 加载', { timeout: 25_000 });
  await expect(lines(page)).toHaveCount(201);
  await expect(line(page, '31')).toHaveCount(1);
  await gap.evaluate((element) => element.scrollIntoView());
  await expect(gap).toHaveCount(0);
  expect(await texts(page).allTextContents()).toEqual(numbers(0, 230));
});
