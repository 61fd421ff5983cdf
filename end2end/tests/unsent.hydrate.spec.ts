// Typed text is never lost: a message without an answer stays, waits for the network, and survives a reload under its nonce.
import type { Page } from '@playwright/test';
import { expect, test } from './fixtures';
import { box, button, line, lines, notice, texts } from './person';

const state = (page: Page) => page.locator('.line__state');
const hint = (page: Page) => page.locator('.composer__hint');

/** Lets no request of a message through until the returned function is called; counts the attempts. */
async function cut(page: Page) {
  const attempts = { count: 0, isCut: true };
  await page.route('**/gateway/send', (route) => {
    attempts.count++;
    return attempts.isCut ? route.abort() : route.continue();
  });
  return attempts;
}

test('P4: a message whose answer was lost survives a reload and is stored once', async ({ guest }) => {
  const [ming, anna] = [await guest('阿明'), await guest('Anna')];
  const page = await ming.open();
  await anna.open();
  let stored = 0;
  await page.route('**/gateway/send', async (route) => {
    if (!stored++) await route.fetch();
    await route.abort();
  });
  await ming.say('只说一次');
  await expect(texts(anna.page)).toHaveText(['只说一次']);
  await page.unroute('**/gateway/send');
  await page.reload();
  await expect(button(page)).toHaveText(/^\d S$/);
  await expect(texts(page)).toHaveText(['只说一次']);
  await expect(texts(anna.page)).toHaveText(['只说一次']);
  await page.reload();
  await expect(button(page)).toHaveText('发送');
  await expect(texts(page)).toHaveText(['只说一次']);
  await expect(box(page)).toHaveValue('');
});

test('P4: a message that never reached the server is sent after a reload', async ({ guest }) => {
  const [ming, anna] = [await guest('阿明'), await guest('Anna')];
  await anna.open();
  const page = await ming.open();
  await cut(page);
  await ming.say('隧道里说的');
  await expect(texts(page)).toHaveText(['隧道里说的']);
  await page.unroute('**/gateway/send');
  await page.reload();
  await expect(texts(anna.page)).toHaveText(['隧道里说的']);
  await expect(texts(page)).toHaveText(['隧道里说的']);
});

test('P4: an unsent message stays, can be sent again, and can be deleted', async ({ guest }) => {
  const [ming, anna] = [await guest('阿明'), await guest('Anna')];
  await anna.open();
  const page = await ming.open();
  const attempts = await cut(page);
  await ming.say('没发出去');
  await expect(state(page)).toHaveText('未发送 · 重试 · 删除', { timeout: 15_000 });
  await expect(box(page)).toHaveValue('');
  await expect(box(page)).toBeFocused();
  await expect(notice(page)).toHaveCount(0);
  attempts.isCut = false;
  await page.getByRole('button', { name: '重试' }).click();
  await expect(texts(anna.page)).toHaveText(['没发出去']);
  await expect(state(page)).toHaveCount(0);
  await expect(button(page)).toHaveText('发送', { timeout: 5_000 });

  attempts.isCut = true;
  await ming.say('不要了');
  await expect(state(page)).toHaveText('未发送 · 重试 · 删除', { timeout: 15_000 });
  await page.getByRole('button', { name: '删除' }).press('Enter');
  await expect(box(page)).toBeFocused();
  await expect(texts(page)).toHaveText(['没发出去']);
  attempts.isCut = false;
  await page.reload();
  await ming.say('后来的');
  await expect(texts(anna.page)).toHaveText(['没发出去', '后来的']);
});

test('P4: an unsent message of one person is not sent by the next', async ({ guest }) => {
  const ming = await guest('阿明');
  const page = await ming.open();
  await cut(page);
  await ming.say('阿明没发出去的');
  await expect(state(page)).toContainText('未发送', { timeout: 15_000 });
  // Another tab of the browser signs out and in again as another person.
  await ming.post('/session/logout', {});
  await ming.enterAsGuest('另一个人');
  await expect(page.locator('.menu__you [data-own-nickname]')).toHaveText('另一个人', { timeout: 15_000 });
  await expect(texts(page)).toHaveCount(0);
  await expect(box(page)).toHaveValue('');
  await page.unroute('**/gateway/send');
  await ming.say('另一个人说的');
  await expect(button(page)).toHaveText(/^\d S$/);
  await expect(texts(page)).toHaveText(['另一个人说的']);
  await page.reload();
  await expect(texts(page)).toHaveText(['另一个人说的']);
});

test('P4: a text is not sent as another person that the page has not heard of', async ({ guest }) => {
  const [ming, other] = [await guest('阿明'), await guest('另一个人')];
  const page = await ming.open();
  const reader = await other.open();
  // The browser gets another session, and nothing tells the page.
  await ming.context.clearCookies();
  await ming.context.addCookies(await other.context.cookies());
  await ming.say('阿明写的');
  await expect(page.locator('.menu__you [data-own-nickname]')).toHaveText('另一个人', { timeout: 15_000 });
  await expect(texts(page)).toHaveCount(0);
  await expect(box(page)).toHaveValue('');
  await ming.say('另一个人写的');
  await expect(texts(reader)).toHaveText(['另一个人写的']);
  await expect(texts(page)).toHaveText(['另一个人写的']);
});

test('P4: a retry that is pressed again and again keeps the message, and hides while a request runs', async ({ guest }) => {
  const ming = await guest('阿明');
  const page = await ming.open();
  const attempts = await cut(page);
  await ming.say('再试一次');
  const retry = page.getByRole('button', { name: '重试' });
  await expect(retry).toBeVisible({ timeout: 15_000 });
  let answer = () => {};
  const held = new Promise<void>((done) => (answer = done));
  await page.unroute('**/gateway/send');
  await page.route('**/gateway/send', async (route) => {
    await held;
    await route.continue();
  });
  await retry.press('Enter');
  await expect(box(page)).toBeFocused();
  await expect(state(page)).toHaveText('发送中');
  await expect(retry).toHaveCount(0);
  answer();
  await expect(button(page)).toHaveText(/^\d S$/);
  await expect(texts(page)).toHaveText(['再试一次']);
  expect(attempts.count).toBeGreaterThan(3);
});

test('P25: a message waits for the network and for the one before it', async ({ guest }) => {
  const [ming, anna] = [await guest('阿明'), await guest('Anna')];
  await anna.open();
  const page = await ming.open();
  await ming.context.setOffline(true);
  await ming.say('第一句');
  await ming.say('第二句');
  await expect(hint(page)).toContainText('上一条送达后发送');
  await expect(box(page)).toHaveValue('第二句');
  await expect(state(page)).toContainText('未发送', { timeout: 15_000 });
  await ming.context.setOffline(false);
  await expect(texts(anna.page)).toHaveText(['第一句', '第二句'], { timeout: 15_000 });
  await expect(texts(page)).toHaveText(['第一句', '第二句']);
  await expect(box(page)).toHaveValue('');
});

test('P4: a storage that throws loses nothing but the copy', async ({ guest }) => {
  const ming = await guest('阿明');
  await ming.context.addInitScript(() => {
    Storage.prototype.setItem = () => {
      throw new DOMException('full', 'QuotaExceededError');
    };
    Storage.prototype.getItem = () => {
      throw new DOMException('denied', 'SecurityError');
    };
  });
  const page = await ming.open();
  await ming.say('照样能说');
  await expect(line(page, '照样能说')).toHaveCount(1);
  await expect(button(page)).toHaveText(/^\d S$/);
});

test('B52: the draft of one person is not shown to the next', async ({ guest }) => {
  const ming = await guest('阿明');
  const page = await ming.open();
  await box(page).fill('只有我能看');
  await page.reload();
  await expect(box(page)).toHaveValue('只有我能看');
  await ming.post('/session/logout', {});
  await ming.enterAsGuest('另一个人');
  await ming.open();
  await expect(box(page)).toHaveValue('');
  expect(await page.evaluate(() => Object.values(sessionStorage).join())).not.toContain('只有我能看');
});

test('P23: the draft is there after Back', async ({ guest }) => {
  const ming = await guest('阿明');
  const page = await ming.open();
  await box(page).fill('还没写完');
  await page.goto('/');
  await page.goBack();
  await expect(box(page)).toHaveValue('还没写完');
});

test.describe('answers of tomorrow', () => {
  const answers = [
    { status: 403, json: { status: false, code: 'muted', message: '您被禁言到 12:00', until: 1, reason: 'x', case: 'c' }, words: '您被禁言到 12:00' },
    { status: 451, json: { status: false, code: 'of_tomorrow', message: '明天的理由', more: [1] }, words: '明天的理由' },
    { status: 403, json: { status: false, code: 'room_mode', mode: 'links', message: '这里不能发链接' }, words: '这里不能发链接' },
  ];
  for (const { status, json, words } of answers) {
    test(`T1: the unknown refusal ${json.code} is final and shows the server's sentence`, async ({ guest }) => {
      const ming = await guest('阿明');
      const page = await ming.open();
      let requests = 0;
      await page.route('**/gateway/send', (route) => {
        requests++;
        return route.fulfill({ status, json });
      });
      await ming.say('说说看');
      await expect(notice(page)).toHaveText(words);
      await expect(box(page)).toHaveValue('说说看');
      await expect(lines(page)).toHaveCount(0);
      expect(requests).toBe(1);
    });
  }

  test('T1: an accepted message without seq is held; without cooldown the rule of the room counts', async ({ guest }) => {
    const ming = await guest('阿明');
    const page = await ming.open();
    await page.route('**/gateway/send', (route) => route.fulfill({ json: { status: true, held: true, release_at: 5 } }));
    await ming.say('先给房管看');
    await expect(lines(page)).toContainText('先给房管看 等待房管审核');
    await expect(button(page)).toHaveText(/^\d S$/);
    await expect(box(page)).toHaveValue('');
  });

  test('T1: a held message leaves when it is released', async ({ guest }) => {
    const ming = await guest('阿明');
    const page = await ming.open();
    await page.route('**/gateway/send', (route) => route.fulfill({ json: { status: true, held: true } }));
    await ming.say('先看看');
    await expect(lines(page)).toContainText('等待房管审核');
    await ming.tell('先看看');
    await expect(state(page)).toHaveCount(0);
    await expect(texts(page)).toHaveText(['先看看']);
  });

  test('T1: an uncertain outcome is repeated under its nonce', async ({ guest }) => {
    const ming = await guest('阿明');
    const page = await ming.open();
    const nonces: string[] = [];
    await page.route('**/gateway/send', async (route) => {
      nonces.push(new URLSearchParams(route.request().postData() ?? '').get('nonce') ?? '');
      if (nonces.length > 1) return route.continue();
      await route.fulfill({ status: 504, json: { status: false, code: 'uncertain', message: '不确定' } });
    });
    await ming.say('到底发没发');
    await expect(button(page)).toHaveText(/^\d S$/);
    await expect(texts(page)).toHaveText(['到底发没发']);
    expect(nonces).toHaveLength(2);
    expect(nonces[0]).toBe(nonces[1]);
  });

  test('T1: busy after an uncertain outcome keeps the nonce, and the message is stored once', async ({ guest }) => {
    const [ming, anna] = [await guest('阿明'), await guest('Anna')];
    await anna.open();
    const page = await ming.open();
    const nonces: string[] = [];
    await page.route('**/gateway/send', async (route) => {
      nonces.push(new URLSearchParams(route.request().postData() ?? '').get('nonce') ?? '');
      if (nonces.length > 2) return route.continue();
      if (nonces.length === 2) return route.fulfill({ status: 503, json: { status: false, code: 'busy', message: '忙' } });
      // It is stored, although its answer says that nobody knows.
      await route.fetch();
      await route.fulfill({ status: 504, json: { status: false, code: 'uncertain', message: '不确定' } });
    });
    await ming.say('只存一次');
    await expect(button(page)).toHaveText(/^\d S$/);
    await expect(notice(page)).toHaveCount(0);
    await expect(box(page)).toHaveValue('');
    await expect(texts(page)).toHaveText(['只存一次']);
    expect(nonces).toEqual([nonces[0], nonces[0], nonces[0]]);
    await page.reload();
    await expect(texts(page)).toHaveText(['只存一次']);
    await expect(texts(anna.page)).toHaveText(['只存一次']);
  });

  test('T1: a refusal after an uncertain outcome gives the text back, and the same text keeps its nonce', async ({ guest }) => {
    const ming = await guest('阿明');
    const page = await ming.open();
    const nonces: string[] = [];
    await page.route('**/gateway/send', async (route) => {
      nonces.push(new URLSearchParams(route.request().postData() ?? '').get('nonce') ?? '');
      if (nonces.length > 2) return route.continue();
      const [status, code] = nonces.length === 1 ? [504, 'uncertain'] : [403, 'not_allowed'];
      await route.fulfill({ status, json: { status: false, code, message: '不行' } });
    });
    await ming.say('再说一遍');
    await expect(box(page)).toHaveValue('再说一遍');
    await button(page).click();
    await expect(texts(page)).toHaveText(['再说一遍']);
    expect(nonces).toEqual([nonces[0], nonces[0], nonces[0]]);
  });

  test('T1: busy alone gives the text back', async ({ guest }) => {
    const ming = await guest('阿明');
    const page = await ming.open();
    await page.route('**/gateway/send', (route) =>
      route.fulfill({ status: 503, json: { status: false, code: 'busy', message: '忙' } }),
    );
    await ming.say('等会儿再说');
    await expect(notice(page)).toHaveCount(1);
    await expect(box(page)).toHaveValue('等会儿再说');
    await expect(lines(page)).toHaveCount(0);
  });
});
