// Two people in two browsers: each sees every message once, and their own at once.
import { expect, test } from './fixtures';
import { box, button, line, lines, texts } from './person';

test('two people see each other\'s messages', async ({ guest }) => {
  const [ming, anna] = [await guest('阿明'), await guest('Anna')];
  await ming.open();
  await anna.open();

  await ming.say('大家好');
  await expect(texts(anna.page)).toHaveText(['大家好']);
  await box(anna.page).fill('hello 阿明');
  await button(anna.page).click();

  for (const { page } of [ming, anna]) {
    await expect(texts(page)).toHaveText(['大家好', 'hello 阿明']);
    await expect(lines(page).nth(0)).toContainText('阿明 : 大家好');
    await expect(lines(page).nth(1)).toContainText('Anna : hello 阿明');
    await expect(box(page)).toHaveValue('');
  }
  await anna.page.reload();
  await expect(texts(anna.page)).toHaveText(['大家好', 'hello 阿明']);
});

test('an own message shows as pending before the response, and once afterwards', async ({ guest }) => {
  const ming = await guest('阿明');
  const page = await ming.open();
  let answer = () => {};
  const held = new Promise<void>((done) => (answer = done));
  await page.route('**/gateway/send', async (route) => {
    await held;
    await route.continue();
  });
  await ming.say('在路上');
  await expect(lines(page)).toHaveCount(1);
  await expect(lines(page)).toContainText('阿明 : 在路上 发送中');
  await expect(box(page)).toHaveValue('');
  answer();
  await expect(lines(page).locator('time')).toHaveText(/^\d\d:\d\d$/);
  await expect(texts(page)).toHaveText(['在路上']);
});

test('an own message pushed before the response shows once', async ({ guest }) => {
  const [ming, anna] = [await guest('阿明'), await guest('Anna')];
  const page = await ming.open();
  await anna.open();
  let answer = () => {};
  const held = new Promise<void>((done) => (answer = done));
  await page.route('**/gateway/send', async (route) => {
    const response = await route.fetch();
    await held;
    await route.fulfill({ response });
  });
  await ming.say('推送先到');
  await expect(texts(anna.page)).toHaveText(['推送先到']);
  await anna.tell('然后是我');
  await expect(line(page, '然后是我')).toBeVisible();
  await expect(texts(page)).toHaveText(['推送先到', '然后是我']);
  answer();
  await expect(button(page)).toHaveText(/^\d S$/);
  await expect(texts(page)).toHaveText(['推送先到', '然后是我']);
});

test('a text that the server did not store returns to the box', async ({ guest }) => {
  const ming = await guest('阿明');
  const page = await ming.open();
  await page.route('**/gateway/send', (route) =>
    route.fulfill({ status: 503, json: { status: false, code: 'busy', message: '服务器繁忙，请稍后再试' } }),
  );
  await ming.say('存不下');
  await expect(page.locator('.notice')).toHaveText('服务器繁忙，请稍后再试');
  await expect(box(page)).toHaveValue('存不下');
  await expect(lines(page)).toHaveCount(0);
});

test('a lost response is requested again, and the message shows once', async ({ guest }) => {
  const [ming, anna] = [await guest('阿明'), await guest('Anna')];
  const page = await ming.open();
  await anna.open();
  let lost = 0;
  await page.route('**/gateway/send', async (route) => {
    if (lost++) return route.continue();
    await route.fetch();
    await route.abort();
  });
  await ming.say('只说一次');
  await expect(line(anna.page, '只说一次')).toHaveCount(1);
  await expect(button(page)).toHaveText(/^\d S$/);
  expect(lost).toBe(2);
  for (const person of [ming, anna]) await expect(texts(person.page)).toHaveText(['只说一次']);
});

test('markup and links are shown as plain text', async ({ guest }) => {
  const [ming, anna] = [await guest('阿明'), await guest('Anna')];
  await anna.open();
  const typed = '<script>document.title="x"</script><img src=x onerror=alert(1)> javascript:alert(1)';
  await ming.tell(typed);
  await expect(texts(anna.page)).toHaveText([typed]);
  await expect(anna.page.locator('.line script, .line img, .line__text a')).toHaveCount(0);
});

test('the number of people online follows arrivals and departures', async ({ guest }) => {
  const [ming, anna] = [await guest('阿明'), await guest('Anna')];
  await ming.open();
  const online = ming.page.locator('.chat__online');
  await expect(online).toHaveText('1 人在线');
  await anna.open();
  await expect(online).toHaveText('2 人在线');
  await anna.page.close();
  await expect(online).toHaveText('1 人在线');
});
