// On a phone 360 px wide nothing overflows, and text box and button are on the screen.
import { expect, test } from './fixtures';
import { box, button, line } from './person';
import type { Page } from '@playwright/test';

const PHONE = { viewport: { width: 360, height: 740 }, hasTouch: true, isMobile: true };

async function expectNoOverflow(page: Page): Promise<void> {
  const { wide, out } = await page.evaluate(() => {
    const out = [...document.body.querySelectorAll('*')].filter((element) => {
      const { left, right, width } = element.getBoundingClientRect();
      return width > 0 && (left < -0.5 || right > 360.5);
    });
    return { wide: document.documentElement.scrollWidth, out: out.map((element) => element.outerHTML.slice(0, 120)) };
  });
  expect(out).toEqual([]);
  expect(wide).toBe(360);
}

for (const locale of ['zh-CN', 'en-US']) {
  test(`every page fits on a phone in ${locale}`, async ({ host, guest, visitor }) => {
    const [star, ming] = [await host('名字很长的小星'.repeat(3)), await guest('W'.repeat(32), { ...PHONE, locale })];
    await star.post('/gateway/rooms', { title: 'unbroken'.repeat(7) });
    await star.tell('字'.repeat(140));
    await ming.tell('w'.repeat(140));
    const page = await ming.open();
    await expect(line(page, 'w'.repeat(140))).toBeVisible();
    await expectNoOverflow(page);
    await expect(button(page)).toBeInViewport({ ratio: 1 });
    await expect(box(page)).toBeInViewport({ ratio: 1 });
    for (const text of await page.locator('.line__text, .line__nickname').all()) await expect(text).toHaveCSS('font-size', '14px');

    await page.goto('/rooms/2');
    await expectNoOverflow(page);
    for (const person of [ming, await visitor({ ...PHONE, locale })]) {
      for (const path of ['/', '/rooms/1', '/sign-in', '/nowhere']) {
        await person.page.goto(path);
        await expectNoOverflow(person.page);
      }
    }
  });
}
