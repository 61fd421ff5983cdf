// Configuration of the end-to-end tests: Chromium, two workers, no common server (each test starts its own, tests/server.ts).
// Every spec runs twice, hydrated and with JavaScript off, unless its name says otherwise.
import { defineConfig, devices } from '@playwright/test';
import { installed } from './tests/programs';

export default defineConfig({
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
    { name: 'hydrated', testIgnore: '**/*.plain.spec.ts' },
    { name: 'without-javascript', testIgnore: '**/*.hydrate.spec.ts', use: { javaScriptEnabled: false } },
  ],
});
