// Computed colours and their contrast (WCAG 2.2, 1.4.3).
import type { Locator, Page } from '@playwright/test';

/** The marks of lines, a contract: bar of the own ones; bar and chip of the host's. */
export const OWN = 'rgb(243, 123, 29)';
export const HOST = 'rgb(14, 144, 210)';
export const SYSTEM = 'rgb(139, 0, 0)';
/** The words of the light theme. */
export const OWN_WORDS = 'rgb(143, 71, 18)';
export const HOST_WORDS = 'rgb(14, 94, 138)';
export const OTHERS = 'rgb(38, 40, 44)';

/** Returns the contrast of an element's text with the nearest background painted behind it. */
export async function contrast(text: Locator): Promise<number> {
  const [ink, paper] = await text.evaluate((element) => {
    let behind: Element | null = element;
    while (behind && /^(transparent|rgba\(.*, 0\))$/.test(getComputedStyle(behind).backgroundColor)) behind = behind.parentElement;
    return [getComputedStyle(element).color, behind ? getComputedStyle(behind).backgroundColor : 'rgb(255, 255, 255)'];
  });
  const [lighter, darker] = [luminance(ink!), luminance(paper!)].sort((a, b) => b - a);
  return (lighter! + 0.05) / (darker! + 0.05);
}

function luminance(colour: string): number {
  const opaque = colour.match(/^rgb\((\d+), (\d+), (\d+)\)$/);
  if (!opaque) throw new Error(`not an opaque sRGB colour: ${colour}`);
  const [red, green, blue] = opaque.slice(1).map((part) => {
    const share = Number(part) / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * red! + 0.7152 * green! + 0.0722 * blue!;
}

/** Returns a colour as the browser computes it: a token's value for the theme in use. */
export const token = (page: Page, name: string): Promise<string> =>
  page.evaluate((name) => {
    const probe = document.createElement('i');
    probe.style.color = `var(--${name})`;
    document.body.append(probe);
    const { color } = getComputedStyle(probe);
    probe.remove();
    return color;
  }, name);
