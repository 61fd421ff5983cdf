// The socket's state as the page says it: facts before hints, close codes, and no socket at all.
import { expect, NO_LIMITS, test } from './fixtures';
import { box, button, link, texts } from './person';

test('B10: a bound socket is up although the browser always says offline', async ({ server, guest }) => {
  const [ming, anna] = [await guest('阿明'), await guest('Anna')];
  await ming.context.addInitScript(() => Object.defineProperty(navigator, 'onLine', { get: () => false }));
  const page = await ming.open();
  await server.kill();
  await expect(link(page)).toHaveText('连接断开，正在重新连接…');
  await server.start();
  await anna.tell('又来了');
  await expect(texts(page)).toHaveText(['又来了'], { timeout: 25_000 });
  await expect(link(page)).toHaveCount(0);
});

test('B10: a stray event of a lost network is checked and not believed', async ({ guest }) => {
  const [ming, anna] = [await guest('阿明'), await guest('Anna')];
  await ming.page.clock.install();
  const page = await ming.open();
  const checked = page.waitForResponse((response) => response.url().endsWith('/gateway/bind'));
  await page.evaluate(() => dispatchEvent(new Event('offline')));
  await checked;
  await page.clock.fastForward(5_000);
  await anna.tell('一直在');
  await expect(texts(page)).toHaveText(['一直在']);
  await expect(link(page)).toHaveCount(0);
});

for (const code of [4500, 4502]) {
  test(`the close code ${code} ends the connection for good`, async ({ guest }) => {
    const ming = await guest('阿明');
    let sockets = 0;
    await ming.page.routeWebSocket(/\/ws$/, (socket) => {
      sockets++;
      void socket.close({ code, reason: 'over' });
    });
    await ming.page.goto('/rooms/1');
    await expect(link(ming.page)).toHaveText('连接已结束，请刷新页面');
    expect(sockets).toBe(1);
  });
}

for (const code of [4407, 4411]) {
  test(`after the close code ${code} the page comes back`, async ({ guest }) => {
    const [ming, anna] = [await guest('阿明'), await guest('Anna')];
    let sockets = 0;
    await ming.page.routeWebSocket(/\/ws$/, (socket) => {
      if (sockets++) void socket.connectToServer();
      else void socket.close({ code, reason: 'come back' });
    });
    await ming.page.goto('/rooms/1');
    await expect.poll(() => sockets, { timeout: 10_000 }).toBe(2);
    await anna.tell('回来了');
    await expect(texts(ming.page)).toHaveText(['回来了']);
  });
}

test('without a working socket the page fetches new messages, says so, and keeps what was accepted', async ({ guest }) => {
  const [ming, anna] = [await guest('阿明'), await guest('Anna')];
  await ming.page.routeWebSocket(/\/ws$/, (socket) => void socket.close({ code: 1006 + 5 }));
  const { page } = ming;
  await page.goto('/rooms/1');
  await expect(link(page)).toHaveText('无法实时连接，每隔几秒更新一次', { timeout: 15_000 });
  await ming.say('第一句');
  await expect(texts(page)).toHaveText(['第一句']);
  await expect(button(page)).toHaveText('发送', { timeout: 5_000 });
  await ming.say('第二句');
  await expect(button(page)).toHaveText(/^\d S$/);
  await anna.tell('听得见');
  await expect(texts(page)).toHaveText(['第一句', '第二句', '听得见'], { timeout: 20_000 });
  await expect(box(page)).toHaveValue('');
});

test.describe('without limits', () => {
  test.use({ settings: NO_LIMITS });

  test('P4: a page that fetches starts over when the database began anew', async ({ server, visitor, guest }) => {
    test.slow();
    const [reader, anna] = [await visitor(), await guest('Anna')];
    await anna.tell('旧一', '旧二');
    await reader.page.routeWebSocket(/\/ws$/, (socket) => void socket.close({ code: 1011 }));
    const page = await reader.open();
    await expect(link(page)).toHaveText('无法实时连接，每隔几秒更新一次', { timeout: 15_000 });
    await expect(texts(page)).toHaveText(['旧一', '旧二']);
    await server.startAnew();
    const bea = await guest('Bea');
    await bea.tell('新');
    await expect(texts(page)).toHaveText(['新'], { timeout: 30_000 });
  });
});
