// The page comes alive, and stays alive, whatever a translator, an extension or a proxy makes of its HTML.
import { expect, NO_LIMITS, test } from './fixtures';
import { box, button, line, lines, type Person } from './person';
import { RewritingProxy } from './proxy';
import type { Page } from '@playwright/test';

/** A change of the HTML of the server before the wasm starts, in the browser. */
type Change = () => void;

/** Opens room 1 with the wasm held back, changes the page, types, and lets the wasm start. */
async function openChanged(person: Person, change: Change, typed: string): Promise<Page> {
  const { page } = person;
  let release = () => {};
  const released = new Promise<void>((resolve) => {
    release = resolve;
  });
  await page.route('**/*.wasm', async (route) => {
    await released;
    await route.continue();
  });
  await page.goto('/rooms/1', { waitUntil: 'domcontentloaded' });
  await page.evaluate(change);
  await box(page).pressSequentially(typed);
  const bound = page.waitForResponse((response) => response.url().endsWith('/gateway/bind'), { timeout: 15_000 });
  release();
  await bound;
  return page;
}

/** Holds that the page is alive: text typed before is kept and can be sent, and lines of others come. */
async function expectAlive(page: Page, typed: string, other: Person): Promise<void> {
  await expect(box(page)).toHaveValue(typed);
  await expect(box(page)).toBeFocused();
  await page.evaluate(() => Object.assign(window, { isSamePage: true }));
  await box(page).press('Enter');
  await expect(line(page, typed)).toBeVisible();
  await expect(line(page, typed)).not.toHaveClass(/pending/);
  await other.tell('live for all');
  await expect(line(page, 'live for all')).toBeVisible();
  await expect(page.locator('.crash-bar:visible')).toHaveCount(0);
  expect(await page.evaluate(() => 'isSamePage' in window), 'sent without loading the page').toBe(true);
}

const CHANGES: Record<string, Change> = {
  'an element before the text box': () => document.querySelector('.composer__text')!.before(document.createElement('div')),
  'an element after the text box': () => document.querySelector('.composer__text')!.after(document.createElement('x-ext')),
  'an element at the end of the form': () => document.querySelector('.composer')!.append(document.createElement('x-ext')),
  'an element at the end of the body': () => document.body.append(document.createElement('x-ext')),
  'an element in the list': () => document.querySelector('.list__lines')!.prepend(document.createElement('li')),
  'a mark around the words of a line': () => {
    const words = document.querySelector('.line__text')!;
    const mark = document.createElement('mark');
    mark.append(...words.childNodes);
    words.append(mark);
  },
  'a link within the words of a line': () => {
    const text = document.querySelector('.line__text')!.firstChild as Text;
    const link = document.createElement('a');
    link.append(text.splitText(3));
    text.after(link);
  },
  'attributes everywhere': () => {
    for (const node of document.querySelectorAll('*')) node.setAttribute('data-extension', 'seen');
  },
  'the list taken out': () => document.querySelector('.list')!.remove(),
  'every text wrapped': () => {
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    const texts: Node[] = [];
    while (walker.nextNode()) if (!walker.currentNode.parentElement!.closest('textarea,script')) texts.push(walker.currentNode);
    for (const text of texts) {
      const font = document.createElement('font');
      (text as Text).replaceWith(font);
      font.append(text);
    }
  },
};

const PROXIES: Record<string, (html: string) => string> = {
  'comments taken out': (html) => html.replace(/<!--[\s\S]*?-->|<!>/g, ''),
  'white space between tags taken out': (html) => html.replace(/>\s+</g, '><'),
  'all white space shortened to one space': (html) => html.replace(/\s+/g, ' '),
  'comments and white space taken out': (html) => html.replace(/<!--[\s\S]*?-->|<!>/g, '').replace(/\s+/g, ' ').replace(/> </g, '><'),
  'a script of its own': (html) => html.replace('</body>', '<script src="/missing.js"></script></body>'),
};

test.describe(() => {
  test.use({ settings: NO_LIMITS });

  for (const [name, change] of Object.entries(CHANGES)) {
    test(`B03: the page comes alive with ${name}`, async ({ guest }) => {
      const [anna, ben] = [await guest('anna'), await guest('ben')];
      await ben.tell('words of an earlier line');
      const page = await openChanged(anna, change, 'typed early');
      await expectAlive(page, 'typed early', ben);
    });
  }

  for (const [name, rewrite] of Object.entries(PROXIES)) {
    test(`B04: the page comes alive with ${name} by a proxy`, async ({ guest, server }) => {
      const proxy = new RewritingProxy(new URL(server.url), rewrite);
      try {
        const [anna, ben] = [await guest('anna', { baseURL: await proxy.start() }), await guest('ben')];
        await ben.tell('words of an earlier line');
        const page = await openChanged(anna, () => {}, 'typed early');
        await expectAlive(page, 'typed early', ben);
      } finally {
        proxy.stop();
      }
    });
  }

  test('the panel that the browser builds equals the one of the server', async ({ guest, visitor }) => {
    const options = { timezoneId: 'UTC' };
    const [anna, ben] = [await guest('anna', options), await guest('ben')];
    await ben.tell('one', 'two  spaces');
    for (const person of [anna, await visitor(options)]) {
      const { page } = person;
      let release = () => {};
      const released = new Promise<void>((resolve) => {
        release = resolve;
      });
      await page.route('**/*.wasm', async (route) => {
        await released;
        await route.continue();
      });
      // Before the answer of `bind` the count of people is the server's.
      await page.route('**/gateway/bind', () => {});
      const look = () =>
        page.locator('[data-panel]').evaluate((panel) => {
          const describe = (node: Node): string => {
            // The server writes an empty text as a space.
            if (node instanceof Text) return node.data === ' ' && node.parentNode?.childNodes.length === 1 ? '' : node.data;
            if (!(node instanceof Element)) return '';
            // A parser with scripts reads its content as text.
            if (node.localName === 'noscript') return '<noscript>';
            const attributes = [...node.attributes]
              .map(({ name, value }) => `${name}=${name === 'class' ? value.trim().split(/\s+/).sort().join(' ') : value}`)
              .filter((attribute) => attribute !== 'class=')
              // Without the script the times are stops of the Tab key; with it the list is.
              .filter((attribute) => !node.matches('.line__time') || !attribute.startsWith('tabindex='))
              .sort();
            return `<${node.localName} ${attributes.join(' ')}>${[...node.childNodes].map(describe).join('')}</>`;
          };
          return [...panel.childNodes].map(describe).join('');
        });
      await page.goto('/rooms/1', { waitUntil: 'domcontentloaded' });
      const server = await look();
      await page.evaluate(() => Object.assign(window, { panel: document.querySelector('[data-panel]') }));
      release();
      await page.waitForFunction(() => !(window as unknown as { panel: Element }).panel.isConnected);
      expect(await look()).toBe(server);
    }
  });
});

/** Does as a browser's translator: each text node becomes two elements with a text of their own, and so does each later one. */
const translate = (page: Page) =>
  page.evaluate(() => {
    const translate = (root: Node) => {
      const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
      const texts: Text[] = [];
      while (walker.nextNode()) texts.push(walker.currentNode as Text);
      for (const text of texts) {
        if (!text.data.trim() || !text.parentElement || text.parentElement.closest('textarea,script,font')) continue;
        const [outer, inner] = [document.createElement('font'), document.createElement('font')];
        inner.textContent = text.data;
        outer.append(inner);
        text.replaceWith(outer);
      }
    };
    translate(document.body);
    new MutationObserver((changes) => {
      for (const change of changes) translate(change.target);
    }).observe(document.body, { childList: true, characterData: true, subtree: true });
  });

test('B02: everything that changes in place is true on a page that the browser translates', async ({ guest }) => {
  const [anna, ben] = [await guest('anna'), await guest('ben')];
  const page = await anna.open();
  await translate(page);
  await expect(page.locator('.chat__online font font')).toHaveText(/1/);
  await ben.open();
  await expect(page.locator('.chat__online')).toHaveText(/2/);
  await anna.say('sent once');
  await expect(button(page)).toHaveText('3 S');
  await expect(button(page)).toHaveText('2 S');
  await expect(button(page)).toHaveText('1 S');
  await expect(button(page)).toHaveText('发送');
  await box(page).fill('x'.repeat(125));
  await expect(page.locator('.composer__left')).toHaveText('15');
  await box(page).fill('x'.repeat(138));
  await expect(page.locator('.composer__left')).toHaveText('2');
  await ben.tell('a translated line');
  await expect(line(page, 'a translated line')).toBeVisible();
  await expect(lines(page)).toHaveCount(2);
});

test('B02: the reason in the row of a reader is true on a page that the browser translates', async ({ visitor }) => {
  const { page } = await visitor();
  const bound = page.waitForResponse((response) => response.url().endsWith('/gateway/bind'));
  await page.goto('/rooms/1');
  await bound;
  await translate(page);
  let message = '第一个理由';
  await page.route('**/session/guest', (route) => route.fulfill({ status: 403, json: { status: false, code: 'of_tomorrow', message } }));
  const nickname = page.locator('.composer__nickname');
  await nickname.fill('阿明');
  await nickname.press('Enter');
  await expect(page.locator('.notice font font')).toHaveText('第一个理由');
  message = '第二个理由';
  await nickname.press('Enter');
  await expect(page.locator('.notice')).toHaveText('第二个理由');
});
