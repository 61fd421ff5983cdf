// A room with a moderator, and the bar, rows and dialogs of the staff's script.
import { expect, type Locator, type Page } from '@playwright/test';
import type { Person } from './person';

/** Registers an account and makes it a moderator of room 1. */
export async function appoint(host: Person, person: Person, name: string, nickname: string): Promise<Person> {
  await person.signIn('/session/register', { name, password: 'a long password', nickname });
  await host.post('/gateway/mod/role', { room: '1', user: person.uid, role: 'moderator' });
  return person;
}

export const row = (page: Page, seq: number): Locator => page.locator(`.list__lines > [data-seq="${seq}"]`);
export const bar = (page: Page): Locator => page.locator('.row-bar');
export const sheet = (page: Page): Locator => page.locator('dialog.sheet');
export const toast = (page: Page): Locator => page.locator('.toast');
export const act = (page: Page, verb: string): Locator => page.locator(`form[action="/gateway/mod/${verb}"]`);

/** Puts the mouse on a row and waits until its bar takes clicks. */
export async function point(page: Page, seq: number): Promise<void> {
  await row(page, seq).hover({ position: { x: 20, y: 10 } });
  await expect(bar(page)).toHaveAttribute('data-of', String(seq));
  await expect(bar(page)).not.toHaveAttribute('data-settling');
}

/** Sends, and returns the status and the code of a refusal. */
export async function trySend(person: Person, message: string): Promise<string> {
  const response = await person.context.request.post('/gateway/send', { form: { room: '1', message } });
  return response.ok() ? 'sent' : (await response.json()).code;
}
