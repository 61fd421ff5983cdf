// Trap 22: at 200 messages a second every act reaches the message that the moderator aimed at.
import { expect, NO_LIMITS, test } from './fixtures';
import { bar } from './moderator';

test.use({ settings: NO_LIMITS });

const PER_SECOND = 200;
const CLICKS = 300;

test('at 200 messages a second 300 clicks reach the rows they were aimed at', async ({ server, host, guest }) => {
  test.setTimeout(900_000);
  const star = await host('小星');
  const senders = await Promise.all(Array.from({ length: 4 }, (_, index) => guest(`Anna${index}`)));
  const cookies = await Promise.all(
    senders.map(async ({ context }) => (await context.cookies()).map(({ name, value }) => `${name}=${value}`).join('; ')),
  );
  let sent = 0;
  const begun = Date.now();
  const running = new Set<Promise<unknown>>();
  const ticker = setInterval(() => {
    const due = Math.floor(((Date.now() - begun) / 1000) * PER_SECOND);
    // Never more than a second's messages on their way.
    while (sent + running.size < due && running.size < PER_SECOND) {
      const body = new URLSearchParams({ room: '1', message: `message ${sent + running.size}` });
      const cookie = cookies[(sent + running.size) % cookies.length]!;
      const one = fetch(`${server.url}/gateway/send`, { method: 'POST', body, headers: { cookie } })
        .then(async (response) => void (await response.arrayBuffer()))
        .finally(() => {
          running.delete(one);
          sent += 1;
        });
      running.add(one);
    }
  }, 20);
  try {
    const page = await star.open();
    await expect(page.locator('.list .line')).not.toHaveCount(0);
    // The row that is drawn under the pointer when the button goes down, found without the staff's script, and beside it the message
    // that the click then asks to remove. Both are noted in the page, so a slow machine mixes no two clicks.
    await page.evaluate(() => {
      const noted = window as unknown as { aimed: string; removed: [string, string][] };
      noted.removed = [];
      addEventListener(
        'pointerdown',
        (event) => {
          const under = document.elementsFromPoint(event.clientX, event.clientY).find((element) => element.matches('li[data-seq]'));
          noted.aimed = (under as HTMLElement | undefined)?.dataset.seq ?? '';
        },
        true,
      );
      const { fetch } = window;
      window.fetch = (path, init) => {
        if (path === '/gateway/mod/remove') noted.removed.push([noted.aimed, String((init!.body as URLSearchParams).get('seq'))]);
        return fetch(path, init);
      };
    });
    const removals = () => page.evaluate(() => (window as unknown as { removed: [string, string][] }).removed);
    const list = (await page.locator('.list__scroller').boundingBox())!;
    let ignored = 0;
    let done = 0;
    for (let turn = 0; done < CLICKS; turn += 1) {
      // Over the rows, then to the right, onto the bar of whichever row is there.
      const y = list.y + 40 + ((turn * 37) % (list.height - 80));
      await page.mouse.move(list.x + 40, y);
      const button = await bar(page).locator('[data-act=remove]').boundingBox();
      if (!button) continue;
      await page.mouse.move(button.x + button.width / 2, button.y + button.height / 2, { steps: 3 });
      await page.waitForTimeout((turn * 53) % 200);
      await page.mouse.down();
      await page.mouse.up();
      const before = done;
      done = (await removals()).length;
      if (done === before) ignored += 1;
    }
    const removed = await removals();
    const rate = sent / ((Date.now() - begun) / 1000);
    console.log(`${removed.length} acts, ${ignored} clicks ignored, ${rate.toFixed(0)} messages a second`);
    expect(removed.filter(([aimed, seq]) => aimed !== seq)).toEqual([]);
    // The log has the same ones.
    const asked = new Set(removed.map(([, seq]) => Number(seq)));
    const logged = new Set<number>();
    for (let before = ''; ; ) {
      const answer = await star.context.request.get(`/gateway/mod/log?room=1${before}`, { headers: { accept: 'application/json' } });
      const { rows, next } = await answer.json();
      for (const { verb, seqs } of rows) if (verb === 'remove') for (const seq of seqs) logged.add(seq);
      if (!next) break;
      before = `&before=${next}`;
    }
    expect([...logged].sort()).toEqual([...asked].sort());
    expect(rate).toBeGreaterThan(PER_SECOND / 2);
  } finally {
    clearInterval(ticker);
    await Promise.allSettled(running);
  }
});
