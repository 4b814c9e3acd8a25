// Completion of the word before the caret: people, channels, emoji, slash commands.
import emojiNames from "../vendor/emoji.js";
import { displayName } from "./selectors.js";

const MOST = 8;
const WORD = /(?:^|[\s(])([@#:])([\p{L}\p{N}_.+-]*)$/u;

/** {kind, query, from} of the word before `caret` if it can be completed, else null. */
export function wordAt(text, caret, { commands }) {
  const before = text.slice(0, caret);
  if (commands && /^\/\S*$/.test(before)) return { kind: "/", query: before.slice(1), from: 0 };
  const match = WORD.exec(before);
  if (!match) return null;
  const [, kind, query] = match;
  if (kind === ":" && query.length < 2) return null;
  return { kind, query, from: caret - query.length - 1 };
}

const startsAnyWord = (text, needle) => text.toLowerCase().split(/\s+/).some((word) => word.startsWith(needle));

function people(state, needle, channel) {
  const members = new Set(channel?.members ?? []);
  const matches = state.users.filter((each) => startsAnyWord(`${each.name} ${displayName(each)}`, needle));
  const rank = (each) => (each.app ? 0 : each.id === state.me ? 3 : members.has(each.id) ? 1 : 2);
  const rows = matches.sort((a, b) => rank(a) - rank(b)).map((each) => ({
    key: each.id, user: each, label: displayName(each), hint: each.name,
    insert: `@${displayName(each)}`, token: `<@${each.id}>`,
  }));
  const broadcasts = ["here", "channel"].filter((name) => needle && name.startsWith(needle)).map((name) => ({
    key: name, label: `@${name}`, hint: "Notify everyone in this channel", insert: `@${name}`, token: `<!${name}>`,
  }));
  return [...rows, ...broadcasts];
}

function channels(state, needle) {
  return state.channels.filter((each) => ["channel", "group"].includes(each.type) && each.name.includes(needle)).map((each) => ({
    key: each.id, label: `#${each.name}`, hint: each.topic ?? "", insert: `#${each.name}`, token: `<#${each.id}>`,
  }));
}

function emoji(needle) {
  const found = Object.keys(emojiNames).filter((name) => name.includes(needle));
  found.sort((a, b) => Number(b.startsWith(needle)) - Number(a.startsWith(needle)) || a.length - b.length);
  return found.slice(0, MOST).map((name) => ({ key: name, sign: emojiNames[name], label: `:${name}:`, hint: "", insert: `:${name}:` }));
}

/** Slack's own commands that the sandbox supports. */
export const OWN_COMMANDS = [
  { command: "/invite", usage_hint: "@somebody", description: "Bring somebody into this channel" },
  { command: "/leave", usage_hint: "", description: "Leave this channel" },
];

function commands(state, needle) {
  return [...state.commands, ...OWN_COMMANDS].filter((each) => each.command.slice(1).startsWith(needle)).map((each) => ({
    key: each.command, label: each.command, usage: each.usage_hint, hint: each.description, insert: each.command, command: true,
  }));
}

/** The rows of the completion list for `word` (from `wordAt`). */
export function completions(state, word, channel) {
  if (!word) return [];
  const needle = word.query.toLowerCase();
  const rows = {
    "@": () => people(state, needle, channel),
    "#": () => channels(state, needle),
    ":": () => emoji(needle),
    "/": () => commands(state, needle),
  }[word.kind]();
  return rows.slice(0, MOST);
}

const escapeRegExp = (text) => text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");

/** Replaces the names of picked people and channels by their ids. */
export function withTokens(text, picked) {
  const names = [...picked.keys()].sort((a, b) => b.length - a.length);
  if (!names.length) return text;
  const pattern = new RegExp(`(?<![\\p{L}\\p{N}<])(?:${names.map(escapeRegExp).join("|")})(?![\\p{L}\\p{N}])`, "gu");
  return text.replace(pattern, (name) => picked.get(name));
}
