// The small behaviour of every page: theme, menu, copy buttons, times of messages, frames. A page without this script has all of it
// in another way, or hides it: forms post, the menu is a <details>, buttons that need the script are hidden in the HTML.
'use strict';

(() => {
  const root = document.documentElement;
  /** The colours of the browser's own bars, light and dark: `--surface` of style/tokens.css. */
  const BAR_COLOURS = ['#ffffff', '#18191c'];
  const COPIED_FOR_MS = 2000;
  const source = document.currentScript.src;

  /** Runs a step that a browser may refuse, as storage in a frame of another site. @param {() => T} step @template T */
  const attempt = (step) => {
    try {
      return step();
    } catch {
      return undefined;
    }
  };

  // Theme: at once, in this tab and in the others.

  /** @param {string} theme `system`, `light` or `dark` */
  const showTheme = (theme) => {
    root.dataset.theme = theme;
    for (const button of document.querySelectorAll('[data-themes] button')) {
      button.setAttribute('aria-pressed', String(button.value === theme));
    }
    document.querySelectorAll('meta[name="theme-color"]').forEach((meta, index) => {
      meta.content = BAR_COLOURS[theme === 'system' ? index : Number(theme === 'dark')];
    });
  };

  /** Another tab, or a page without a script, may have changed the cookie. */
  const showStoredTheme = () => {
    const stored = attempt(() => document.cookie)?.match(/(?:^|; )(?:__Host-)?roomcast_theme=(system|light|dark)/);
    if (stored && stored[1] !== root.dataset.theme) showTheme(stored[1]);
  };

  /** @param {string} theme */
  const chooseTheme = (theme) => {
    showTheme(theme);
    // Under HTTPS the server's own name of the cookie.
    const [prefix, secure] = location.protocol === 'https:' ? ['__Host-', '; Secure'] : ['', ''];
    attempt(() => {
      document.cookie = `${prefix}roomcast_theme=${theme}; Path=/; Max-Age=31536000; SameSite=Lax${secure}`;
      // An event in the other tabs.
      localStorage.setItem('roomcast_theme', theme);
    });
  };

  document.addEventListener('submit', (event) => {
    if (!event.target.matches('[data-themes]') || !event.submitter) return;
    event.preventDefault();
    chooseTheme(event.submitter.value);
  });
  addEventListener('storage', ({ key, newValue }) => {
    if (key === 'roomcast_theme' && newValue) showTheme(newValue);
    if (key === 'roomcast_times') showTimes(newValue === 'on');
  });
  addEventListener('pageshow', showStoredTheme);
  document.addEventListener('visibilitychange', showStoredTheme);

  // Menu: closed by Escape and by a click or the focus outside.

  const openMenu = () => document.querySelector('.menu[open]');
  /** @param {Event} event */
  const closeFromOutside = (event) => {
    const menu = openMenu();
    if (menu && !menu.contains(event.target)) menu.open = false;
  };
  document.addEventListener('pointerdown', closeFromOutside);
  document.addEventListener('focusin', closeFromOutside);
  document.addEventListener('keydown', (event) => {
    const menu = openMenu();
    if (event.key !== 'Escape' || !menu) return;
    menu.open = false;
    menu.querySelector('summary').focus();
  });

  // Copy buttons.

  /** @param {HTMLInputElement} field */
  const copy = async (field) => {
    try {
      await navigator.clipboard.writeText(field.value);
    } catch {
      // Without HTTPS, or in a frame, there is no clipboard.
      field.select();
      document.execCommand('copy');
    }
  };
  for (const button of document.querySelectorAll('[data-copy]')) {
    button.hidden = false;
    const words = button.textContent;
    button.addEventListener('click', async () => {
      await copy(button.parentElement.querySelector('input'));
      button.textContent = button.dataset.copied;
      setTimeout(() => {
        button.textContent = words;
      }, COPIED_FOR_MS);
    });
  }

  // Copied messages keep the line breaks of their texts, which the list shows as blanks.

  document.addEventListener('copy', (event) => {
    const selection = getSelection();
    if (!event.clipboardData || !selection?.rangeCount || selection.isCollapsed) return;
    const range = selection.getRangeAt(0);
    const within = range.commonAncestorContainer;
    if (!(within.closest ? within : within.parentElement)?.closest('.list__lines')) return;
    const copied = range.cloneContents();
    for (const other of copied.querySelectorAll('.line__time, .line__you, .line__more, .line__re, .list__reload')) other.remove();
    const rows = [...copied.querySelectorAll('li')].map((row) => row.textContent.trim());
    event.clipboardData.setData('text/plain', rows.length ? rows.filter(Boolean).join('\n') : copied.textContent);
    event.preventDefault();
  });

  // Times of messages, always shown or only under the pointer.

  const timesSwitch = document.querySelector('[data-times]');
  /** @param {boolean} shown */
  const showTimes = (shown) => {
    root.classList.toggle('list--times', shown);
    if (timesSwitch) timesSwitch.querySelector('input').checked = shown;
  };
  if (timesSwitch) {
    timesSwitch.hidden = false;
    showTimes(attempt(() => localStorage.getItem('roomcast_times')) === 'on');
    timesSwitch.addEventListener('change', (event) => {
      showTimes(event.target.checked);
      attempt(() => localStorage.setItem('roomcast_times', event.target.checked ? 'on' : 'off'));
    });
  }

  // Messages: their menu, replies, mentions and the pin are a script of their own, which is loaded at the first use.

  const messages = () => import(new URL('message.js', source));
  document.addEventListener('click', async (event) => {
    if (event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
    const link = event.target.closest?.('a.line__time, a[data-re]');
    // A finger has no pointer that could show the link of a row. The staff's script does this itself.
    const isTap = event.pointerType === 'touch' && getSelection().isCollapsed && !document.querySelector('[data-staff]');
    const row = isTap && !event.target.closest('a, button') && event.target.closest('.list__lines [data-seq]');
    if (row) (await messages()).open(row.querySelector('a.line__time'));
    if (!link) return;
    event.preventDefault();
    // The link leads to the page of the message, which works without a script.
    const module = await messages().catch(() => {});
    if (!module) location.assign(link.href);
    else if (link.dataset.re) module.jump(link);
    else if (!module.open(link)) location.assign(link.href);
  });
  document.addEventListener('input', ({ target }) => {
    if (target.matches('.composer__text') && /[@＠]/.test(target.value)) messages().then((module) => module.complete(target));
  });
  document.addEventListener('keydown', ({ key, target }) => {
    if (key === 'Enter' && target.matches?.('.list__scroller')) messages().then((module) => module.enterRows(target));
  });
  // The panel says that the state of the room has changed.
  document.addEventListener('roomcast:room', ({ detail }) => {
    const place = document.querySelector('.menu__title bdi');
    if (place) place.textContent = detail;
    if (document.querySelector('.chat:not([data-pinned=""])') || document.querySelector('.pin')) messages().then((module) => module.showPinned());
  });
  // Small forms that need no new page.
  document.addEventListener('submit', async (event) => {
    const form = event.target;
    if (!form.matches('[data-quiet]')) return;
    event.preventDefault();
    const body = new URLSearchParams(new FormData(form));
    const response = await fetch(form.action, { method: 'POST', body, headers: { accept: 'application/json' } }).catch(() => {});
    // The page says why.
    if (!response?.ok) form.submit();
    // Without a live panel nothing takes the form away.
    setTimeout(() => form.offsetParent && location.reload(), 3000);
  });

  // In a frame no link leads the frame away from the room.

  if (window.top !== window.self || document.querySelector('.room[data-embed]')) {
    root.dataset.framed = '';
    document.addEventListener(
      'click',
      (event) => {
        const link = event.target.closest?.('a[href]:not([href=""])');
        // An empty address loads this page again.
        if (link) link.target = '_blank';
      },
      true,
    );
  }

  // iOS lays its keyboard over the page. A page that is zoomed in keeps its height.

  const viewport = window.visualViewport;
  const fit = () => {
    const covered = viewport.scale > 1.01 ? 0 : innerHeight - viewport.height;
    if (covered > 1) root.style.setProperty('--height', `${viewport.height}px`);
    else root.style.removeProperty('--height');
    if (covered > 1 && document.querySelector('.room')) scrollTo(0, 0);
  };
  if (viewport) {
    viewport.addEventListener('resize', fit);
    fit();
  }
})();
