// The pages of the staff. Every act is a plain form, so each test runs with and without JavaScript.
import { expect, NO_LIMITS, test } from './fixtures';
import { act, appoint, trySend } from './moderator';

test.use({ settings: NO_LIMITS });

test('a moderator removes, restores, times out, lifts and bans from the page of a message', async ({ host, guest, visitor }) => {
  const star = await host('小星');
  const ben = await appoint(star, await visitor(), 'ben', '小李');
  const spammer = await guest('发财');
  await spammer.tell('第一条', '加我微信', '第三条');
  const { page } = ben;
  await page.goto('/rooms/1/messages/2');
  await expect(page.locator('.said[aria-current]')).toContainText('加我微信');
  await expect(page.locator('.said')).toHaveCount(6);

  await act(page, 'remove').getByRole('button').click();
  await expect(page.locator('.outcome[role=status]')).toBeVisible();
  // The staff reads the removed text, and a viewer does not.
  await expect(page.locator('.said[aria-current]')).toHaveAttribute('data-removed');
  await expect(page.locator('.said[aria-current]')).toContainText('加我微信');
  const viewer = (await visitor()).page;
  await viewer.goto('/rooms/1/messages/2');
  await expect(viewer.locator('.said[aria-current]')).toBeVisible();
  expect(await viewer.content()).not.toContain('加我微信');
  expect(await viewer.content()).not.toContain('mod.js');

  await page.locator('.outcome').getByRole('button').click();
  await expect(page.locator('.said[aria-current]')).not.toHaveAttribute('data-removed');
  await viewer.reload();
  await expect(viewer.locator('.said[aria-current]')).toContainText('加我微信');

  await act(page, 'timeout').locator('select').selectOption('60');
  await act(page, 'timeout').locator('input[name=reason]').fill('广告');
  await act(page, 'timeout').getByRole('button').click();
  await expect(act(page, 'lift')).toHaveCount(1);
  expect(await trySend(spammer, '还在')).toBe('muted');
  await act(page, 'lift').getByRole('button').click();
  await expect(act(page, 'lift')).toHaveCount(0);
  expect(await trySend(spammer, '回来了')).toBe('sent');

  await act(page, 'ban').getByRole('button').click();
  expect(await trySend(spammer, '还在')).toBe('banned');
  await page.goto('/rooms/1/moderate');
  await expect(page.locator('section[aria-labelledby=restraints] .entry')).toContainText('发财');
  await act(page, 'lift').getByRole('button').click();
  expect(await trySend(spammer, '又回来了')).toBe('sent');
  await expect(page.locator('#log .entry').first()).toContainText('发财');
});

test('all messages of a person go, and one undo restores them', async ({ host, guest, visitor }) => {
  const star = await host('小星');
  const [loud, calm] = [await guest('Loud'), await guest('Calm')];
  await loud.tell('one', 'two');
  await calm.tell('three');
  const { page } = star;
  await page.goto('/rooms/1/messages/1');
  await act(page, 'purge').locator('select').selectOption('0');
  await act(page, 'purge').getByRole('button').click();
  await expect(page.locator('.outcome')).toBeVisible();
  const reader = (await visitor()).page;
  await reader.goto('/rooms/1');
  await expect(reader.locator('.list .line--removed')).toHaveCount(2);
  await page.locator('.outcome').getByRole('button').click();
  await expect(page.locator('.said[aria-current]')).not.toHaveAttribute('data-removed');
  await reader.reload();
  await expect(reader.locator('.list .line--removed')).toHaveCount(0);
});

test('a viewer reports, and a moderator settles or removes', async ({ host, guest }) => {
  const star = await host('小星');
  const [rude, kind] = [await guest('Rude'), await guest('Kind')];
  await rude.tell('an insult', 'a joke');
  for (const seq of [1, 2]) {
    await kind.page.goto(`/rooms/1/messages/${seq}`);
    await expect(act(kind.page, 'remove')).toHaveCount(0);
    await kind.page.locator('input[name=reason][value=abuse]').check();
    await kind.page.locator('form[action="/gateway/report"]').getByRole('button').click();
    await expect(kind.page.locator('.refusal, .outcome--refused')).toHaveCount(0);
  }
  const { page } = star;
  await page.goto('/rooms/1/moderate');
  const reports = page.locator('section[aria-labelledby=reports] .entry');
  await expect(reports).toHaveCount(2);
  await reports.nth(0).locator('form[action="/gateway/mod/remove"]').getByRole('button').click();
  await expect(reports).toHaveCount(1);
  await reports.nth(0).locator('form[action="/gateway/mod/settle"]').getByRole('button').click();
  await expect(reports).toHaveCount(0);
  await page.goto('/rooms/1');
  await expect(page.locator('.list .line--removed')).toHaveCount(1);
});

test('the author deletes an own message; a stranger cannot', async ({ guest }) => {
  const [anna, ben] = [await guest('Anna'), await guest('Ben')];
  await anna.tell('a slip');
  await ben.page.goto('/rooms/1/messages/1');
  await expect(ben.page.locator('form[action="/gateway/retract"]')).toHaveCount(0);
  await anna.page.goto('/rooms/1/messages/1');
  await anna.page.locator('form[action="/gateway/retract"]').getByRole('button').click();
  await ben.page.reload();
  await expect(ben.page.locator('.said[aria-current]')).toHaveAttribute('data-removed');
  expect(await ben.page.content()).not.toContain('a slip');
});

test('an unknown message is a 404, and the moderation page is closed to viewers', async ({ guest, visitor }) => {
  const { page } = await guest('Anna');
  for (const path of ['/rooms/1/messages/99', '/rooms/1/messages/x', '/rooms/nowhere/messages/1', '/rooms/nowhere/moderate']) {
    expect((await page.goto(path))?.status(), path).toBe(404);
  }
  expect((await page.goto('/rooms/1/moderate'))?.status()).toBe(403);
  const stranger = (await visitor()).page;
  expect((await stranger.goto('/rooms/1/moderate'))?.status()).toBe(401);
});

test('the host appoints by the name of the account, sets modes, and a revoked moderator is refused', async ({ host, visitor }) => {
  const [star, ben] = [await host('小星'), await visitor()];
  await ben.signIn('/session/register', { name: 'ben', password: 'a long password', nickname: 'Benny' });
  const { page } = star;
  await page.goto('/rooms/1/moderate');
  await page.locator('#role-user').fill('ben');
  await act(page, 'role').last().getByRole('button').click();
  await expect(page.locator('section[aria-labelledby=people] .entry')).toContainText('Benny');
  await star.tell('host says');

  await ben.page.goto('/rooms/1/moderate');
  await expect(act(ben.page, 'role')).toHaveCount(0);
  await ben.page.locator('form:has([name=closed])').getByRole('button').click();
  await expect(ben.page.locator('[name=closed]')).toHaveValue('false');
  await ben.page.locator('form:has([name=closed])').getByRole('button').click();
  await expect(ben.page.locator('[name=closed]')).toHaveValue('true');
  // Nobody acts on a higher rank.
  await ben.page.goto('/rooms/1/messages/1');
  await expect(act(ben.page, 'ban')).toHaveCount(0);

  await ben.page.goto('/rooms/1/moderate');
  await page.locator('section[aria-labelledby=people] .entry').getByRole('button').click();
  await expect(page.locator('section[aria-labelledby=people] .entry')).toHaveCount(0);
  await ben.page.locator('form:has([name=accounts])').getByRole('button').click();
  await expect(ben.page.getByRole('alert')).toBeVisible();
  await page.reload();
  await expect(page.locator('[name=accounts]')).toHaveValue('true');
});

test('at 320 px nothing overflows and every target is 48 px high', async ({ host, guest }) => {
  const star = await host('小星', { viewport: { width: 320, height: 600 } });
  const anna = await guest('Anna');
  await anna.tell('字'.repeat(140), 'w'.repeat(140));
  await (await guest('Eve')).post('/gateway/report', { room: '1', seq: '1', reason: 'spam' });
  const { page } = star;
  for (const path of ['/rooms/1/messages/1', '/rooms/1/moderate']) {
    await page.goto(path);
    const main = page.locator('main');
    await expect(main.getByRole('button').first()).toBeVisible();
    const boxes = await main.locator('button, select, input:not([type=hidden], [type=radio]), a.button, .way, .said__time').all();
    expect(boxes.length).toBeGreaterThan(8);
    for (const box of boxes) {
      const place = await box.boundingBox();
      expect(place!.height, await box.innerText()).toBeGreaterThanOrEqual(48);
      expect(place!.x + place!.width, await box.innerText()).toBeLessThanOrEqual(320);
    }
  }
});
