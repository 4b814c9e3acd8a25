// The left side: the workspace, its channels, direct messages and apps.
import { html, Avatar, Icon, useState, useRef, classes } from "./ui.js";
import { ChannelSign } from "./channel.js";
import { faceOf } from "./message.js";
import { Menu } from "./overlay.js";
import { displayName, isAppChannel, peopleOf, titleOf, userOf } from "./selectors.js";
import { store } from "./store.js";

async function openDm(user) {
  const answer = await store.act("open-dm", { users: [user] });
  if (answer?.channel) store.goTo({ channel: answer.channel });
}

async function openApp(tab) {
  const answer = await store.act("home", { tab });
  if (answer?.channel) store.goTo({ channel: answer.channel, tab });
}

function Row({ on, strong, count, onClick, label, children }) {
  return html`<li><button type="button" class=${classes("side-row", on && "on", strong && "strong")} aria-label=${label}
    aria-current=${on ? "page" : undefined} onClick=${onClick}>${children}
    ${count > 0 && html`<span class="badge" aria-label=${`${count} unread`}>${count}</span>`}</button></li>`;
}

function ChannelRow({ state, channel }) {
  const on = state.place.channel === channel.id;
  const direct = channel.type === "im" || channel.type === "mpim";
  const title = titleOf(state, channel);
  return html`<${Row} on=${on} strong=${!on && channel.unread > 0} count=${on ? 0 : direct ? channel.unread : channel.mentions}
    label=${title} onClick=${() => store.goTo({ channel: channel.id })}>
    <${ChannelSign} state=${state} channel=${channel} /><span class="side-name">${title}</span><//>`;
}

function Section({ title, children, action }) {
  const [open, setOpen] = useState(true);
  return html`<section class="side-section" aria-label=${title}>
    <div class="side-head"><button type="button" class="side-fold" aria-expanded=${String(open)} onClick=${() => setOpen(!open)}>
      <${Icon} name=${open ? "chevron-down" : "chevron-right"} size=${14} /> ${title}</button>${action}</div>
    ${open && html`<ul>${children}</ul>`}
  </section>`;
}

/** Opens a direct message: with one person, or ticking several for a group. */
function NewMessage({ state }) {
  const anchor = useRef(null);
  const [open, setOpen] = useState(false);
  const others = peopleOf(state).filter((each) => each.id !== state.me);
  const rows = others.map((each) => ({
    label: displayName(each), lead: html`<${Avatar} who=${faceOf(null, each)} size=${20} />`, run: () => openDm(each.id),
  }));
  const group = async () => {
    const answer = await store.act("open-dm", { users: [...others.slice(0, 2).map((each) => each.id), state.bot.user_id] });
    if (answer?.channel) store.goTo({ channel: answer.channel });
  };
  if (others.length > 1) rows.push("-", { label: "Group with two people and the app", icon: "users", run: group });
  return html`<button type="button" ref=${anchor} class="icon-button on-dark" aria-label="New direct message" title="New direct message"
      aria-haspopup="menu" onClick=${() => setOpen(!open)}><${Icon} name="plus" size=${15} /></button>
    ${open && html`<${Menu} anchor=${anchor} label="People" align="start" items=${rows} onClose=${() => setOpen(false)} />`}`;
}

function AppRow({ state, app }) {
  const channel = state.channels.find((each) => isAppChannel(state, each));
  const on = Boolean(channel) && state.place.channel === channel.id;
  return html`<${Row} on=${on} strong=${!on && channel?.unread > 0} count=${on ? 0 : channel?.unread ?? 0} label=${displayName(app)}
    onClick=${() => openApp("messages")}>
    <span class=${classes("presence-wrap", state.bot.connected && "online")}><${Avatar} who=${faceOf(null, app)} size=${20} /></span>
    <span class="side-name">${displayName(app)}</span><//>`;
}

export function Sidebar({ state }) {
  const visible = state.channels.filter((each) => !each.is_archived);
  const channels = visible.filter((each) => ["channel", "group"].includes(each.type));
  const direct = visible.filter((each) => ["im", "mpim"].includes(each.type) && !isAppChannel(state, each));
  const app = userOf(state, state.bot.user_id);
  return html`<nav class="sidebar" aria-label="Workspace">
    <div class="workspace">${state.team?.name ?? "Workspace"}</div>
    <div class="side-scroll">
      <${Section} title="Channels">${channels.map((each) => html`<${ChannelRow} key=${each.id} state=${state} channel=${each} />`)}<//>
      <${Section} title="Direct messages" action=${html`<${NewMessage} state=${state} />`}>
        ${direct.map((each) => html`<${ChannelRow} key=${each.id} state=${state} channel=${each} />`)}<//>
      <${Section} title="Apps">${app && html`<${AppRow} state=${state} app=${app} />`}<//>
    </div>
  </nav>`;
}
