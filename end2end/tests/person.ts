// A person with their own browser, with or without a session, and their actions in a room: on the page or by plain HTTP.
import { expect, type BrowserContext, type Locator, type Page } from '@playwright/test';

export type Form = Record<string, string>;

export class Person {
  uid = '';
  nickname = '';

  constructor(
    readonly context: BrowserContext,
    readonly page: Page,
    private readonly hydrates: boolean,
  ) {}

  async enterAsGuest(nickname: string): Promise<this> {
    return this.signIn('/session/guest', { nickname });
  }

  async signIn(path: string, form: Form): Promise<this> {
    const { uid, nickname } = await this.post(path, form);
    this.uid = uid;
    this.nickname = nickname;
    return this;
  }

  /** Posts a form as the page does; a refusal fails the test. */
  async post(path: string, form: Form) {
    const response = await this.context.request.post(path, { form });
    const text = await response.text();
    expect(response.status(), `${path}: ${text}`).toBe(200);
    return JSON.parse(text);
  }

  /** Sends messages without a page, by plain HTTP. */
  async tell(...texts: string[]): Promise<void> {
    for (const message of texts) await this.post('/gateway/send', { room: '1', message });
  }

  /** Opens a room. With JavaScript and a session it waits until the panel's socket is bound. */
  async open(room = '1', page = this.page): Promise<Page> {
    const bound = this.hydrates && this.uid ? page.waitForResponse((response) => response.url().endsWith('/gateway/bind')) : undefined;
    await page.goto(`/rooms/${room}`);
    await bound;
    return page;
  }

  /** Types and presses Enter. */
  async say(text: string, page = this.page): Promise<void> {
    await box(page).fill(text);
    await box(page).press('Enter');
  }
}

export const box = (page: Page): Locator => page.locator('.composer__text');
export const button = (page: Page): Locator => page.locator('.composer__send');
export const notice = (page: Page): Locator => page.locator('.notice');
export const lines = (page: Page): Locator => page.locator('.list .line');
export const texts = (page: Page): Locator => page.locator('.list .line__text');
export const link = (page: Page): Locator => page.locator('.chat__link');
export const pill = (page: Page): Locator => page.locator('.list__pill');
export const scroller = (page: Page): Locator => page.locator('.list__scroller');

export const menu = (page: Page): Locator => page.locator('.menu').first();

/** Opens the menu behind the three dots, unless it is open. */
export async function openMenu(page: Page): Promise<void> {
  if ((await menu(page).getAttribute('open')) === null) await menu(page).locator('summary').first().click();
}

/** The line with exactly this text. */
export const line = (page: Page, text: string): Locator =>
  lines(page).filter({ has: page.locator('.line__text').getByText(text, { exact: true }) });

/** The numbers `from` to `to` as texts. */
export const numbers = (from: number, to: number): string[] => Array.from({ length: to - from + 1 }, (_, index) => String(from + index));
