// Two nodes as their viewers see them: one room on both, a node that is killed, and a sign-out at one node.
import type { Page, Route } from '@playwright/test';
import { expect, NO_LIMITS, test } from './fixtures';
import { appoint, bar, point, row, sheet, toast, trySend } from './moderator';
import { box, numbers, texts, type Person } from './person';

test.use({ settings: NO_LIMITS });

/** A visitor of one node: the page, its socket and its requests are all there. */
const at = ({ url }: { url: string }) => ({ baseURL: url });

test('people at two nodes see each other’s lines, and a removal and a ban at one node reach pages at the other', async ({
  cluster,
  host,
  guest,
  visitor,
}) => {
  const [here, there] = cluster.nodes.map(at);
  const ben = await appoint(await host('小星'), await visitor(here), 'ben', '小李');
  const [ming, reader] = [await guest('阿明', there), await guest('Reader', there)];
  const [page, rude, seen] = [await ben.open(), await ming.open(), await reader.open()];
  const pages = [page, rude, seen];
  for (const one of pages) await one.evaluate(() => document.body.setAttribute('data-same', ''));

  await ben.say('one');
  for (const one of pages) await expect(texts(one)).toHaveText(['one']);
  await ming.say('two');
  for (const one of pages) await expect(texts(one)).toHaveText(['one', 'two']);

  await point(page, 2);
  await bar(page).locator('[data-act=remove]').click();
  for (const one of pages) await expect(row(one, 2)).toHaveClass(/line--removed/);
  await expect(row(seen, 2)).not.toContainText('two');
  await toast(page).getByRole('button').click();
  for (const one of pages) await expect(row(one, 2)).toContainText('two');

  await point(page, 2);
  await bar(page).locator('[data-act=more]').click();
  await sheet(page).getByRole('button', { name: '封禁' }).click();
  await sheet(page).getByRole('button', { name: '封禁' }).click();
  await expect(rude.locator('.composer__why')).toContainText('你已被禁止发言');
  await expect(box(rude)).toBeHidden();
  await expect(box(seen)).toBeVisible();
  expect(await trySend(ming, 'three')).toBe('banned');
  for (const one of pages) await expect(one.locator('body')).toHaveAttribute('data-same');
});

test('a socket at one node is bound by a request at the other, which also takes the message', async ({ cluster, guest }) => {
  const [here, there] = cluster.nodes;
  const ming = await guest('阿明', at(here!));
  const { page } = ming;
  const statuses: [string, number][] = [];
  await page.route('**/gateway/*', async (route) => {
    const path = new URL(route.request().url()).pathname;
    // Behind a balancer both nodes have the same origin.
    const headers = { ...(await route.request().allHeaders()), origin: there!.url };
    const response = await route.fetch({ url: there!.url + path, headers });
    statuses.push([path, response.status()]);
    await route.fulfill({ response });
  });
  let sockets = 0;
  page.on('websocket', () => {
    sockets += 1;
  });
  await ming.open();
  await ming.say('by the other one');
  await expect(texts(page)).toHaveText(['by the other one']);
  await expect(page.locator('.line--pending')).toHaveCount(0);
  await (await guest('Anna', at(here!))).tell('by this one');
  await expect(texts(page)).toHaveText(['by the other one', 'by this one']);
  expect(statuses).toEqual([
    ['/gateway/bind', 200],
    ['/gateway/send', 200],
  ]);
  expect(sockets).toBe(1);
});

/** The text of a person whose node is killed while it is sent. */
const OWN = '说到一半';

/** Notes everything that the page says beside the lines, and each state of the list that is not 1, 2, 3 and so on. */
async function watch(page: Page): Promise<() => Promise<string[]>> {
  await page.evaluate((own) => {
    const noted = new Set<string>();
    const look = () => {
      const said = '.chat__link, .notice, .line__state, .list__gap, .composer__why, .crash-bar, #join-notice';
      for (const element of document.querySelectorAll<HTMLElement>(said)) {
        if (element.checkVisibility() && element.innerText) noted.add(element.innerText);
      }
      const lines = [...document.querySelectorAll('.list .line__text')].map((line) => line.textContent);
      const others = lines.filter((text) => text !== own);
      if (lines.length > others.length + 1 || others.some((text, index) => text !== String(index + 1))) noted.add(lines.join());
    };
    new MutationObserver(look).observe(document.body, { subtree: true, childList: true, characterData: true, attributes: true });
    Object.assign(window, { noted });
  }, OWN);
  return () => page.evaluate(() => [...(window as unknown as { noted: Set<string> }).noted]);
}

/** Returns the texts of the room as they are stored, at most 100. */
async function stored(person: Person): Promise<string[]> {
  const form = { room: '1', before: String(Number.MAX_SAFE_INTEGER), limit: '100' };
  const { messages } = await person.post('/gateway/history', form);
  return messages.map(({ text }: { text: string }) => text);
}

for (const when of ['before', 'after'] as const) {
  test(`a node is killed ${when} it stores a message: its page shows every line once, in order, at the other`, async ({ cluster, guest }) => {
    const [dying, living] = cluster.nodes;
    cluster.balancer.lead = 0;
    const [ming, anna] = [await guest('阿明'), await guest('Anna', at(living!))];
    const page = await ming.open();
    await anna.tell(...numbers(1, 20));
    await expect(texts(page)).toHaveText(numbers(1, 20));
    const noted = await watch(page);

    const flow = anna.tell(...numbers(21, 60));
    if (when === 'before') {
      dying!.freeze();
      const asked = page.waitForRequest('**/gateway/send');
      await ming.say(OWN);
      await asked;
      expect(await stored(anna)).not.toContain(OWN);
      await dying!.kill();
    } else {
      const lost = page.waitForEvent('requestfailed', (request) => request.url().endsWith('/gateway/send'));
      const loseAnswer = async (route: Route) => {
        expect((await route.fetch()).status()).toBe(200);
        expect(await stored(anna)).toContain(OWN);
        await dying!.kill();
        await route.abort();
      };
      await page.route('**/gateway/send', loseAnswer, { times: 1 });
      await ming.say(OWN);
      await lost;
    }
    await flow;
    // While the page is away, and after it came back.
    await anna.tell(...numbers(61, 90));

    await expect(texts(page)).toHaveCount(91, { timeout: 15_000 });
    await expect(page.locator('.line--pending')).toHaveCount(0);
    const kept = await stored(anna);
    await expect(texts(page)).toHaveText(kept);
    expect(kept.filter((text) => text === OWN)).toHaveLength(1);
    expect(kept.filter((text) => text !== OWN)).toEqual(numbers(1, 90));
    // Both are true: the message is on its way until the other node answers, and the socket may be away for more than 2 s.
    const may = ['发送中', '连接断开，正在重新连接…'];
    expect((await noted()).filter((text) => !may.includes(text))).toEqual([]);
    await anna.tell('live again');
    await expect(texts(page).last()).toHaveText('live again');
  });
}

test('a sign-out at one node is told on the page whose socket is at the other', async ({ cluster, guest }) => {
  const [here, there] = cluster.nodes;
  const [ming, anna] = [await guest('阿明', at(here!)), await guest('Anna', at(here!))];
  // Cookies know no port, so the second tab has the same session at the other node.
  const page = await ming.context.newPage();
  const bound = page.waitForResponse((response) => response.url().endsWith('/gateway/bind'));
  await page.goto(`${there!.url}/rooms/1`);
  await bound;
  await expect(box(page)).toBeVisible();
  await ming.post('/session/logout', {});
  // The text of the close code 4501: without it the next request would find no session, and a guest would read another text.
  await expect(page.locator('#join-notice')).toHaveText('您已退出登录');
  await expect(box(page)).toBeHidden();
  await anna.tell('still heard');
  await expect(texts(page)).toHaveText(['still heard'], { timeout: 15_000 });
});
