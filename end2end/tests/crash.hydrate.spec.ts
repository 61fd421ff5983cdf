// After a crash of the page's code its forms post by themselves, and no bar offers a reload that crashes again.
import { expect, test } from './fixtures';
import { box, button, line, type Person } from './person';
import type { Page } from '@playwright/test';

/** A wasm that ends with a trap: `(module (func (export "f") unreachable))`. */
const TRAP = [0, 97, 115, 109, 1, 0, 0, 0, 1, 4, 1, 96, 0, 0, 3, 2, 1, 0, 7, 5, 1, 1, 102, 0, 0, 10, 5, 1, 3, 0, 0, 11];

/** The ways in which the code of a page ends. */
const CRASHES: Record<string, (page: Page, other: Person) => Promise<unknown>> = {
  'a trap in a callback': (page) =>
    page.evaluate((bytes) => {
      const { exports } = new WebAssembly.Instance(new WebAssembly.Module(new Uint8Array(bytes)));
      setTimeout(exports.f as () => void);
    }, TRAP),
  'a trap in a promise': (page) =>
    page.evaluate((bytes) => {
      const { exports } = new WebAssembly.Instance(new WebAssembly.Module(new Uint8Array(bytes)));
      void Promise.resolve().then(exports.f as () => void);
    }, TRAP),
  'an exception through the wasm': async (page, other) => {
    await page.evaluate(() => {
      // Refuses the calls of the page's code, and of nothing else.
      const refuse = (prototype: object, name: string) => {
        const native = Reflect.get(prototype, name);
        Reflect.set(prototype, name, function (this: unknown, ...args: unknown[]) {
          if (/wasm/.test(new Error().stack ?? '')) throw new Error('the browser refuses');
          return native.apply(this, args);
        });
      };
      for (const name of ['createElement', 'createElementNS', 'createTextNode']) refuse(Document.prototype, name);
      for (const name of ['cloneNode', 'insertBefore']) refuse(Node.prototype, name);
    });
    await other.tell('a line that cannot be shown');
  },
};

const bars = (page: Page) => page.locator('.crash-bar:visible');

for (const [name, crash] of Object.entries(CRASHES)) {
  test(`B03b: after ${name} the form posts by itself, with the text that was typed`, async ({ guest }) => {
    const [anna, ben] = [await guest('anna'), await guest('ben')];
    const page = await anna.open();
    await box(page).fill('typed before the crash');
    await crash(page, ben);
    await expect(bars(page)).toHaveText('页面出错了 刷新');
    await expect(box(page)).toHaveValue('typed before the crash');
    await expect(box(page)).toBeFocused();
    const loaded = page.waitForEvent('load');
    await button(page).click();
    await loaded;
    await expect(line(page, 'typed before the crash')).toBeVisible();
    await expect(bars(page)).toHaveCount(0);
  });
}

test('B03b: after a second crash within a minute the page stays without live lines until the person asks for them', async ({ guest }) => {
  const [anna, ben] = [await guest('anna'), await guest('ben')];
  const page = await anna.open();
  for (const text of ['页面出错了 刷新', '本页暂时不会自动更新，刷新可看新消息 重新开启']) {
    await CRASHES['a trap in a callback']!(page, ben);
    await expect(bars(page)).toHaveText(text);
    if (text.startsWith('页面')) {
      const bound = page.waitForResponse((response) => response.url().endsWith('/gateway/bind'));
      await bars(page).getByRole('link').click();
      await bound;
    }
  }
  let sockets = 0;
  page.on('websocket', () => {
    sockets += 1;
  });
  await page.reload();
  await expect(bars(page)).toHaveText(/^本页暂时不会自动更新/);
  await box(page).fill('by the form alone');
  const loaded = page.waitForEvent('load');
  await button(page).click();
  await loaded;
  await expect(line(page, 'by the form alone')).toBeVisible();
  await expect(bars(page)).toHaveText(/^本页暂时不会自动更新/);
  expect(sockets).toBe(0);
  const bound = page.waitForResponse((response) => response.url().endsWith('/gateway/bind'));
  await bars(page).getByRole('link', { name: '重新开启' }).click();
  await bound;
  await expect(bars(page)).toHaveCount(0);
});

test('B03: a page whose wasm cannot be had or run says so, and its form posts', async ({ guest }) => {
  const anna = await guest('anna');
  const { page } = anna;
  await page.route('**/*.wasm', (route) => route.fulfill({ contentType: 'application/wasm', body: 'no wasm' }));
  await page.goto('/rooms/1');
  await expect(bars(page)).toHaveText('页面出错了 刷新');
  await page.reload();
  await expect(bars(page)).toHaveText(/^本页暂时不会自动更新/);
  await page.unroute('**/*.wasm');
  await page.route('**/*.wasm', (route) => route.abort());
  await bars(page).getByRole('link').click();
  await expect(bars(page)).toHaveText('页面出错了 刷新');
  await box(page).fill('by the form alone');
  const loaded = page.waitForEvent('load');
  await button(page).click();
  await loaded;
  await expect(line(page, 'by the form alone')).toBeVisible();
});

test('B03: a panel that cannot be built counts as a crash, whatever the error', async ({ guest }) => {
  const { page } = await guest('anna');
  await page.route('**/pkg/*.js', (route) =>
    route.fulfill({ contentType: 'text/javascript', body: 'export default async () => {}; export const mount = () => { throw new TypeError(); };' }),
  );
  await page.goto('/rooms/1');
  await expect(bars(page)).toHaveText('页面出错了 刷新');
  await page.reload();
  await expect(bars(page)).toHaveText(/^本页暂时不会自动更新/);
});
