// The sign-in page: one form at a time, errors at their field, and a way back to the room.
import type { Locator, Page } from '@playwright/test';
import { expect, test } from './fixtures';

const form = (page: Page, action: string): Locator => page.locator(`form[action="/session/${action}"]`);
const tab = (page: Page, name: string): Locator => page.getByRole('navigation', { name: '登录方式' }).getByRole('link', { name, exact: true });

/** The error of a field, as a screen reader hears it with the field. */
async function errorOf(field: Locator): Promise<string> {
  const ids = ((await field.getAttribute('aria-describedby')) ?? '').split(' ');
  const error = ids.find((id) => id.endsWith('-error'));
  return error ? await field.page().locator(`#${error}`).innerText() : '';
}

test('P6: a refused registration comes back to its own tab, with the error at its field', async ({ visitor }) => {
  const { page } = await visitor({ viewport: { width: 360, height: 740 } });
  await page.goto('/sign-in?tab=register&next=/rooms/1');
  const register = form(page, 'register');
  await register.getByLabel('用户名').fill('kim lee');
  await register.getByLabel('密码').fill('a long password');
  await register.getByLabel('昵称').fill('金');
  await register.getByRole('button').click();
  await expect(page).toHaveURL(/\/sign-in\?tab=register&next=%2Frooms%2F1$/);
  const name = register.getByLabel('用户名');
  await expect(name).toHaveValue('kim lee');
  await expect(name).toBeFocused();
  await expect(name).toHaveAttribute('aria-invalid', 'true');
  await expect(page.getByRole('alert')).toBeInViewport({ ratio: 1 });
  expect(await errorOf(name)).toContain('不能有空格');
  await expect(register.getByLabel('昵称')).toHaveValue('金');
  await expect(register.getByLabel('密码')).toHaveValue('');

  await name.fill('kim');
  await register.getByLabel('密码').fill('password');
  await register.getByRole('button').click();
  await expect(register.getByLabel('密码')).toBeFocused();
  expect(await errorOf(register.getByLabel('密码'))).toContain('太常见');
  await register.getByLabel('密码').fill('a long password');
  await register.getByLabel('昵称').fill('[主播]');
  await register.getByRole('button').click();
  await expect(register.getByLabel('昵称')).toBeFocused();
  expect(await errorOf(register.getByLabel('昵称'))).toContain('像主播或系统的标记');
  await expect(name).toHaveValue('kim');
  await register.getByLabel('密码').fill('a long password');
  await register.getByLabel('昵称').fill('金');
  await register.getByRole('button').click();
  await expect(page).toHaveURL(/\/rooms\/1$/);
});

test('P17: each tab is a link that keeps the room, and shows its form alone', async ({ visitor }) => {
  const { page } = await visitor();
  await page.goto('/sign-in?next=/rooms/1');
  for (const [name, action] of [['游客', 'guest'], ['注册', 'register'], ['登录', 'login']] as const) {
    await tab(page, name).click();
    await expect(tab(page, name)).toHaveAttribute('aria-current', 'page');
    await expect(page.locator('main form')).toHaveCount(1);
    await expect(form(page, action).locator('[name="next"]')).toHaveValue('/rooms/1');
    for (const field of await form(page, action).locator('input:not([type="hidden"])').all()) {
      const id = await field.getAttribute('id');
      await expect(page.locator(`label[for="${id}"]`)).toBeVisible();
    }
  }
  await form(page, 'login').getByLabel('用户名').fill('nobody');
  await form(page, 'login').getByLabel('密码').fill('not this one');
  await form(page, 'login').getByRole('button').click();
  await expect(page.getByRole('alert')).toHaveText('用户名或密码不正确');
  await expect(form(page, 'login').getByLabel('密码')).toBeFocused();
  await tab(page, '注册').click();
  await expect(page.getByRole('alert')).toHaveCount(0);
  await expect(form(page, 'register').locator('[name="next"]')).toHaveValue('/rooms/1');
});

test('P17: a guest in a room registers and is in the room again', async ({ guest }) => {
  const ming = await guest('阿明');
  await ming.page.goto('/');
  await ming.page.getByRole('link', { name: '注册账号后就可以创建自己的直播间' }).click();
  await expect(tab(ming.page, '注册')).toHaveAttribute('aria-current', 'page');
  await ming.page.goto('/sign-in?tab=register&next=/rooms/1');
  await expect(form(ming.page, 'register').getByLabel('昵称')).toHaveValue('阿明');
  await form(ming.page, 'register').getByLabel('用户名').fill('ming');
  await form(ming.page, 'register').getByLabel('密码').fill('a long password');
  await form(ming.page, 'register').getByRole('button').click();
  await expect(ming.page).toHaveURL(/\/rooms\/1$/);
});

test('P14: the page of a signed-in person says that it changes the nickname', async ({ visitor }) => {
  const rena = await visitor();
  await rena.signIn('/session/register', { name: 'rena', password: 'a long password', nickname: 'Rena' });
  await rena.page.goto('/sign-in?tab=guest&next=/rooms/1');
  await expect(rena.page.getByRole('heading', { level: 1 })).toHaveText('更换昵称');
  await form(rena.page, 'guest').getByLabel('昵称').fill('小雷');
  await form(rena.page, 'guest').getByRole('button', { name: '保存' }).click();
  await expect(rena.page).toHaveURL(/\/rooms\/1$/);
});

test('P31: a refused nickname says which rule it breaks, and fields keep their labels', async ({ visitor }) => {
  const { page } = await visitor({ locale: 'en-US' });
  await page.goto('/sign-in?tab=guest');
  const nickname = page.getByLabel('Nickname');
  await expect(nickname).toHaveAttribute('aria-describedby', 'guest-nickname-rule');
  for (const [typed, words] of [['[Host] me', 'looks like a host'], ['n'.repeat(33), 'No more than 32 characters'], [' ', 'must not be empty']] as const) {
    await nickname.fill(typed);
    await page.getByRole('button', { name: 'Join' }).click();
    await expect(page.locator('#guest-nickname-error')).toContainText(words);
    await expect(nickname).toHaveValue(typed);
    expect(await errorOf(nickname)).toContain(words);
  }
});

test('P34: pages describe themselves to search engines', async ({ visitor }) => {
  const { page } = await visitor({ locale: 'en-US' });
  for (const path of ['/', '/sign-in']) {
    await page.goto(path);
    await expect(page.locator('meta[name="description"]')).toHaveAttribute('content', /nickname/);
  }
});

for (const size of ['24px', '32px']) {
  test(`B56: nothing is beyond the edge of a phone with a font of ${size}`, async ({ visitor, guest }) => {
    const phone = { viewport: { width: 360, height: 740 } };
    const star = await visitor(phone);
    await star.signIn('/session/register', { name: 'star', password: 'a long password', nickname: '名字很长的小星'.repeat(3) });
    for (let room = 0; room < 9; room++) await star.post('/gateway/rooms', { title: 'unbroken'.repeat(7) });
    for (const { page } of [star, await visitor(phone), await guest('W'.repeat(32), { ...phone, locale: 'en-US' })]) {
      for (const path of ['/', '/?q=nowhere', '/sign-in?tab=guest', '/sign-in?tab=register', '/account']) {
        await page.route('**/*.css', async (route) => {
          const response = await route.fetch();
          await route.fulfill({ response, body: `${await response.text()} html { font-size: ${size} }` });
        });
        await page.goto(path);
        const out = await page.locator('main').evaluate((main) =>
          [...main.querySelectorAll('*')]
            .filter((element) => element.getBoundingClientRect().width > 0 && element.getBoundingClientRect().right > 360.5)
            .map((element) => element.outerHTML.slice(0, 120)),
        );
        expect(out, path).toEqual([]);
      }
    }
  });
}
