// Without JavaScript the list says how new messages come, and its link brings them.
import { expect, test } from './fixtures';
import { texts } from './person';

test('P36: a list that cannot be live says so, and its link loads the new messages', async ({ guest }) => {
  const [ming, anna] = [await guest('Ming', { locale: 'en-US' }), await guest('Anna')];
  await anna.tell('one');
  const page = await ming.open();
  await expect(texts(page)).toHaveText(['one']);
  await ming.tell('two');
  await page.getByRole('link', { name: 'Reload the page to see new messages' }).click();
  await expect(texts(page)).toHaveText(['one', 'two']);
});
