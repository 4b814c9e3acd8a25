// The agent view of an app: suggested prompts, "is thinking…" and Slack's own Stop.
import { html, Avatar, Icon, useEffect, useState } from "./ui.js";
import { displayName, isBusy, promptsAt, statusLine, userOf } from "./selectors.js";
import { faceOf } from "./message.js";
import { store } from "./store.js";

const TURN_MS = 2500;

/** The app's status in a thread; cycles through `loading_messages` if there are any. */
export function StatusLine({ state, channel, thread }) {
  const line = statusLine(state, channel, thread);
  const busy = isBusy(state, channel, thread);
  const turns = line?.loading_messages ?? [];
  const [turn, setTurn] = useState(0);
  useEffect(() => {
    if (turns.length < 2) return undefined;
    const timer = setInterval(() => setTurn((value) => value + 1), TURN_MS);
    return () => clearInterval(timer);
  }, [turns.length]);
  if (!line?.status && !busy) return null;
  const bot = userOf(state, state.bot.user_id);
  const words = turns[turn % turns.length] ?? line?.status;
  return html`<div class="status-line" data-testid="status">
    <${Avatar} who=${faceOf(null, bot)} size=${22} />
    <span class="shimmer" role="status">${words ? `${displayName(bot)} ${words}` : `${displayName(bot)} is answering…`}</span>
    ${busy && html`<button type="button" class="button small stop" aria-label="Stop responding"
      onClick=${() => store.act("stop", { channel, thread_ts: thread })}><${Icon} name="square" size=${12} /> Stop</button>`}
  </div>`;
}

/** Suggested prompts; pressing one sends it. */
export function Prompts({ state, channel, thread = null, onSaid }) {
  const offer = promptsAt(state, channel, thread);
  if (!offer?.prompts?.length) return null;
  const say = async (prompt) => {
    const body = { channel, text: prompt.message, ...(thread ? { thread_ts: thread } : {}) };
    const answer = await store.act("say", body);
    if (answer?.ts) onSaid?.(answer.ts);
  };
  return html`<div class="prompts" role="group" aria-label=${offer.title || "Suggested prompts"}>
    ${offer.title && html`<div class="prompts-title">${offer.title}</div>`}
    ${offer.prompts.map((prompt) => html`<button type="button" class="prompt" key=${prompt.title} title=${prompt.message}
      onClick=${() => say(prompt)}><${Icon} name="sparkles" size=${15} /> ${prompt.title}</button>`)}
  </div>`;
}

/** The greeting of the app's empty Messages tab. */
export function Welcome({ state, channel, onSaid }) {
  const bot = userOf(state, state.bot.user_id);
  return html`<div class="welcome">
    <${Avatar} who=${faceOf(null, bot)} size=${72} />
    <h2>${displayName(bot)}</h2>
    <p>Each message you write here starts a chat in a thread of its own.</p>
    <${Prompts} state=${state} channel=${channel} onSaid=${onSaid} />
  </div>`;
}
