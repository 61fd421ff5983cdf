// The tools of a room's staff: a bar on the row under the pointer, more items in the menu of a message, keys, the person's card, undo,
// and the number of reports. The server adds this script to the pages of staff only, with its settings and texts in `data-staff`.
// Each act is the same POST as that of the forms on the page of a message, which works without it. Everything that people wrote is
// shown as text nodes.
//
// The feed stands still while the pointer is on the bar, a row has the focus, a menu is open, or Alt is held: the panel shows no new
// row while its list has `data-hold`, and its pill counts them. An act takes the message at pointerdown, and a click within 250 ms
// after rows moved does nothing.
import { addItems, choose, messageOf, open, openDialog, post, reply, say } from './message.js';

const { room, rank, words: w, timeouts, purges } = JSON.parse(document.querySelector('[data-staff]').dataset.staff);
/** Milliseconds after rows moved in which a click on the bar may have been meant for another row. */
const SETTLE_MS = 250;
/** Milliseconds in which an act waits for its second key. */
const ARMED_MS = 8_000;
/** Milliseconds between two counts of the reports. */
const COUNT_MS = 2000;
const ROW = '.list__lines > [data-seq]';

/** Makes an element. @param {string} name @param {Record<string, unknown>} properties @param {...(Node | string)} children */
const make = (name, properties = {}, ...children) => {
  const element = Object.assign(document.createElement(name), properties);
  element.append(...children.filter((child) => child !== undefined));
  return element;
};
const bdi = (text) => make('bdi', {}, text);
/** Makes a button. @param {string} label @param {() => unknown} run @param {string} [className] */
const button = (label, run, className = 'button button--second') => {
  const made = make('button', { type: 'button', className }, label);
  made.addEventListener('click', run);
  return made;
};
const TIME = new Intl.DateTimeFormat(document.documentElement.lang, { month: 'short', day: 'numeric', hour: '2-digit', minute: '2-digit' });
const time = (at) => make('time', { dateTime: new Date(at).toISOString() }, TIME.format(at));

// Acts.

/** The newest act that can be taken back, and its toast. */
let last;

/** Posts an act, says that it is done, and offers to take it back. Returns the answer. */
const act = async (verb, fields, done, refused) => {
  const answer = await post(`/gateway/mod/${verb}`, { room, ...fields }, refused);
  if (!answer) return undefined;
  const made = answer.action && { action: answer.action };
  const leave = say(done, made && { label: w.undo, run: () => undo(made) });
  if (made) made.leave = leave;
  last = made;
  return answer;
};

const undo = async (made = last) => {
  if (!made) return;
  if (last === made) last = undefined;
  made.leave();
  if (await post('/gateway/mod/undo', { room, action: made.action })) say(w.undone);
};

/** The row fades at once, and becomes a tombstone by the push. */
const remove = async ({ row, seq, nickname }) => {
  row?.classList.add('line--leaving');
  if (!(await act('remove', { seq }, `${w.removed} · ${nickname}`))) row?.classList.remove('line--leaving');
};
const timeout = ({ user, nickname }, [seconds, name], reason, refused) =>
  act('timeout', { user, seconds, reason }, `${w.timeout} · ${nickname} · ${name}`, refused);
const purge = ({ user, nickname }, [seconds, name]) => act('purge', { user, seconds }, `${w.purge} · ${nickname} · ${name}`);
const ban = ({ user, nickname }, reason, refused) => act('ban', { user, reason }, `${w.ban} · ${nickname}`, refused);
const pinned = () => Number(document.querySelector('.chat[data-pinned]')?.dataset.pinned ?? 0);
const pin = ({ seq, nickname }) =>
  pinned() === seq ? act('unpin', {}, w.unpin) : act('pin', { seq }, `${w.pin} · ${nickname}`);

const RANKS = { mod: 3, moderator: 3, host: 4, owner: 5 };
/** Whether the reader may act on the person of a message. The server refuses acts on an equal or higher rank. */
const mayActOn = ({ mayAct, isOwn, role }) => mayAct ?? (!isOwn && (RANKS[role] ?? 0) < RANKS[rank]);
/** Words with the name of a person. */
const name = (words, { nickname }) => words.replace('{name}', () => nickname || w.person);

const askBan = (message) =>
  ask(name(w.askBan, message), { label: w.reasonOptional, hint: w.banHint }, [
    { label: w.ban, danger: true, send: (reason, refused) => ban(message, reason, refused) },
  ]);
const askWarning = (message) => {
  const send = (reason, refused) => act('warn', { user: message.user, reason }, `${w.warn} · ${message.nickname}`, refused);
  return ask(name(w.askWarn, message), { label: w.reason, hint: w.warnHint, required: true }, [{ label: w.warn, send }]);
};
const askNote = (message) => {
  const send = (text, refused) => act('note', { user: message.user, text }, `${w.note} · ${message.nickname}`, refused);
  return ask(name(w.askNote, message), { label: w.note, hint: w.noteHint, required: true }, [{ label: w.note, send }]);
};
const chooseTimeout = (message) =>
  ask(
    name(w.askTimeout, message),
    { label: w.reasonOptional, hint: w.timeoutHint },
    timeouts.map((of) => ({ label: of[1], send: (reason, refused) => timeout(message, of, reason, refused) })),
  );
const choosePurge = (message) =>
  choose(name(w.askPurge, message), purges.map((of) => ({ label: of[1], danger: true, run: () => purge(message, of) })));

// Dialogs.

/** Opens a dialog, which a click beside it closes unless a text would be lost. @param {string} title @param {...(Node | string)} children */
const dialog = (title, className, ...children) => {
  const heading = make('h2', { className: 'sheet__title', id: 'staff-title' }, bdi(title));
  const made = make('dialog', { className: `sheet ${className}` }, heading, ...children);
  made.setAttribute('aria-labelledby', heading.id);
  made.addEventListener('click', (event) => {
    if (event.target === made && !made.querySelector('input')?.value.trim()) made.close();
  });
  openDialog(made);
  return made;
};

/**
 * Asks for a line of text, and does one of the acts with it. The dialog closes when the act is done; a refusal is shown in it, and the
 * text stays.
 */
const ask = (title, { label, hint: words, required = false }, choices) => {
  const isOne = choices.length === 1;
  const field = make('input', { className: 'field__input', id: 'staff-text', maxLength: 500, required, dir: 'auto', autocomplete: 'off' });
  const refusal = make('p', { className: 'act__refusal' });
  refusal.setAttribute('role', 'alert');
  let isSending = false;
  const carryOut = async ({ send }) => {
    if (isSending) return;
    isSending = true;
    refusal.textContent = '';
    const refused = (why) => {
      if (made.open) refusal.textContent = why;
      else say(why);
    };
    const answer = await send(field.value.trim() || undefined, refused);
    isSending = false;
    if (answer) made.close();
  };
  const buttons = choices.map((choice) => {
    const made = make('button', { type: isOne ? 'submit' : 'button', className: choice.danger ? 'button button--danger' : 'button' }, choice.label);
    if (!isOne) made.addEventListener('click', () => carryOut(choice));
    return made;
  });
  const form = make('form', { className: 'act' }, hint(words), make('label', { className: 'act__label', htmlFor: field.id }, label), field, refusal);
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    if (isOne) carryOut(choices[0]);
  });
  const cancel = button(w.cancel, () => made.close());
  if (isOne) form.append(make('div', { className: 'acts' }, cancel, ...buttons));
  else form.append(make('div', { className: 'acts acts--lengths' }, ...buttons), make('div', { className: 'acts' }, cancel));
  const made = dialog(title, 'sheet--form', form);
  (isOne ? field : buttons[0]).focus();
};

// The card of a person.

/** Opens the card. @param {{user: string, nickname: string}} message */
const showCard = async (message) => {
  const body = make('div', { className: 'person' }, make('p', { className: 'act__hint' }, w.loading));
  const made = dialog(message.nickname || w.person, 'sheet--card', body);
  const card = await read('person', { user: message.user });
  if (!card) return made.close();
  const who = { ...message, row: undefined, nickname: card.card.nickname, mayAct: card.card.may_act };
  made.addEventListener('keydown', (event) => onCardKey(event, who, made));
  const [mild, harsh] = card.card.may_act ? actsOn(who, made) : [hint(w.mayNotAct), ''];
  body.replaceChildren(...facts(card.card), ...restraints(card.card, made), mild, ...notes(card.card), ...messages(card.card), harsh);
  body.append(button(w.close, () => made.close()));
};

/** Reads data of the staff; says a refusal. */
const read = async (what, fields = {}) => {
  try {
    const response = await fetch(`/gateway/mod/${what}?${new URLSearchParams({ room, ...fields })}`, { headers: { accept: 'application/json' } });
    const answer = await response.json();
    if (response.ok) return answer;
    say(answer.message ?? w.failed);
  } catch {
    say(w.unreachable);
  }
  return undefined;
};

const heading = (text) => make('h3', {}, text);
const hint = (text) => make('p', { className: 'act__hint' }, text);

const facts = ({ nickname, account, rank, since, seen, messages, removed, restraints, nicknames, shares_network: shares, uid }) => {
  const rows = [[account ? w.sinceAccount : w.sinceGuest, time(since)]];
  if (seen) rows.push([w.firstSeen, time(seen[0])], [w.lastSeen, time(seen[1])]);
  const others = nicknames.filter((name) => name !== nickname);
  if (others.length) rows.push([w.nicknames, make('span', { className: 'person__names' }, ...others.map(bdi))]);
  rows.push(['uid', make('span', { className: 'person__uid' }, uid)]);
  const counts = w.counts.replace('{m}', messages >= 10_000 ? '10000+' : messages).replace('{r}', removed).replace('{x}', restraints);
  return [
    make('p', { className: 'person__head' }, make('span', { className: 'mark mark--rank' }, w.ranks[rank])),
    ...(shares ? [make('p', { className: 'person__flag' }, w.sharesNetwork)] : []),
    make('p', { className: 'person__counts' }, counts),
    make('dl', { className: 'facts' }, ...rows.flatMap(([name, value]) => [make('dt', {}, name), make('dd', {}, value)])),
  ];
};

const end = ({ kind, until }) => {
  if (kind === 'warning') return [w.untilAcknowledged];
  return until ? [w.until, ' ', time(until)] : [w.forGood];
};

const restraints = ({ in_force: inForce }, card) => [
  heading(w.inForce),
  inForce.length ? undefined : hint(w.noneInForce),
  ...inForce.map((restraint) => {
    const { kind, reason, case: id } = restraint;
    const lift = async () => {
      if (await act('lift', { case: id }, w.lift)) card.close();
    };
    const words = make('p', { className: 'entry__words' }, make('b', {}, w.kinds[kind]), ' · ', ...end(restraint));
    return make('div', { className: 'entry' }, words, reason ? make('p', { className: 'entry__words' }, bdi(reason)) : undefined, button(w.lift, lift));
  }),
].filter(Boolean);

const notes = ({ notes }) => [
  heading(w.notes),
  notes.length ? undefined : hint(w.noNotes),
  ...notes.map(({ text, by, at }) =>
    make('div', { className: 'entry' }, make('p', { className: 'entry__words' }, bdi(text)), make('p', { className: 'entry__by' }, ...(by.startsWith('bot:') ? [bdi(by), ' · '] : []), time(at))),
  ),
].filter(Boolean);

const messages = ({ last: said }) => {
  const list = make('ol', { className: 'said-list person__last', tabIndex: 0 }, ...said.map(line));
  list.setAttribute('aria-label', w.lastMessages);
  return [heading(w.lastMessages), said.length ? list : hint(w.noMessages)];
};

const line = ({ message, removed }) => {
  const mark = message.removed && make('span', { className: 'mark' }, w.removed);
  const text = message.removed ? (removed ? removed[1] : w.textGone) : message.text;
  const link = make('a', { className: 'said__time', href: `/rooms/${room}/messages/${message.seq}` }, `#${message.seq} · `, time(message.at));
  const row = make('li', { className: 'said' }, make('p', { className: 'said__words' }, ...(mark ? [mark] : []), bdi(text)), link);
  if (mark) row.dataset.removed = '';
  return row;
};

/** The acts of the card: the harmless ones, and those that take something away, which come last and apart. */
const actsOn = (person, card) => {
  const then = (run) => () => {
    card.close();
    run(person);
  };
  return [
    make('div', { className: 'acts' }, button(w.note, then(askNote)), button(w.warn, then(askWarning)), button(w.timeout, then(chooseTimeout))),
    make('div', { className: 'acts acts--harsh' }, button(w.purge, then(choosePurge), 'button button--danger'), button(w.ban, then(askBan), 'button button--danger')),
  ];
};

// The menu of a message: on a desktop at its time, on a phone by a tap on the row.

addItems((message) => {
  const { user, href, isOwn, isRemoved } = message;
  const page = { label: w.page, run: () => location.assign(href) };
  const person = { label: w.person, run: () => showCard(message) };
  if (isRemoved) return user ? [person, page] : [page];
  const mild = [{ label: pinned() === message.seq ? w.unpin : w.pin, run: () => pin(message) }, page];
  if (isOwn) return mild;
  if (!mayActOn(message)) return [person, ...mild];
  return [
    person,
    ...mild,
    { label: `${w.note}…`, run: () => askNote(message) },
    { label: `${w.warn}…`, run: () => askWarning(message) },
    { label: `${w.timeout}…`, run: () => chooseTimeout(message) },
    { label: w.remove, danger: true, run: () => remove(message) },
    { label: `${w.purge}…`, danger: true, run: () => choosePurge(message) },
    { label: `${w.ban}…`, danger: true, run: () => askBan(message) },
  ];
});

// The feed stands still.

const scroller = () => document.querySelector('.list__scroller');
/** Reasons for which the feed stands still. */
const holders = new Set();
const hold = (reason, isOn) => {
  if (isOn) holders.add(reason);
  else holders.delete(reason);
  scroller()?.toggleAttribute('data-hold', holders.size > 0);
};
addEventListener('keydown', ({ key }) => {
  if (key === 'Alt') hold('alt', true);
});
addEventListener('keyup', (event) => {
  if (event.key !== 'Alt') return;
  // It would go to the browser's own menu.
  if (pointer) event.preventDefault();
  hold('alt', false);
});
addEventListener('blur', () => {
  hold('alt', false);
  disarm();
});

/** The row that has the focus. */
let selected;
/** The row that lost the focus to nothing. */
let lost;
document.addEventListener('focusin', ({ target }) => {
  selected = target.closest?.(ROW) ?? undefined;
  lost = undefined;
  if (Number(selected?.dataset.seq) !== armed?.message.seq) disarm();
  hold('row', Boolean(selected));
  if (selected) showBar(selected);
});
document.addEventListener('focusout', ({ relatedTarget }) => {
  if (!selected) return;
  // The browser takes the focus from a row just before it is rendered anew: see `moved`.
  lost = relatedTarget ? undefined : { row: selected, at: performance.now() };
  selected = undefined;
  hold('row', false);
});

// The bar.

/** The place of the mouse over the list; undefined elsewhere. */
let pointer;
/** The row that the bar is on, and its message. */
let target;
/** When rows moved the last time. */
let movedAt = Number.NEGATIVE_INFINITY;
let settling;

const barButton = (name, label, run) => {
  const made = make('button', { type: 'button', className: 'row-bar__button', tabIndex: -1, run }, label);
  made.dataset.act = name;
  return made;
};
const ten = timeouts[1];
const bar = make(
  'div',
  { className: 'row-bar', hidden: true },
  barButton('remove', w.remove, remove),
  barButton('timeout', ten[1], (message) => timeout(message, ten)),
  barButton('person', w.person, showCard),
  barButton('more', w.more, ({ row }) => open(row.querySelector('a.line__time'))),
);
bar.setAttribute('role', 'toolbar');
bar.setAttribute('aria-label', w.moderation);

/**
 * The top of the bar on a row: beside its first row of text, or its last, or, if there is no room, above the text.
 * @param {HTMLElement} row
 */
const placeFor = (row) => {
  const { top, bottom } = row.getBoundingClientRect();
  const { left, right, height } = bar.getBoundingClientRect();
  const texts = [...(row.querySelector('.line__text')?.getClientRects() ?? [])];
  const isFree = (at) => texts.every((text) => text.right < left || text.left > right || text.bottom < at + 4 || text.top > at + height - 4);
  const above = top - height + 5;
  return [top - 1, bottom - height + 1].find(isFree) ?? (above < bar.parentElement.getBoundingClientRect().top ? top - 1 : above);
};

const showBar = (row) => {
  const place = row?.closest('.list');
  if (!place || !row.isConnected) return hideBar();
  if (bar.parentElement !== place) place.append(bar);
  if (target?.row !== row) target?.row.classList.remove('line--aimed');
  row.classList.add('line--aimed');
  target = messageOf(row);
  const { isOwn, isRemoved, user } = target;
  const may = mayActOn(target) && !isRemoved;
  const shown = { remove: may, timeout: may, person: !isOwn && Boolean(user), more: true };
  for (const made of bar.children) made.hidden = !shown[made.dataset.act];
  bar.dataset.of = target.seq;
  bar.hidden = false;
  bar.style.setProperty('--row', `${placeFor(row) - place.getBoundingClientRect().top}px`);
  settle();
};
const hideBar = () => {
  bar.hidden = true;
  target?.row.classList.remove('line--aimed');
  target = undefined;
  hold('bar', false);
};
/** Draws the bar as not yet ready while a click would do nothing. */
const settle = () => {
  clearTimeout(settling);
  const left = SETTLE_MS - (performance.now() - movedAt);
  bar.toggleAttribute('data-settling', left > 0);
  if (left > 0) settling = setTimeout(settle, left);
};

/** Whether the mouse is level with the bar and comes nearer to it: then the row above, which it crosses, does not take the bar. */
const isOnItsWay = ({ x, y }, before) => {
  if (bar.hidden || !before) return false;
  const { left, right, top, bottom } = bar.getBoundingClientRect();
  const far = (at) => Math.abs(at - (left + right) / 2);
  return y >= top && y <= bottom && far(x) < far(before.x);
};

/** The row at a place, also below the bar. */
const rowAt = ({ x, y }) => document.elementsFromPoint(x, y).map((element) => element.closest(ROW)).find(Boolean);
/** Puts the bar on the row that is now under the pointer, or else on the one that has the focus. */
const follow = () => {
  if (holders.has('bar')) return;
  const row = (pointer && rowAt(pointer)) ?? selected;
  if (row) showBar(row);
  else hideBar();
  // It may have come below a mouse that rests.
  if (pointer && bar.contains(document.elementFromPoint(pointer.x, pointer.y))) hold('bar', true);
};
document.addEventListener('pointermove', (event) => {
  if (event.pointerType === 'touch') return;
  const isOnBar = bar.contains(event.target);
  const isOnList = isOnBar || Boolean(event.target.closest?.('.list__scroller'));
  const before = pointer;
  pointer = isOnList ? { x: event.clientX, y: event.clientY } : undefined;
  hold('bar', isOnBar);
  if (!pointer || !isOnItsWay(pointer, before)) follow();
});
document.documentElement.addEventListener('pointerleave', () => {
  pointer = undefined;
  hold('bar', false);
  follow();
});

/** The message at pointerdown. */
let aimed;
bar.addEventListener('pointerdown', (event) => {
  // The focus stays on the row or in the text box.
  event.preventDefault();
  aimed = target && { ...target, at: performance.now() };
});
bar.addEventListener('click', (event) => {
  const { run } = event.target.closest('button') ?? {};
  const message = event.detail ? aimed : target;
  aimed = undefined;
  if (!run || !message) return;
  if (event.detail && message.at - movedAt < SETTLE_MS) return;
  run(message);
});

/** Rows moved: the bar goes to the row that is there now. */
const moved = () => {
  movedAt = performance.now();
  const gone = selected ?? (lost && movedAt - lost.at < SETTLE_MS ? lost.row : undefined);
  if (gone && !gone.isConnected) {
    const again = document.querySelector(`.list__lines > [data-seq="${gone.dataset.seq}"]`);
    selected = lost = undefined;
    hold('row', false);
    again?.querySelector('a.line__time')?.focus({ preventScroll: true });
  }
  if (target || pointer) follow();
};
const lines = new MutationObserver(moved);
const sizes = new ResizeObserver(moved);
/** The panel is built anew when its wasm has loaded. */
const watch = () => {
  const list = scroller();
  if (!list || list === watch.list) return;
  watch.list = list;
  lines.disconnect();
  sizes.disconnect();
  lines.observe(list.querySelector('.list__lines'), { childList: true });
  sizes.observe(list);
  list.addEventListener('scroll', moved, { passive: true });
  hold('row', Boolean(selected?.isConnected));
};
const main = document.querySelector('.room__main');
if (main) {
  new MutationObserver(watch).observe(main, { childList: true, subtree: true });
  watch();
}

// A phone: a tap on a row opens the menu of the row that was touched. With a mouse a click selects the row.

let touched;
document.addEventListener(
  'pointerdown',
  (event) => {
    disarm();
    const row = event.target.closest?.(ROW);
    touched = row && { row, isTouch: event.pointerType === 'touch' };
    if (touched?.isTouch) hold('tap', true);
  },
  true,
);
document.addEventListener('pointercancel', () => hold('tap', false));
document.addEventListener('click', (event) => {
  const { row, isTouch } = touched ?? {};
  touched = undefined;
  const isPlain = row && event.target.closest?.(ROW) === row && !event.target.closest('a, button') && getSelection()?.isCollapsed !== false;
  if (isPlain && row.isConnected) {
    if (isTouch) open(row.querySelector('a.line__time'));
    else row.querySelector('a.line__time')?.focus({ preventScroll: true });
  }
  hold('tap', false);
});
/** While a menu or a card is open, the feed waits below it. */
new MutationObserver(() => hold('menu', Boolean(document.querySelector('dialog.sheet')))).observe(document.body, { childList: true });

// Keys, while a row or a card has the focus.

/** An act that waits for its second key: on the same row, and not for long. */
let armed;
const disarm = () => {
  if (!armed) return;
  clearTimeout(armed.timer);
  armed.leave();
  armed = undefined;
};
const arm = (kind, message, words) => {
  armed = { kind, message, leave: say(words), timer: setTimeout(disarm, ARMED_MS) };
};
/** Runs on a person on whom the reader may act. */
const onPerson = (run) => (message) => (mayActOn(message) ? run(message) : say(w.mayNotAct));
const CARD_KEYS = {
  t: onPerson(chooseTimeout),
  b: onPerson(askBan),
  w: onPerson(askWarning),
  n: onPerson(askNote),
  u: () => undo(),
  '?': () => showKeys(),
};
const KEYS = {
  ...CARD_KEYS,
  r: (message) => !message.isRemoved && reply(message),
  d: (message) => !message.isRemoved && onPerson(remove)(message),
  t: onPerson((message) =>
    arm('timeout', message, `${name(w.armedTimeout, message)} ${timeouts.map(([, length], index) => `[${index + 1}] ${length}`).join(' · ')}`),
  ),
  b: onPerson((message) => arm('ban', message, name(w.armedBan, message))),
  c: (message) => !message.isOwn && message.user && showCard(message),
  p: (message) => !message.isRemoved && pin(message),
};

/** @param {KeyboardEvent} event */
const isForKeys = (event) => !(event.ctrlKey || event.metaKey || event.altKey || event.isComposing || event.target.matches('input, textarea'));
/** @param {KeyboardEvent} event */
const take = (event) => {
  event.preventDefault();
  event.stopPropagation();
};

/** @param {KeyboardEvent} event */
const onKey = (event, message) => {
  if (!isForKeys(event)) return;
  const by = { j: 1, k: -1 }[event.key];
  const run = KEYS[event.key];
  // A key that is held down acts once.
  if (event.repeat && !by) {
    if (run || armed) take(event);
    return;
  }
  if (event.key === 'Shift') return;
  const waiting = armed?.message.seq === message.seq && armed.message.user === message.user ? armed.kind : undefined;
  disarm();
  const length = waiting === 'timeout' ? timeouts[Number(event.key) - 1] : undefined;
  if (length) timeout(message, length);
  else if (waiting === 'ban' && event.key === 'Enter') ban(message);
  else if (by) step(message.row, by);
  else if (run) run(message);
  else return;
  take(event);
};

/** In a card the keys act on the person, after the card has closed. @param {KeyboardEvent} event */
const onCardKey = (event, person, card) => {
  const run = CARD_KEYS[event.key];
  if (!run || !isForKeys(event)) return;
  take(event);
  if (event.repeat) return;
  card.close();
  run(person);
};

document.addEventListener(
  'keydown',
  (event) => {
    const row = event.target.closest?.(ROW);
    if (row) onKey(event, messageOf(row));
  },
  true,
);

/** Moves the focus to the next row down or up. */
const step = (row, by) => {
  const links = [...document.querySelectorAll(`${ROW} a.line__time`)];
  links[links.indexOf(row.querySelector('a.line__time')) + by]?.focus({ preventScroll: false });
};

const showKeys = () => {
  const rows = [
    ['↑ ↓ j k', w.keyMove],
    ['r', w.reply],
    ['d', w.remove],
    ['t 1–6', w.keyTimeout],
    ['b Enter', w.keyBan],
    ['w', w.warn],
    ['c', w.person],
    ['n', w.note],
    ['u', w.undo],
    ['p', `${w.pin} / ${w.unpin}`],
    ['?', w.keyHelp],
  ];
  const list = make('dl', { className: 'keys' }, ...rows.flatMap(([keys, name]) => [make('dt', {}, make('kbd', {}, keys)), make('dd', {}, name)]));
  const made = dialog(w.keys, 'sheet--form', make('p', { className: 'act__hint' }, w.keysHint), list);
  made.append(button(w.close, () => made.close()));
};

// The number of open reports on the button that leads to the moderation page.

const counter = document.querySelector('[data-staff-count]');
let counting;
const count = async () => {
  counting = undefined;
  const answer = await fetch(`/gateway/mod/reports?${new URLSearchParams({ room })}`, { headers: { accept: 'application/json' } })
    .then((response) => (response.ok ? response.json() : undefined))
    .catch(() => {});
  if (!answer) return;
  const open = answer.rows.length;
  counter.textContent = open > 99 ? '99+' : String(open);
  counter.hidden = !open;
  const link = counter.closest('a');
  const name = open ? `${w.moderation}, ${w.reports}: ${counter.textContent}` : w.moderation;
  link.setAttribute('aria-label', name);
  link.title = name;
};
if (counter) {
  count();
  document.addEventListener('roomcast:staff', ({ detail }) => {
    if (detail?.type === 'report' || detail?.type === 'action') counting ??= setTimeout(count, COUNT_MS);
  });
}

// Times on the staff's pages, in the zone of the reader.

for (const place of document.querySelectorAll('time.time')) place.textContent = TIME.format(new Date(place.dateTime));
