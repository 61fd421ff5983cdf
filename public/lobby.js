// Renews the lobby's list every 10 s while the page can be seen, by loading the page again and replacing the list alone.
// Without it the page works, and shows the rooms as they were when it was loaded.
'use strict';

(() => {
  const EVERY_MS = 10_000;
  const WITHIN_MS = 8_000;
  let timer;

  /** Loads the page's address again; undefined if that fails. */
  async function load() {
    const options = { headers: { accept: 'text/html' }, cache: 'no-store', signal: AbortSignal.timeout(WITHIN_MS) };
    try {
      const answer = await fetch(location.href, options);
      return answer.ok ? new DOMParser().parseFromString(await answer.text(), 'text/html') : undefined;
    } catch {
      return undefined;
    }
  }

  /** Replaces the list if it changed. A link that has the focus keeps it. */
  function replace(page) {
    const before = document.getElementById('rooms');
    const now = page.getElementById('rooms');
    if (!before || !now || before.isEqualNode(now)) return;
    const focused = before.contains(document.activeElement) ? document.activeElement.getAttribute('href') : null;
    before.replaceWith(now);
    if (focused === null) return;
    for (const link of now.querySelectorAll('a')) {
      if (link.getAttribute('href') === focused) link.focus({ preventScroll: true });
    }
  }

  async function renew() {
    clearTimeout(timer);
    if (document.visibilityState !== 'visible') return;
    const page = await load();
    if (page) replace(page);
    clearTimeout(timer);
    timer = setTimeout(renew, EVERY_MS);
  }

  /** A page that comes back from memory may be of another person: they signed in or out meanwhile. */
  async function comeBack() {
    const page = await load();
    const words = (of) => of.querySelector('.top-bar')?.textContent;
    if (page && words(page) !== words(document)) location.reload();
    else renew();
  }

  document.addEventListener('visibilitychange', renew);
  addEventListener('pageshow', (event) => {
    if (event.persisted || performance.getEntriesByType('navigation')[0]?.type === 'back_forward') comeBack();
  });
  timer = setTimeout(renew, EVERY_MS);
})();
