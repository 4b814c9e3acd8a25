// The page: composes its parts and renders them when the state changes.
import { html, render, useEffect, useMemo, useState, classes } from "./ui.js";
import { ChannelPane } from "./channel.js";
import { Directory } from "./directory.js";
import { Inspector } from "./inspector.js";
import { Modals } from "./modal.js";
import { Confirm } from "./overlay.js";
import { permalinkPlace } from "./route.js";
import { channelOf, messageAt, userOf } from "./selectors.js";
import { Sidebar } from "./sidebar.js";
import { store } from "./store.js";
import { ThreadPane } from "./thread.js";
import { Banners, Toasts, TopBar } from "./topbar.js";

/** Follows a link to a message inside the page; returns whether it was one. */
function openLink(href) {
  const place = permalinkPlace(href);
  if (!place) return false;
  const known = channelOf(store.state, place.channel);
  const gone = place.thread && !messageAt(store.state, place.channel, place.thread);
  if (!known || gone) store.toast("That message is no longer here.");
  else store.goTo({ channel: place.channel, thread: place.thread });
  return true;
}

function openProfile(id) {
  const app = id === store.state.bot.user_id;
  store.open(app ? "home" : "open-dm", app ? { tab: "messages" } : { users: [id] });
}

function useDirectory(state) {
  const { me, users, channels, shortcuts } = state;
  return useMemo(() => ({
    me,
    user: (id) => userOf({ users }, id),
    channel: (id) => channelOf({ channels }, id),
    people: users.filter((each) => !each.is_bot),
    places: channels.filter((each) => ["channel", "group"].includes(each.type)),
    shortcuts: shortcuts.filter((each) => each.type === "message"),
    openLink,
    openProfile: (id) => id !== me && openProfile(id),
    openChannel: (id) => store.goTo({ channel: id }),
  }), [me, users, channelNames(channels), shortcuts]);
}

/** Changes only when a name does, so that a new unread count does not render every mention again. */
const channelNames = (channels) => channels.map((each) => `${each.id}${each.name}`).join();

/** Asks before a private channel is left. */
function Leaving({ channel }) {
  if (!channel) return null;
  const confirm = {
    title: { text: `Leave #${channel.name}?` },
    text: { text: "This channel is private: to come back, somebody in it has to invite you." },
    confirm: { text: "Leave" },
    style: "danger",
  };
  return html`<${Confirm} confirm=${confirm} onNo=${() => store.set({ leaving: null })} onYes=${() => store.leave(channel, true)} />`;
}

function App() {
  const [state, setState] = useState(store.state);
  useEffect(() => store.subscribe(setState), []);
  const directory = useDirectory(state);
  useEffect(() => {
    document.documentElement.dataset.theme = state.dark ? "dark" : "light";
  }, [state.dark]);
  if (!state.ready) {
    return html`<div class="loading" role="status">${state.connection === "lost" ? "The sandbox does not answer. Trying again…" : "Loading the workspace…"}</div>`;
  }
  const channel = channelOf(state, state.place.channel);
  const thread = channel && state.place.thread;
  return html`<${Directory.Provider} value=${directory}>
    <${TopBar} state=${state} />
    <div class=${classes("workbench", thread && "with-thread")}>
      <${Sidebar} state=${state} />
      <div class="centre" inert=${state.drawer}><${Banners} state=${state} />
        <div class="panes">${channel
          ? html`<${ChannelPane} key=${`${state.me}/${channel.id}`} state=${state} channel=${channel} />`
          : html`<main class="pane"><p class="loading">Choose a channel.</p></main>`}
          ${thread && html`<${ThreadPane} key=${`${state.me}/${channel.id}/${thread}`} state=${state} channel=${channel} thread=${thread} />`}
        </div>
        ${state.inspector && html`<${Inspector} key=${state.me} />`}
      </div>
    </div>
    <${Modals} state=${state} />
    <${Leaving} channel=${state.leaving} />
    <${Toasts} state=${state} />
  <//>`;
}

store.start();
render(html`<${App} />`, document.getElementById("app"));
