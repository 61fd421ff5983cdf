// The connection goes and comes back: the page says so calmly, returns by itself, and nothing is lost, doubled or moved.
import { expect, NO_LIMITS, test } from './fixtures';
import { line, link, lines, numbers, texts } from './person';

test.use({ settings: NO_LIMITS });

test('the server is killed and started again', async ({ server, guest }) => {
  const [ming, anna] = [await guest('阿明'), await guest('Anna')];
  const page = await ming.open();
  await ming.say('之前');
  await expect(texts(page)).toHaveText(['之前']);
  // Said, and known to be: a line that is still on its way would hold the next one up.
  await expect(page.locator('.line--pending')).toHaveCount(0);

  await server.kill();
  const killed = Date.now();
  await expect(link(page)).toHaveText('连接断开，正在重新连接…');
  expect(Date.now() - killed, 'a loss that is over in a moment is not worth a word').toBeGreaterThan(1_500);
  // What is said into the void is not lost either: it is sent when there is a server again.
  await ming.say('断线时说的');
  await expect(lines(page).last()).toContainText('断线时说的');

  await server.start();
  await anna.tell('一', '二', '三');
  await expect(link(page)).toHaveCount(0, { timeout: 25_000 });
  await expect(texts(page)).toHaveCount(5);
  const said = await texts(page).allTextContents();
  expect(said.filter((text) => text !== '断线时说的')).toEqual(['之前', '一', '二', '三']);
  expect(said).toContain('断线时说的');
  // It may still be on its way: the next one waits its turn.
  await expect(page.locator('.line--pending')).toHaveCount(0);

  await ming.say('之后');
  await expect(texts(page)).toHaveText([...said, '之后']);
  await page.reload();
  await expect(texts(page)).toHaveText([...said, '之后']);
});

test('the server is stopped politely: it ends well, and the page returns', async ({ server, guest }) => {
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

test('offline while five things are said', async ({ guest }) => {
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

test('being offline is said after a moment, and over at once', async ({ guest }) => {
  const [ming, anna] = [await guest('阿明'), await guest('Anna')];
  const page = await ming.open();
  await ming.context.setOffline(true);
  await expect(link(page)).toHaveText('连接断开，正在重新连接…');
  await anna.tell('错过的');
  await ming.context.setOffline(false);
  await expect(texts(page)).toHaveText(['错过的'], { timeout: 2_000 });
  await expect(link(page)).toHaveCount(0);
});

test('more missed than is sent at once: a line says how many, and fetches them', async ({ guest, server }) => {
  const [ming, anna] = [await guest('阿明'), await guest('Anna')];
  await anna.tell('0');
  const page = await ming.open();
  await expect(texts(page)).toHaveText(['0']);
  // Away: the page cannot bind while others go on talking.
  let away = true;
  await page.route('**/gateway/bind', (route) => (away ? route.abort() : route.continue()));
  await server.kill();
  await server.start();
  await anna.tell(...numbers(1, 230));
  await expect(texts(page)).toHaveText(['0']);
  away = false;

  const gap = page.locator('.list__gap button');
  await expect(gap).toHaveText('缺少 30 条消息 · 点击补上', { timeout: 25_000 });
  await expect(lines(page)).toHaveCount(201);
  await expect(line(page, '31')).toHaveCount(1);
  await gap.click();
  await expect(gap).toHaveCount(0);
  expect(await texts(page).allTextContents()).toEqual(numbers(0, 230));
});

test('whoever signs out elsewhere is told that this is the end', async ({ guest }) => {
  const ming = await guest('阿明');
  const page = await ming.open();
  await ming.post('/session/logout', {});
  await expect(link(page)).toHaveText('连接已结束，请刷新页面');
});
