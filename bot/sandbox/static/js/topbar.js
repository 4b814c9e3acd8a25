// The top bar: the person the page acts as and their language, the traffic inspector, the theme; and the notices below it.
import { html, Avatar, Icon, IconButton, classes } from "./ui.js";
import { faceOf } from "./message.js";
import { MenuButton } from "./overlay.js";
import { displayName, peopleOf, userOf } from "./selectors.js";
import { store } from "./store.js";

function People({ state }) {
  const me = userOf(state, state.me);
  const items = () => peopleOf(state).map((each) => ({
    label: displayName(each),
    checked: each.id === state.me,
    lead: html`<${Avatar} who=${faceOf(null, each)} size=${24} />`,
    run: () => store.actAs(each.id),
  }));
  return html`<${MenuButton} label=${`Acting as ${displayName(me)}. Switch person`} class="person" items=${items}>
    <${Avatar} who=${faceOf(null, me)} size=${26} /><span class="person-name">${displayName(me)}</span>
    <${Icon} name="chevron-down" size=${14} /><//>`;
}

const LANGUAGES = { "en-US": "English", "de-DE": "Deutsch", "fr-FR": "Français", "es-ES": "Español", "ja-JP": "日本語" };

/** The language that the person has chosen in Slack, which apps may follow. The page itself stays English. */
function Language({ state }) {
  const locale = userOf(state, state.me)?.locale ?? "en-US";
  const items = () => Object.entries(LANGUAGES).map(([each, name]) => ({
    label: name,
    checked: each === locale,
    run: () => store.act("locale", { locale: each }),
  }));
  return html`<${MenuButton} label=${`Language: ${LANGUAGES[locale] ?? locale}. Choose another`} class="top-button" items=${items}>
    ${locale.slice(0, 2).toUpperCase()}<//>`;
}

export function TopBar({ state }) {
  return html`<div class="topbar" role="banner" inert=${state.drawer}>
    <div class="brand"><${IconButton} icon="menu" class="on-dark drawer-button" label="Show channels"
        aria-expanded=${String(state.drawer)} onClick=${() => store.set({ drawer: !state.drawer })} /><span class="brand-mark"><${Icon} name="messages-square" size=${16} /></span>
      <span class="brand-note">A workspace on this machine. Nobody else can see it.</span></div>
    <div class="topbar-right">
      <span class=${classes("link-state", state.bot?.connected && "online")} role="status">
        <span class="dot"></span>${state.bot?.connected ? `${state.bot.name} connected` : `${state.bot?.name ?? "App"} not connected`}</span>
      <button type="button" class=${classes("top-button", state.inspector && "on")} aria-pressed=${String(state.inspector)}
        onClick=${() => store.toggleInspector()}><${Icon} name="zap" size=${15} /> Traffic</button>
      <${IconButton} icon=${state.dark ? "sun" : "moon"} class="on-dark" label=${state.dark ? "Light theme" : "Dark theme"} onClick=${() => store.toggleTheme()} />
      <${Language} state=${state} />
      <${People} state=${state} />
    </div>
  </div>`;
}

export function Banners({ state }) {
  if (state.connection === "lost") {
    return html`<div class="banner bad" role="alert"><${Icon} name="wifi-off" size=${16} /> The sandbox does not answer. Trying again…</div>`;
  }
  if (state.bot && !state.bot.connected) {
    return html`<div class="banner" role="alert"><${Icon} name="unplug" size=${16} />
      <span><b>${state.bot.name} is not connected.</b> What you write is kept and delivered when it comes back;
        buttons, menus and commands will not work until then.</span></div>`;
  }
  return null;
}

export function Toasts({ state }) {
  return html`<div class="toasts" role="region" aria-label="Notices" aria-live="assertive">${state.toasts.map((toast) =>
    html`<div class=${`toast ${toast.kind}`} key=${toast.id} role="alert"><${Icon} name="circle-alert" size=${16} /><span>${toast.text}</span>
      <button type="button" class="icon-button on-dark" aria-label="Dismiss" onClick=${() => store.dropToast(toast.id)}><${Icon} name="x" size=${14} /></button></div>`)}
  </div>`;
}
