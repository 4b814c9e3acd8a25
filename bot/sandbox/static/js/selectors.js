// Selectors on the state, memoised per list, so that the same arguments give the same object.
import { placeKey } from "./events.js";

const isReply = (message) => message.thread_ts && message.thread_ts !== message.ts;

function remembered(make) {
  const known = new WeakMap();
  return (list, key = "") => {
    if (!known.has(list)) known.set(list, new Map());
    const answers = known.get(list);
    if (!answers.has(key)) answers.set(key, make(list, key));
    return answers.get(key);
  };
}

const NONE = [];
const top = remembered((list) => list.filter((each) => !isReply(each) || each.subtype === "thread_broadcast"));
const inThread = remembered((list, root) => list.filter((each) => each.ts === root || each.thread_ts === root));

export const topLevel = (state, channel) => top(state.messages[channel] ?? NONE);
export const threadOf = (state, channel, root) => inThread(state.messages[channel] ?? NONE, root);

export const messageAt = (state, channel, ts) => (state.messages[channel] ?? NONE).find((each) => each.ts === ts);

export const userOf = (state, id) => state.users.find((each) => each.id === id);
export const channelOf = (state, id) => state.channels.find((each) => each.id === id);
export const statusAt = (state, channel, thread) => state.statuses[placeKey(channel, thread)]?.status ?? "";
export const statusLine = (state, channel, thread) => state.statuses[placeKey(channel, thread)];
export const sessionAt = (state, channel, thread) => state.sessions[placeKey(channel, thread)];
export const promptsAt = (state, channel, thread) => state.prompts[placeKey(channel, thread)];
export const isBusy = (state, channel, thread) => sessionAt(state, channel, thread)?.status === "processing";

/** Ephemeral messages and notices of one channel or thread, as rows between the messages. */
export function ephemeralsAt(state, channel, thread) {
  const own = state.ephemerals.filter((each) => each.channel === channel && (each.thread_ts ?? null) === thread);
  const notices = state.notices
    .filter((each) => thread === null && (each.channel === channel))
    .map((each) => ({ ...each, notice: true }));
  return [...own, ...notices];
}

/** The people whom the page can act for: everybody but the apps. */
export const peopleOf = (state) => state.users.filter((each) => !each.is_bot);

export const displayName = (user) => user?.real_name || user?.name || "Somebody";

/** A channel's name as `me` sees it: "#general", "Grace Hopper", "Ada, Grace". */
export function titleOf(state, channel) {
  if (!channel) return "";
  if (channel.type === "im") return displayName(userOf(state, channel.user));
  if (channel.type !== "mpim") return channel.name;
  const others = channel.members.filter((id) => id !== state.me);
  return others.map((id) => displayName(userOf(state, id)).split(" ")[0]).join(", ");
}

export const isAppChannel = (state, channel) => channel?.type === "im" && channel.user === state.bot?.user_id;
