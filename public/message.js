// The menu of a message, replies and the completion of nicknames. public/page.js loads it at the first use. Everything that people
// wrote is shown as text nodes.
//
// For the script of the staff, which is loaded from the same folder and so gets the same instance of this module:
//
//   import { addItems, choose, messageOf, open, openDialog, post, reply, say, words } from './message.js';
//   addItems((message) => [{ label: 'Remove', danger: true, run: () => …}]);
//
// `addItems` takes a function that is called whenever the menu of a message opens; its items come after the viewer's own ones.
// An item has `label`, perhaps `danger` (drawn in the colour of notices, kept apart), and `run`, which is called after the menu
// has closed. `message` is {row, room, seq, user, nickname, text, isOwn, isRemoved, href}: `row` is the list item, `href` the page
// of the message, and `nickname` and `text` are empty if it was removed; `role` is that of its badge: host, mod, vip, bot or viewer.
// `choose(title, items)` opens a further menu, also from `run`. `post(path, fields[, refused])` posts a form with a nonce and returns
// the answer; the words of a refusal are said, or given to `refused`, and undefined returns. `say(text[, item])` shows words for some
// seconds, with one button at most, and returns a function that takes them away. `openDialog(dialog)` closes the other dialogs first.
// `words(zh, en)` returns the one in the language of the page. `messageOf(row)` reads a row, `reply(message)` begins a reply.
//
// Pushes that only the staff gets reach the script as the event `roomcast:staff` of the document, whose `detail` is the push.
const SAY_MS = 8_000;
const MAX_SUGGESTED = 6;
/** The reasons of a report: word on the wire, Chinese, English. */
const REASONS = [
  ['spam', '广告或刷屏', 'Spam'],
  ['abuse', '辱骂或骚扰', 'Abuse or harassment'],
  ['sexual', '色情内容', 'Sexual content'],
  ['illegal', '违法内容', 'Illegal content'],
  ['other', '其他', 'Something else'],
];

const isChinese = document.documentElement.lang.startsWith('zh');
/** Returns the text in the language of the page. @param {string} zh @param {string} en */
export const words = (zh, en) => (isChinese ? zh : en);

/** Makes an element. @param {string} name @param {Record<string, unknown>} properties @param {...(Node | string)} children */
const make = (name, properties = {}, ...children) => {
  const element = Object.assign(document.createElement(name), properties);
  element.append(...children);
  return element;
};

// The style comes with the script, from the same folder.
const style = make('link', { rel: 'stylesheet', href: new URL('message.css', import.meta.url).href });
const styled = new Promise((done) => {
  style.onload = style.onerror = done;
});
document.head.append(style);

const form = () => document.querySelector('form.composer:not(.composer--join)');
const box = () => document.querySelector('.composer__text');
const room = () => form()?.elements.namedItem('room')?.value ?? '';
const you = () => form()?.elements.namedItem('user')?.value ?? '';
/** A reader, and a person who cannot send now, have no box. */
const canSend = () => Boolean(you()) && !form().hidden;

// Menu.

/** @type {((message: object) => object[])[]} */
const sources = [];
/** Adds items to the menu of every message. @param {(message: object) => object[]} source */
export const addItems = (source) => {
  sources.push(source);
};

/** The role that a badge tells. @param {HTMLElement} row */
const roleOf = (row) => {
  const badge = row.querySelector('.line__badge');
  return badge ? (badge.className.split('--')[1] ?? 'host') : 'viewer';
};

/** Returns the message of a row. @param {HTMLElement} row */
export const messageOf = (row) => {
  const part = (name) => row.querySelector(name)?.textContent ?? '';
  const isRemoved = row.classList.contains('line--removed');
  const user = row.dataset.user ?? '';
  return {
    row,
    room: room(),
    seq: Number(row.dataset.seq),
    user,
    nickname: part('.line__nickname'),
    text: isRemoved ? '' : part('.line__text'),
    isOwn: user !== '' && user === you(),
    isRemoved,
    role: roleOf(row),
    href: row.querySelector('.line__time')?.getAttribute('href') ?? '',
  };
};

/** Opens the menu of the message of a link. Returns false if it has no items: then the link leads to the message's page. */
export const open = (link) => {
  const row = link.closest('[data-seq]');
  if (!row) return false;
  const message = messageOf(row);
  const items = [...ownItems(message), ...sources.flatMap((source) => source(message))];
  if (!items.length) return false;
  choose(message.isRemoved ? words('已删除的消息', 'A removed message') : `${message.nickname}${words('：', ': ')}${message.text}`, items, link);
  return true;
};

/** @param {ReturnType<typeof messageOf>} message */
const ownItems = (message) => {
  if (message.isRemoved) return [];
  const items = [];
  if (canSend()) items.push({ label: words('回复', 'Reply'), run: () => reply(message) });
  items.push({ label: words('复制', 'Copy'), run: () => copy(`${message.nickname} : ${message.text}`) });
  if (message.isOwn) items.push({ label: words('删除', 'Delete'), danger: true, run: () => retract(message) });
  // The staff acts by itself.
  else if (you() && !document.querySelector('[data-staff]')) items.push({ label: words('举报', 'Report'), run: () => report(message) });
  return items;
};

/**
 * Opens a menu over the page: at an element, or as a sheet at the bottom of a small screen.
 * @param {string} title @param {{label: string, danger?: boolean, run: () => unknown}[]} items @param {Element} [at]
 */
export const choose = async (title, items, at) => {
  const heading = make('p', { className: 'sheet__title', id: 'sheet-title' }, make('bdi', {}, title));
  const sheet = make('dialog', { className: 'sheet' }, heading);
  sheet.setAttribute('aria-labelledby', 'sheet-title');
  for (const { label, danger, run } of items) {
    const button = make('button', { type: 'button', className: danger ? 'sheet__item sheet__item--danger' : 'sheet__item' }, label);
    button.addEventListener('click', () => {
      sheet.close();
      run();
    });
    sheet.append(button);
  }
  const cancel = make('button', { type: 'button', className: 'sheet__item sheet__item--cancel' }, words('取消', 'Cancel'));
  cancel.addEventListener('click', () => sheet.close());
  sheet.append(cancel);
  sheet.addEventListener('keydown', (event) => moveFocus(event, [...sheet.querySelectorAll('button')]));
  sheet.addEventListener('click', (event) => {
    if (event.target === sheet) sheet.close();
  });
  await styled;
  openDialog(sheet);
  if (at) place(sheet, at);
};

/**
 * Opens a dialog in the place of the one that is open. When a dialog closes, the browser gives the focus back, and the dialog leaves
 * the page. @param {HTMLDialogElement} made
 */
export const openDialog = (made) => {
  for (const other of document.querySelectorAll('dialog.sheet')) other.close();
  made.addEventListener('close', () => {
    placeToasts();
    made.remove();
  });
  document.body.append(made);
  made.showModal();
  placeToasts();
};

/** Puts the sheet beside an element, within the window. The style of small screens takes no notice of it. */
const place = (sheet, at) => {
  const target = at.getBoundingClientRect();
  const size = sheet.getBoundingClientRect();
  const top = target.bottom + size.height + 8 > innerHeight ? target.top - size.height - 4 : target.bottom + 4;
  sheet.style.setProperty('--top', `${Math.max(8, top)}px`);
  sheet.style.setProperty('--left', `${Math.max(8, Math.min(target.right - size.width, innerWidth - size.width - 8))}px`);
};

/** Up and down between elements. In a menu the first follows the last. @param {KeyboardEvent} event @param {HTMLElement[]} places */
const moveFocus = (event, places, isRound = true) => {
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (!step) return;
  event.preventDefault();
  const next = places.indexOf(document.activeElement) + step;
  places[isRound ? (next + places.length) % places.length : next]?.focus();
};

// Words and requests.

/** Puts the toasts above the box, or into the dialog that is open, which covers the rest of the page and makes it inert. */
const placeToasts = () => {
  const place = document.querySelector('.toast-place');
  if (!place) return;
  const home = document.querySelector('dialog.sheet[open]') ?? document.body;
  if (place.parentElement !== home) home.append(place);
  const box = document.querySelector('.composer-place')?.getBoundingClientRect();
  if (box?.height) place.style.setProperty('--above', `${Math.max(8, innerHeight - box.top + 8)}px`);
  // The list of nicknames is above the box too.
  place.hidden = Boolean(list);
};

const makeToasts = () => {
  const place = make('div', { className: 'toast-place' });
  place.setAttribute('role', 'status');
  document.body.append(place);
  return place;
};

/**
 * Shows words over the list for some seconds, and returns a function that takes them away. Words without a button leave those that
 * have one in place. @param {string} text @param {{label: string, run: () => unknown}} [item]
 */
export const say = (text, item) => {
  const place = document.querySelector('.toast-place') ?? makeToasts();
  placeToasts();
  const toast = make('p', { className: 'toast' }, text);
  let isOver = false;
  const leave = () => {
    isOver = true;
    toast.remove();
  };
  if (item) {
    const button = make('button', { type: 'button', className: 'toast__button' }, item.label);
    button.addEventListener('click', () => {
      leave();
      item.run();
    });
    toast.append(button);
  }
  // A screen reader hears what is added to the place after it has seen it.
  requestAnimationFrame(() => {
    if (isOver) return;
    for (const other of [...place.children]) if (item || !other.querySelector('button')) other.remove();
    place.append(toast);
  });
  setTimeout(leave, SAY_MS);
  return leave;
};

/**
 * Posts a form. Returns the answer; undefined after a refusal, whose words it says.
 * @param {string} path @param {Record<string, unknown>} fields @param {(words: string) => unknown} [refused]
 */
export const post = async (path, fields, refused = say) => {
  try {
    const body = new URLSearchParams();
    for (const [name, value] of Object.entries({ nonce: crypto.randomUUID?.() ?? `${Date.now()}-${Math.random()}`, ...fields })) {
      if (value !== undefined && value !== null) body.append(name, String(value));
    }
    const response = await fetch(path, { method: 'POST', body, headers: { accept: 'application/json' } });
    const answer = await response.json();
    if (response.ok) return answer;
    refused(answer.message ?? answer.code ?? words('没有成功', 'It was not done'));
  } catch {
    refused(words('网络不通，请再试一次', 'No answer from the server: try again'));
  }
  return undefined;
};

const copy = async (text) => {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // Without HTTPS, or in a frame, there is no clipboard.
    const field = make('textarea', { value: text, className: 'visually-hidden' });
    document.body.append(field);
    field.select();
    document.execCommand('copy');
    field.remove();
  }
  say(words('已复制', 'Copied'));
};

/** The row becomes a tombstone by the push, as on every other page. */
const retract = ({ room, seq }) =>
  choose(words('删除这条消息？', 'Delete this message?'), [
    { label: words('删除', 'Delete'), danger: true, run: () => post('/gateway/retract', { room, seq }) },
  ]);

const report = ({ room, seq }) =>
  choose(
    words('举报的理由', 'Why do you report it?'),
    REASONS.map(([reason, zh, en]) => ({
      label: words(zh, en),
      run: async () => {
        if (await post('/gateway/report', { room, seq, reason })) say(words('已举报，房管会处理', 'Reported: a moderator will look at it'));
      },
    })),
  );

// Replies. The chip holds the field `re` of the form. The page's wasm hides the chip while the message is on its way, shows it again
// if the message is refused, and removes it when it is stored.

export const reply = ({ seq, nickname }) => {
  for (const other of form().querySelectorAll('.composer__re')) other.remove();
  const chip = make('div', { className: 'composer__re' }, make('input', { type: 'hidden', name: 're', value: seq }));
  chip.dataset.re = seq;
  const remove = make('button', { type: 'button', className: 'composer__re-remove' }, '×');
  remove.setAttribute('aria-label', words('取消回复', 'Do not reply'));
  remove.addEventListener('click', () => {
    chip.remove();
    box().focus();
  });
  chip.append(make('span', {}, words('回复 ', 'Reply to '), make('bdi', {}, `@${nickname}`)), remove);
  form().prepend(chip);
  placeToasts();
  box().focus();
};

/** Shows the message that another one answers: its row in the list, or else its words in a menu. @param {HTMLElement} link */
export const jump = async (link) => {
  const seq = Number(link.dataset.re);
  const row = document.querySelector(`.list__lines [data-seq="${seq}"]`);
  if (row) return show(row);
  const answer = await post('/gateway/history', { room: room(), before: seq + 1, limit: 1, nonce: null });
  const message = answer?.messages.find((message) => message.seq === seq);
  if (!answer) return;
  const text = message?.text ? `${message.nickname} : ${message.text}` : words('消息已删除', 'Message removed');
  const href = link.getAttribute('href');
  choose(text, [{ label: words('打开消息页面', 'Open the page of the message'), run: () => location.assign(href) }], link);
};

const show = (row) => {
  row.scrollIntoView({ block: 'center' });
  row.classList.remove('line--found');
  // The animation begins anew.
  void row.offsetWidth;
  row.classList.add('line--found');
  row.querySelector('.line__time')?.focus({ preventScroll: true });
};

// The list by keys: Enter on the list goes to its newest message, the arrows go on from there, Escape goes back.

/** Moves the focus into the rows of the list. @param {HTMLElement} list */
export const enterRows = (list) => {
  const links = [...list.querySelectorAll('a.line__time')];
  const bottom = list.getBoundingClientRect().bottom;
  const seen = links.filter((link) => link.closest('li').getBoundingClientRect().top < bottom);
  seen.at(-1)?.focus({ preventScroll: true });
};
document.addEventListener('keydown', (event) => {
  const list = event.target.closest?.('a.line__time') && event.target.closest('.list__scroller');
  if (!list) return;
  if (event.key === 'Escape') list.focus({ preventScroll: true });
  else moveFocus(event, [...list.querySelectorAll('a.line__time')], false);
});

// The pinned message. The panel has its number; a viewer folds it away for this tab.

/** Shows the pinned message, or takes its bar away. */
export const showPinned = async () => {
  const chat = document.querySelector('.chat');
  const place = document.querySelector('.chat__pin');
  if (!place) return;
  const seq = Number(chat?.dataset.pinned ?? 0);
  if (place.dataset.seq === String(seq)) return;
  place.dataset.seq = String(seq);
  place.replaceChildren();
  if (!seq || isFolded(seq)) return;
  const row = document.querySelector(`.list__lines [data-seq="${seq}"]:not(.line--removed)`);
  let message = row && messageOf(row);
  if (!message) {
    const answer = await post('/gateway/history', { room: chat.dataset.room, before: seq + 1, limit: 1, nonce: null });
    message = answer?.messages.find((message) => message.seq === seq);
  }
  await styled;
  // Another one may have been pinned meanwhile.
  if (place.dataset.seq !== String(seq) || !message?.text) return;
  const link = make('a', { className: 'pin__text', href: `/rooms/${chat.dataset.room}/messages/${seq}` });
  link.dataset.re = seq;
  link.append(make('b', {}, words('置顶', 'Pinned')), ' ', make('bdi', {}, `${message.nickname} : ${message.text}`));
  const fold = make('button', { type: 'button', className: 'pin__fold' }, '×');
  fold.setAttribute('aria-label', words('收起置顶消息', 'Fold the pinned message away'));
  fold.addEventListener('click', () => {
    attempt(() => sessionStorage.setItem(`pin:${chat.dataset.room}`, String(seq)));
    place.replaceChildren();
  });
  place.append(make('div', { className: 'pin' }, link, fold));
};

const attempt = (step) => {
  try {
    return step();
  } catch {
    // The storage of a frame of another site may be forbidden.
    return undefined;
  }
};
const isFolded = (seq) => attempt(() => sessionStorage.getItem(`pin:${document.querySelector('.chat').dataset.room}`)) === String(seq);

// Completion of nicknames: an `@` offers the people whose messages are in the list.

/** @type {HTMLElement | undefined} */
let list;
let chosen = 0;

/** The part of a word after `@` before the caret; undefined if there is none. */
const wanted = (text) => text.value.slice(0, text.selectionEnd).match(/(?:^|[\s，。！？])[@＠]([^\s@＠]{0,32})$/)?.[1];

/** People with a message in the list, the last speaker first. */
const speakers = () => {
  const names = [];
  for (const row of [...document.querySelectorAll('.list__lines [data-user]:not(.line--removed)')].reverse()) {
    const nickname = row.querySelector('.line__nickname')?.textContent;
    if (nickname && row.dataset.user !== you() && !names.includes(nickname)) names.push(nickname);
  }
  return names;
};

/** Offers nicknames for the word at the caret. @param {HTMLTextAreaElement} text */
export const complete = (text) => {
  const part = wanted(text)?.toLowerCase();
  if (part === undefined) return closeList(text);
  const names = speakers();
  const begins = names.filter((name) => name.toLowerCase().startsWith(part));
  const others = names.filter((name) => !begins.includes(name) && name.toLowerCase().includes(part));
  const found = [...begins, ...others].slice(0, MAX_SUGGESTED);
  if (!found.length) return closeList(text);
  list ??= makeList(text);
  placeToasts();
  list.replaceChildren(
    ...found.map((name, index) => {
      const option = make('li', { className: 'mentions__option', id: `mention-${index}` }, make('bdi', {}, `@${name}`));
      option.setAttribute('role', 'option');
      option.dataset.nickname = name;
      return option;
    }),
  );
  choosePlace(text, 0);
};

const makeList = (text) => {
  const made = make('ul', { className: 'mentions', id: 'mentions' });
  made.setAttribute('role', 'listbox');
  made.setAttribute('aria-label', words('可以提到的人', 'People to mention'));
  // The focus stays in the box.
  made.addEventListener('mousedown', (event) => event.preventDefault());
  made.addEventListener('click', (event) => {
    const option = event.target.closest('li');
    if (option) take(text, option.dataset.nickname);
  });
  text.closest('.composer__box').append(made);
  text.setAttribute('aria-autocomplete', 'list');
  text.setAttribute('aria-controls', 'mentions');
  return made;
};

const closeList = (text) => {
  if (!list) return;
  list.remove();
  list = undefined;
  placeToasts();
  for (const name of ['aria-autocomplete', 'aria-controls', 'aria-activedescendant']) text.removeAttribute(name);
};

const choosePlace = (text, index) => {
  const options = [...list.children];
  chosen = (index + options.length) % options.length;
  options.forEach((option, place) => {
    option.setAttribute('aria-selected', String(place === chosen));
  });
  text.setAttribute('aria-activedescendant', `mention-${chosen}`);
};

/** Writes a nickname. Returns false if the caret is at no word of this kind any more. */
const take = (text, nickname) => {
  const part = wanted(text);
  if (part === undefined || !nickname) {
    closeList(text);
    return false;
  }
  const end = text.selectionEnd;
  const start = end - part.length;
  text.setRangeText(`${nickname} `, start, end, 'end');
  closeList(text);
  text.dispatchEvent(new InputEvent('input', { bubbles: true }));
  return true;
};

document.addEventListener('input', ({ target }) => {
  if (target.matches('.composer__text')) complete(target);
});
document.addEventListener('focusout', ({ target }) => {
  if (list && target.matches('.composer__text')) closeList(target);
});
document.addEventListener('selectionchange', () => {
  const text = box();
  if (list && text && wanted(text) === undefined) closeList(text);
});
// Before the panel, which would send the text at Enter. 229: the key belongs to an input method.
document.addEventListener(
  'keydown',
  (event) => {
    const text = event.target;
    if (!list || text !== box() || event.isComposing || event.keyCode === 229) return;
    if (event.key === 'ArrowDown') choosePlace(text, chosen + 1);
    else if (event.key === 'ArrowUp') choosePlace(text, chosen - 1);
    else if (event.key === 'Enter' || event.key === 'Tab') {
      if (!take(text, list.children[chosen]?.dataset.nickname)) return;
    } else if (event.key === 'Escape') closeList(text);
    else return;
    event.preventDefault();
    event.stopImmediatePropagation();
  },
  true,
);
