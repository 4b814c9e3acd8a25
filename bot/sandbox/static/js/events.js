// Applies pushed events to the state: pure functions from (state, event) to the next state.
// Lists and objects are never mutated, so that unchanged ones stay identical.

export const placeKey = (channel, thread) => `${channel}/${thread ?? ""}`;

const byTs = (a, b) => Number(a.ts) - Number(b.ts);

function putMessage(list = [], message) {
  const at = list.findLastIndex((each) => each.ts === message.ts);
  if (at >= 0) return list.with(at, message);
  const next = [...list, message];
  const last = list[list.length - 1];
  return last && Number(last.ts) > Number(message.ts) ? next.sort(byTs) : next;
}

function withMessages(state, channel, list) {
  return { ...state, messages: { ...state.messages, [channel]: list } };
}

const lengthOf = (text) => [...text].length;

function appendStream(state, { channel, ts, text, length }) {
  const list = state.messages[channel] ?? [];
  const message = list.findLast((each) => each.ts === ts);
  if (!message) return { ...state, stale: true };
  const have = lengthOf(message.text);
  if (have >= length) return state;
  if (have + lengthOf(text) !== length) return { ...state, stale: true };
  return withMessages(state, channel, putMessage(list, { ...message, text: message.text + text }));
}

function replaceById(list, item) {
  const at = list.findIndex((each) => each.id === item.id);
  return at < 0 ? [...list, item] : list.with(at, item);
}

function withKey(map, item) {
  return { ...map, [placeKey(item.channel, item.thread_ts)]: item };
}

const NOTICE_LIMIT = 30;

const REDUCERS = {
  message: (state, { message }) =>
    withMessages(state, message.channel, putMessage(state.messages[message.channel], message)),
  stream: appendStream,
  message_deleted: (state, { channel, ts }) =>
    withMessages(state, channel, (state.messages[channel] ?? []).filter((each) => each.ts !== ts)),
  ephemeral: (state, { ephemeral }) => ({ ...state, ephemerals: replaceById(state.ephemerals, ephemeral) }),
  ephemeral_deleted: (state, { id }) =>
    ({ ...state, ephemerals: state.ephemerals.filter((each) => each.id !== id) }),
  status: (state, { status }) => ({ ...state, statuses: withKey(state.statuses, status) }),
  session: (state, { session }) => ({ ...state, sessions: withKey(state.sessions, session) }),
  prompts: (state, { prompts }) => ({ ...state, prompts: withKey(state.prompts, prompts) }),
  view: (state, { views }) => ({ ...state, views, viewErrors: pruneErrors(state.viewErrors, views) }),
  view_errors: (state, event) =>
    ({ ...state, viewErrors: { ...state.viewErrors, [event.view_id]: event.errors } }),
  home: (state, { view }) => ({ ...state, home: view }),
  // A person who joins a private channel has none of its earlier messages: they must be fetched.
  channel: (state, { channel }) => ({ ...state, channels: replaceById(state.channels, channel),
    stale: state.stale || (channel.type === "group" && !state.channels.some((each) => each.id === channel.id)) }),
  channel_gone: (state, { channel }) => ({ ...state, channels: state.channels.filter((each) => each.id !== channel),
    messages: { ...state.messages, [channel]: undefined } }),
  user: (state, { user }) => ({ ...state, users: replaceById(state.users, user) }),
  bot: (state, { connected }) => ({ ...state, bot: { ...state.bot, connected } }),
  notice: (state, { text, channel }) => {
    const notice = { id: `notice-${state.noticeCount}`, ts: String(Date.now() / 1000), text, channel };
    const notices = [...state.notices, notice].slice(-NOTICE_LIMIT);
    return { ...state, notices, noticeCount: state.noticeCount + 1 };
  },
};

/** Errors belong to one version of a view: an updated view starts without errors. */
function pruneErrors(errors, views) {
  return Object.fromEntries(Object.entries(errors).filter(([id]) => views.some((view) => view.id === id)));
}

export function apply(state, event) {
  const reduce = REDUCERS[event.type];
  return reduce ? reduce(state, event) : state;
}

const indexed = (list = []) => list.reduce(withKey, {});

/** The server's state in the shape that the page uses. */
export function fromServer(answer) {
  return {
    ready: true,
    stale: false,
    me: answer.me?.id ?? answer.me,
    team: answer.team,
    bot: answer.bot,
    users: answer.users,
    channels: answer.channels,
    messages: answer.messages,
    ephemerals: answer.ephemerals,
    statuses: indexed(answer.statuses),
    sessions: indexed(answer.sessions),
    prompts: indexed(answer.prompts),
    commands: answer.commands,
    shortcuts: answer.shortcuts,
    tips: answer.tips ?? [],
    views: answer.views,
    home: answer.home,
  };
}
