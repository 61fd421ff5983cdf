// The weight of a room's page: all bytes on the wire until it is alive, in a release build.
import { expect, NO_LIMITS, test } from './fixtures';
import { numbers } from './person';

/** Bytes of all answers, with their headers, from the navigation to the answer of `bind`. */
const MAX_BYTES = 159_300;

test.use({ settings: NO_LIMITS });

test('budget: a room with 50 messages weighs at most 159.3 kB until it is alive', async ({ guest }) => {
  const anna = await guest('anna');
  await anna.tell(...numbers(1, 50).map((number) => `message ${number} of a calm room`));
  const { page } = anna;
  const network = await anna.context.newCDPSession(page);
  const urls = new Map<string, string>();
  const weights = new Map<string, number>();
  network.on('Network.responseReceived', ({ requestId, response }) => urls.set(requestId, new URL(response.url).pathname));
  network.on('Network.loadingFinished', ({ requestId, encodedDataLength }) => {
    const url = urls.get(requestId);
    if (url) weights.set(url, (weights.get(url) ?? 0) + encodedDataLength);
  });
  await network.send('Network.enable');
  await anna.open();
  await expect.poll(() => weights.has('/gateway/bind') && weights.has('/favicon.svg')).toBe(true);
  const heaviest = [...weights].sort(([, one], [, other]) => other - one);
  const sum = heaviest.reduce((bytes, [, weight]) => bytes + weight, 0);
  console.log(`${heaviest.map(([url, bytes]) => `${String(bytes).padStart(8)}  ${url}`).join('\n')}\n${String(sum).padStart(8)}  of ${MAX_BYTES}`);
  const isRelease = heaviest.some(([url]) => url.startsWith('/v/'));
  test.skip(!isRelease && !process.env.CI, 'the wasm of a debug build is not shrunk');
  expect(sum, `heaviest: ${heaviest.slice(0, 5).map(([url, bytes]) => `${url} ${bytes}`).join(', ')}`).toBeLessThanOrEqual(MAX_BYTES);
});
