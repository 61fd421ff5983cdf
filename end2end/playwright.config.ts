// Configuration of the end-to-end tests: Chromium, two workers, no common server (each test starts its own, tests/server.ts).
// Every spec runs twice, hydrated and with JavaScript off, unless its name says otherwise. A few run once more, on two nodes.
import { defineConfig, devices } from '@playwright/test';
import type { Options } from './tests/fixtures';
import { installed } from './tests/programs';

/** The specs that also run on two nodes: a lost connection, the acts of moderators, and the restraints that follow from them. */
const ON_NODES = ['resume', 'moderation', 'restraints', 'cluster'];
/** Their tests of a page's look and weight: more nodes change nothing of it, and axe takes most of the time. */
const OF_ONE_NODE = /axe finds nothing|weighs at most|at 320 px/;

export default defineConfig<object, Options>({
  testDir: './tests',
  reporter: 'list',
  retries: 0,
  workers: 2,
  timeout: 40_000,
  expect: { timeout: 8_000 },
  forbidOnly: !!process.env.CI,
  use: {
    ...devices['Desktop Chrome'],
    locale: 'zh-CN',
    timezoneId: 'Asia/Shanghai',
    colorScheme: 'light',
    actionTimeout: 8_000,
    navigationTimeout: 15_000,
    launchOptions: {
      // Undefined selects Playwright's own.
      executablePath: process.env.CHROMIUM || installed(['chromium', 'chromium-browser', 'google-chrome']),
      args: [
        '--no-sandbox',
        '--disable-gpu',
        '--disable-quic',
        '--no-first-run',
        '--disable-background-networking',
        '--disable-component-update',
        '--disable-sync',
      ],
    },
  },
  projects: [
    { name: 'hydrated', testIgnore: ['**/*.plain.spec.ts', '**/cluster.hydrate.spec.ts'] },
    { name: 'without-javascript', testIgnore: '**/*.hydrate.spec.ts', use: { javaScriptEnabled: false } },
    { name: 'cluster', testMatch: ON_NODES.map((name) => `**/${name}{,.hydrate}.spec.ts`), grepInvert: OF_ONE_NODE, use: { nodes: 2 } },
    {
      name: 'cluster-without-javascript',
      testMatch: ON_NODES.map((name) => `**/${name}.spec.ts`),
      grepInvert: OF_ONE_NODE,
      use: { nodes: 2, javaScriptEnabled: false },
    },
  ],
});
