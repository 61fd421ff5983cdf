// Removals, the room's state and the pin, as they reach pages that are open.
import { expect, NO_LIMITS, test } from './fixtures';
import { box, line, lines, type Person, texts } from './person';
import type { Page } from '@playwright/test';

test.use({ settings: NO_LIMITS });

/** The row of a message. */
const row = (page: Page, seq: number) => page.locator(`.line[data-seq="${seq}"]`);
const remove = (host: Person, seq: number) => host.post('/gateway/mod/remove', { room: '1', seq: String(seq) });
const html = (page: Page) => page.locator('.list__lines').evaluate((list) => list.outerHTML);

test('trap 1: a removed text is on no page, of those that were offline and hidden too', async ({ host, guest }) => {
  const [star, ming, lan] = [await host('小星'), await guest('阿明'), await guest('小兰')];
  const mings = await ming.open();
  const lans = await lan.open();
  await ming.tell('早上好', '机密');
  await expect(texts(lans)).toHaveText(['早上好', '机密']);
  // 阿明 is offline, 小兰's tab is hidden while another removal comes.
  await ming.context.setOffline(true);
  await lans.evaluate(() => Object.defineProperty(document, 'hidden', { value: true, configurable: true }));
  await lan.tell('第三句');
  await remove(star, 2);
  await remove(star, 3);
  await expect(row(lans, 2)).toHaveText(/消息已被房管移除/);
  await expect(row(lans, 3)).toHaveText(/消息已被房管移除/);
  expect(await html(lans)).not.toMatch(/机密|第三句/);
  await ming.context.setOffline(false);
  await expect(row(mings, 2)).toHaveText(/消息已被房管移除/);
  await expect(row(mings, 3)).toHaveText(/消息已被房管移除/);
  expect(await html(mings)).not.toMatch(/机密|第三句/);
  await expect(lines(mings)).toHaveCount(3);
  // And on a page that is opened now.
  await mings.reload();
  await expect(row(mings, 2)).toHaveText(/消息已被房管移除/);
  expect(await mings.content()).not.toMatch(/机密|第三句/);
});

test('an undone removal brings the message back to its place', async ({ host, guest }) => {
  const [star, ming] = [await host('小星'), await guest('阿明')];
  const page = await ming.open();
  await ming.tell('一', '二', '三');
  const { action } = await remove(star, 2);
  await expect(row(page, 2)).toHaveText(/消息已被房管移除/);
  await star.post('/gateway/mod/undo', { action });
  await expect(texts(page)).toHaveText(['一', '二', '三']);
});

test('a purge removes every line of the person and no other', async ({ host, guest }) => {
  const [star, ming, lan] = [await host('小星'), await guest('阿明'), await guest('小兰')];
  const page = await lan.open();
  await ming.tell('刷', '屏');
  await lan.tell('你好');
  await star.post('/gateway/mod/purge', { room: '1', user: ming.uid });
  await expect(page.locator('.line--removed')).toHaveCount(2);
  await expect(line(page, '你好')).toBeVisible();
});

test('title, closed room and room for accounts change without a reload', async ({ host, guest }) => {
  const [star, ming] = [await host('小星'), await guest('阿明')];
  const page = await ming.open();
  await box(page).fill('写了一半');
  await star.post('/gateway/mod/title', { room: '1', title: '新标题' });
  await expect(page.locator('h1')).toHaveText('新标题');
  await expect(page).toHaveTitle('新标题 · Roomcast');
  await star.post('/gateway/mod/mode', { room: '1', closed: 'true' });
  await expect(page.locator('.composer__why')).toHaveText('该房间已关闭，不能发言');
  await expect(box(page)).toBeHidden();
  await star.post('/gateway/mod/mode', { room: '1', closed: 'false', accounts: 'true' });
  await expect(page.locator('.composer__why')).toContainText('该房间只有注册用户可以发言');
  await expect(page.locator('.composer__register')).toHaveAttribute('href', /tab=register/);
  await star.post('/gateway/mod/mode', { room: '1', accounts: 'false' });
  await expect(box(page)).toHaveValue('写了一半');
  await expect(box(page)).toBeVisible();
  await box(page).fill('');
  await star.post('/gateway/mod/mode', { room: '1', slow_ms: '30000' });
  await expect(box(page)).toHaveAttribute('placeholder', '输入聊天内容... · 慢速模式 30 秒');
});

test('a pinned message has a bar, is folded away for the tab, and leaves with its message', async ({ host, guest }) => {
  const [star, ming] = [await host('小星'), await guest('阿明')];
  const page = await ming.open();
  await ming.tell('群规：友善');
  await star.post('/gateway/mod/pin', { room: '1', seq: '1' });
  const pin = page.locator('.pin');
  await expect(pin).toHaveText(/置顶.*群规：友善/);
  await page.reload();
  await expect(pin).toHaveText(/置顶.*群规：友善/);
  await pin.getByRole('link').click();
  await expect(row(page, 1)).toHaveClass(/line--found/);
  await remove(star, 1);
  await expect(pin).toHaveCount(0);
  await star.tell('第二条');
  await star.post('/gateway/mod/pin', { room: '1', seq: '2' });
  await pin.getByRole('button').click();
  await expect(pin).toHaveCount(0);
  await page.reload();
  await expect(line(page, '第二条')).toBeVisible();
  await expect(pin).toHaveCount(0);
});

test('badges are words of roles', async ({ host, visitor, guest }) => {
  const star = await host('小星');
  const mod = await (await visitor()).signIn('/session/register', { name: 'lan', password: 'correct horse', nickname: '小兰' });
  const vip = await (await visitor()).signIn('/session/register', { name: 'mei', password: 'correct horse', nickname: '小梅' });
  await star.post('/gateway/mod/role', { room: '1', user: mod.uid, role: 'moderator' });
  await star.post('/gateway/mod/role', { room: '1', user: vip.uid, role: 'vip' });
  await mod.tell('管');
  await vip.tell('贵');
  const page = await (await guest('阿明')).open();
  await expect(line(page, '管').locator('.line__badge')).toHaveText('[房管]');
  await expect(line(page, '贵').locator('.line__badge')).toHaveText('[贵宾]');
});
