// The middle of the page: one channel or direct message, or the app's Home.
import { html, Avatar, Icon, useEffect, useRef, classes } from "./ui.js";
import { Prompts, Welcome } from "./agent.js";
import { Composer } from "./composer.js";
import { Home } from "./home.js";
import { MessageList } from "./list.js";
import { faceOf } from "./message.js";
import { useKeptFocus } from "./overlay.js";
import { displayName, isAppChannel, sessionAt, statusAt, titleOf, topLevel, userOf, ephemeralsAt } from "./selectors.js";
import { store } from "./store.js";
import { Tips } from "./tips.js";

export function ChannelSign({ state, channel, size = 16 }) {
  if (channel.type === "im") return html`<${Avatar} who=${faceOf(null, userOf(state, channel.user))} size=${size + 4} />`;
  const icon = { group: "lock", mpim: "users" }[channel.type] ?? "hash";
  return html`<${Icon} name=${icon} size=${size} />`;
}

function Tabs({ place }) {
  const tab = (key, label) => html`<button type="button" role="tab" id=${`tab-${key}`} aria-selected=${String(place.tab === key)}
    class=${classes("tab", place.tab === key && "on")} onClick=${() => store.goTo({ ...place, tab: key, thread: key === "home" ? null : place.thread })}>
    ${label}</button>`;
  return html`<div class="tabs" role="tablist" aria-label="App">${tab("home", "Home")}${tab("messages", "Messages")}</div>`;
}

function Head({ state, channel, place }) {
  const app = isAppChannel(state, channel);
  const members = channel.members?.length ?? 0;
  return html`<header class="pane-head">
    <div class="pane-title"><h1><${ChannelSign} state=${state} channel=${channel} /> ${titleOf(state, channel)}
        ${app && html`<span class="app-badge">APP</span>`}</h1>
      ${channel.topic && html`<span class="topic">${channel.topic}</span>`}</div>
    ${channel.type !== "im" && html`<div class="members" title=${channel.members.map((id) => displayName(userOf(state, id))).join(", ")}>
      ${channel.members.slice(0, 3).map((id) => html`<${Avatar} key=${id} who=${faceOf(null, userOf(state, id))} size=${22} />`)}
      <span>${members}<span class="sr-only"> members</span></span></div>`}
    ${channel.is_member && (channel.type === "channel" || channel.type === "group") && html`<button type="button" class="button small"
      onClick=${() => store.leave(channel)}>Leave<span class="sr-only"> #${channel.name}</span></button>`}
    ${app && html`<${Tabs} place=${place} />`}
  </header>`;
}

function Beginning({ state, channel }) {
  const app = userOf(state, state.bot.user_id);
  const bot = displayName(app);
  if (channel.type === "im" || channel.type === "mpim") {
    return html`<div class="beginning"><p>This is the very beginning of your conversation with <b>${titleOf(state, channel)}</b>.</p></div>`;
  }
  const here = channel.members.includes(state.bot.user_id);
  return html`<div class="beginning"><h2><${Icon} name=${channel.type === "group" ? "lock" : "hash"} size=${26} />${channel.name}</h2>
    <p>This is the very beginning of the <b>#${channel.name}</b> channel. ${here
      ? html`Mention <b>@${bot}</b> with a question: it replies in a thread below your message.
        <br /><button type="button" class="button begin" onClick=${() => store.mentionIn(channel.id, app)}><${Icon} name="at-sign" size=${14} /> Mention ${bot}</button>`
      : html`<b>@${bot}</b> is not in this channel yet.
        <br /><button type="button" class="button begin" onClick=${() => store.act("invite", { channel: channel.id, invited: state.bot.user_id })}>
          <${Icon} name="plus" size=${14} /> Add ${bot}</button>`}</p></div>`;
}

/** Reports to the server how far this person has read. */
function useReading(channel, last) {
  useEffect(() => {
    if (last && (channel.unread || channel.mentions)) store.act("read", { channel: channel.id, ts: last }, { quiet: true });
  }, [channel.id, channel.unread, channel.mentions, last]);
}

function composerLabel(state, channel) {
  const title = titleOf(state, channel);
  return `Message ${channel.type === "channel" || channel.type === "group" ? `#${title}` : title}`;
}

export function Messages({ state, channel }) {
  const messages = topLevel(state, channel.id);
  const ephemerals = ephemeralsAt(state, channel.id, null);
  const app = isAppChannel(state, channel);
  useReading(channel, (state.messages[channel.id] ?? []).at(-1)?.ts);
  const opened = (ts) => app && store.openThread(channel.id, ts);
  const status = (message) => {
    const words = statusAt(state, channel.id, message.ts);
    return words && `${displayName(userOf(state, state.bot.user_id))} ${words}`;
  };
  const empty = app && !messages.length && !ephemerals.length;
  return html`<${MessageList} place=${`${state.me}/${channel.id}`} messages=${messages} ephemerals=${ephemerals}
      statusOf=${status} titleOf=${(message) => sessionAt(state, channel.id, message.ts)?.title}
      label=${`Messages in ${titleOf(state, channel)}`}
      head=${empty ? html`<${Welcome} state=${state} channel=${channel.id} onSaid=${opened} />` : html`<${Beginning} state=${state} channel=${channel} />`} />
    ${!channel.is_member && channel.type === "channel"
      ? html`<div class="join">You are not in this channel.
          <button type="button" class="button primary" onClick=${() => store.act("join", { channel: channel.id })}>Join channel</button></div>`
      : html`<div class="composer-area">
          ${app && !empty && html`<${Prompts} state=${state} channel=${channel.id} onSaid=${opened} />`}
          <${Composer} key=${`${state.me}/${channel.id}`} channel=${channel.id} label=${composerLabel(state, channel)}
            autofocus=${!state.place.thread} onSaid=${opened} /></div>`}`;
}

export function ChannelPane({ state, channel }) {
  const app = isAppChannel(state, channel);
  const home = app && state.place.tab === "home";
  const pane = useRef(null);
  useKeptFocus(pane);
  useEffect(() => {
    if (app) store.act("home", { tab: home ? "home" : "messages" }, { quiet: true });
  }, [app, home, channel.id, state.me, state.bot.connected]);
  return html`<main ref=${pane} class="pane channel-pane" data-drop aria-label=${titleOf(state, channel)}>
    <${Head} state=${state} channel=${channel} place=${state.place} />
    <${Tips} state=${state} channel=${channel} />
    ${home ? html`<${Home} state=${state} />` : html`<${Messages} state=${state} channel=${channel} />`}
  </main>`;
}
