// The sidebar: the workspace, its channels, direct messages and apps.
import { html, Avatar, Icon, IconButton, useEffect, useRef, useState, classes } from "./ui.js";
import { ChannelSign } from "./channel.js";
import { faceOf } from "./message.js";
import { Dialog } from "./overlay.js";
import { displayName, isAppChannel, titleOf, userOf } from "./selectors.js";
import { store } from "./store.js";

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

/** Chooses the people of a direct message: one, or several for a group. The app may be one of them. */
function PeopleDialog({ state, onClose }) {
  const [chosen, setChosen] = useState([]);
  const others = state.users.filter((each) => each.id !== state.me && (!each.is_bot || each.app));
  const toggle = (id) => setChosen(chosen.includes(id) ? chosen.filter((each) => each !== id) : [...chosen, id]);
  const go = (event) => {
    event.preventDefault();
    onClose();
    store.open("open-dm", { users: chosen });
  };
  return html`<${Dialog} label="New direct message" onClose=${onClose} class="confirm"><form onSubmit=${go}>
    <div class="dialog-head"><h2>New direct message</h2></div>
    <div class="dialog-body"><div class="choices" role="group" aria-label="To">${others.map((each) => html`
      <label class="choice person-choice" key=${each.id}><input type="checkbox" checked=${chosen.includes(each.id)} onChange=${() => toggle(each.id)} />
        <${Avatar} who=${faceOf(null, each)} size=${24} /> ${displayName(each)}</label>`)}</div></div>
    <div class="dialog-foot"><button type="button" class="button" onClick=${onClose}>Cancel</button>
      <button type="submit" class="button primary" disabled=${!chosen.length}>Go</button></div>
  </form><//>`;
}

function NewMessage({ state }) {
  const [open, setOpen] = useState(false);
  return html`<${IconButton} icon="plus" size=${15} class="on-dark" label="New direct message" aria-haspopup="dialog" onClick=${() => setOpen(true)} />
    ${open && html`<${PeopleDialog} state=${state} onClose=${() => setOpen(false)} />`}`;
}

function AppRow({ state, app }) {
  const channel = state.channels.find((each) => isAppChannel(state, each));
  const on = Boolean(channel) && state.place.channel === channel.id;
  return html`<${Row} on=${on} strong=${!on && channel?.unread > 0} count=${on ? 0 : channel?.unread ?? 0} label=${displayName(app)}
    onClick=${() => store.open("home", { tab: "messages" }, "messages")}>
    <span class=${classes("presence-wrap", state.bot.connected && "online")}><${Avatar} who=${faceOf(null, app)} size=${20} /></span>
    <span class="side-name">${displayName(app)}</span><//>`;
}

/** On a narrow page the sidebar is a drawer: the focus stays in it, Escape closes it, and a wide page needs none. */
function useDrawer(open, pane) {
  const returning = useRef(false);
  const close = () => {
    returning.current = true;
    store.set({ drawer: false });
  };
  useEffect(() => {
    if (!open) {
      if (returning.current) document.querySelector(".drawer-button").focus();
      returning.current = false;
      return undefined;
    }
    pane.current.querySelector("[aria-current], .side-row")?.focus();
    const escape = (event) => event.key === "Escape" && close();
    const widened = () => store.set({ drawer: false });
    const narrow = matchMedia("(max-width: 640px)");
    document.addEventListener("keydown", escape);
    narrow.addEventListener("change", widened);
    return () => {
      document.removeEventListener("keydown", escape);
      narrow.removeEventListener("change", widened);
    };
  }, [open]);
  return close;
}

export function Sidebar({ state }) {
  const visible = state.channels.filter((each) => !each.is_archived);
  const channels = visible.filter((each) => ["channel", "group"].includes(each.type));
  const direct = visible.filter((each) => ["im", "mpim"].includes(each.type) && !isAppChannel(state, each));
  const app = userOf(state, state.bot.user_id);
  const pane = useRef(null);
  const close = useDrawer(state.drawer, pane);
  return html`${state.drawer && html`<div class="drawer-shade" onClick=${close}></div>`}
    <nav ref=${pane} class=${classes("sidebar", state.drawer && "open")} aria-label="Workspace">
    <div class="workspace">${state.team?.name ?? "Workspace"}</div>
    <div class="side-scroll">
      <${Section} title="Channels">${channels.map((each) => html`<${ChannelRow} key=${each.id} state=${state} channel=${each} />`)}<//>
      <${Section} title="Direct messages" action=${html`<${NewMessage} state=${state} />`}>
        ${direct.map((each) => html`<${ChannelRow} key=${each.id} state=${state} channel=${each} />`)}<//>
      <${Section} title="Apps">${app && html`<${AppRow} state=${state} app=${app} />`}<//>
    </div>
  </nav>`;
}
