// The page's state and everything that changes it.
import { ApiError, get, Live, post } from "./api.js";
import { apply, fromServer } from "./events.js";
import { readRoute, writeRoute } from "./route.js";

const EMPTY = {
  ready: false, stale: false, connection: "connecting", me: "", team: null, bot: null,
  users: [], channels: [], messages: {}, ephemerals: [], statuses: {}, sessions: {}, prompts: {},
  commands: [], shortcuts: [], tips: [], tipsClosed: Boolean(localStorage.getItem("sandbox-tips-closed")), views: [], viewErrors: {}, home: null,
  notices: [], noticeCount: 0, toasts: [],
  place: { channel: null, tab: "messages", thread: null }, inspector: false, dark: false,
  leaving: null, drawer: false,
};

const TOAST_MS = 7000;
const AGAIN_MS = 1500;
const THEME_KEY = "sandbox-theme";

/** The theme chosen here before, else the system's. */
function prefersDark() {
  const chosen = localStorage.getItem(THEME_KEY);
  return chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
}

class Store {
  state = EMPTY;
  listeners = new Set();
  queue = [];
  composers = new Map();
  waitingForState = true;
  frame = 0;
  toastCount = 0;

  /** Calls `listener` with the state now, which may have changed since it was first drawn, and with each later one. */
  subscribe(listener) {
    this.listeners.add(listener);
    listener(this.state);
    return () => this.listeners.delete(listener);
  }

  set(patch) {
    this.state = { ...this.state, ...patch };
    this.#changed();
  }

  /** Renders once per frame, however many events came. A hidden page gets no frames, hence the timer. */
  #changed() {
    if (this.frame) return;
    const draw = () => {
      cancelAnimationFrame(this.frame);
      clearTimeout(this.timer);
      this.frame = 0;
      for (const listener of this.listeners) listener(this.state);
    };
    this.frame = requestAnimationFrame(draw);
    this.timer = setTimeout(draw, 100);
  }

  start() {
    const route = readRoute();
    this.set({
      inspector: route.inspector,
      dark: prefersDark(),
      place: { channel: route.channel, tab: route.tab, thread: route.thread },
    });
    addEventListener("hashchange", () => this.#followHash());
    this.#connect(route.user);
  }

  #connect(user) {
    this.live?.close();
    this.waitingForState = true;
    this.queue = [];
    this.user = user;
    this.live = new Live(user ? { user } : {}, {
      onOpen: () => this.#reload(),
      onEvent: (event) => this.#receive(event),
      onLost: () => {
        this.set({ connection: "lost" });
        if (user && this.waitingForState) this.#reload();
      },
    });
  }

  async #reload() {
    const live = this.live;
    this.waitingForState = true;
    try {
      const answer = await get("state", this.user ? { user: this.user } : {});
      if (live !== this.live) return;
      this.user = answer.me?.id ?? answer.me;
      this.state = { ...this.state, ...fromServer(answer), connection: "open" };
      this.waitingForState = false;
      for (const event of this.queue.splice(0)) this.state = apply(this.state, event);
      this.#settlePlace();
    } catch (error) {
      if (live !== this.live) return;
      if (error.code === "user_not_found" && this.user) this.#connect(undefined);
      else {
        this.set({ connection: "lost" });
        setTimeout(() => live === this.live && this.waitingForState && this.#reload(), AGAIN_MS);
      }
    }
  }

  #receive(event) {
    if (this.waitingForState) {
      this.queue.push(event);
      return;
    }
    if (event.type === "notice" && !event.channel) {
      this.toast(event.text);
      return;
    }
    const next = apply(this.state, event);
    if (next === this.state) return;
    const stale = next.stale;
    this.state = { ...next, stale: false };
    this.#changed();
    if (stale) this.#reload();
    else if (event.type === "channel_gone" && event.channel === this.state.place.channel) this.#settlePlace();
  }

  /** Stays in the channel if this person may see it, else goes to their first channel. */
  #settlePlace() {
    const { channels, place, bot } = this.state;
    const wanted = channels.find((each) => each.id === place.channel && each.is_member !== false);
    if (wanted) {
      this.goTo({ ...place, channel: wanted.id });
      return;
    }
    const first = channels.find((each) => each.name === "general" && each.is_member)
      ?? channels.find((each) => each.type === "channel" && each.is_member)
      ?? channels.find((each) => each.user !== bot.user_id) ?? channels[0];
    this.goTo({ channel: first?.id ?? null, tab: "messages", thread: null });
  }

  #followHash() {
    const route = readRoute();
    if (route.user && route.user !== this.state.me) {
      this.actAs(route.user, route);
      return;
    }
    const { channel, tab, thread } = this.state.place;
    if (route.channel !== channel || route.tab !== tab || route.thread !== thread) {
      this.goTo({ channel: route.channel, tab: route.tab, thread: route.thread });
    }
  }

  goTo(place) {
    this.set({ place: { tab: "messages", thread: null, ...place }, drawer: false });
    this.#writeRoute();
  }

  #writeRoute() {
    const { me, place, inspector } = this.state;
    writeRoute({ user: me, ...place, inspector });
  }

  openThread(channel, thread) {
    this.goTo({ channel, thread, tab: "messages" });
  }

  closeThread() {
    this.goTo({ ...this.state.place, thread: null });
  }

  toggleInspector() {
    this.set({ inspector: !this.state.inspector });
    this.#writeRoute();
  }

  /** Takes away what the page suggests to try, for good. */
  closeTips() {
    localStorage.setItem("sandbox-tips-closed", "1");
    this.set({ tipsClosed: true });
  }

  toggleTheme() {
    const dark = !this.state.dark;
    localStorage.setItem(THEME_KEY, dark ? "dark" : "light");
    this.set({ dark });
  }

  actAs(user, place = this.state.place) {
    this.set({ views: [], home: null, notices: [], ephemerals: [], place: { tab: "messages", thread: null, ...place } });
    this.#connect(user);
  }

  toast(text, kind = "error") {
    this.toastCount += 1;
    const id = this.toastCount;
    this.set({ toasts: [...this.state.toasts, { id, text, kind }].slice(-4) });
    setTimeout(() => this.dropToast(id), TOAST_MS);
  }

  dropToast(id) {
    this.set({ toasts: this.state.toasts.filter((each) => each.id !== id) });
  }

  dropNotice(id) {
    this.set({ notices: this.state.notices.filter((each) => each.id !== id) });
  }

  dropEphemeral(id) {
    this.set({ ephemerals: this.state.ephemerals.filter((each) => each.id !== id) });
  }

  notice(text, channel) {
    this.#receive({ type: "notice", text, channel });
  }

  /** Leaves a channel. A private one only after a question: one cannot join it again. */
  leave(channel, sure = false) {
    const asks = channel.type === "group" && !sure;
    this.set({ leaving: asks ? channel : null });
    if (!asks) this.act("leave", { channel: channel.id });
  }

  clearErrors(viewId) {
    this.set({ viewErrors: { ...this.state.viewErrors, [viewId]: {} } });
  }

  /** Inserts a mention into the composer of a channel and focuses it. */
  mentionIn(channel, user) {
    this.composers.get(channel)?.(user);
  }

  /** Performs an action as the person, who may have been chosen just now; a refusal is shown as a toast unless `quiet`. Returns the answer, or null. */
  async act(path, body, { quiet = false } = {}) {
    try {
      return await post(path, { user: this.user ?? this.state.me, ...body });
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      if (!quiet || error.code === "unreachable") this.toast(error.message);
      return null;
    }
  }

  /** Goes to the conversation that an action answers with, unless the person has gone elsewhere meanwhile. */
  async open(path, body, tab) {
    const whereabouts = () => {
      const { channel, tab, thread } = this.state.place;
      return [this.user, channel, tab, thread].join();
    };
    const before = whereabouts();
    const answer = await this.act(path, body);
    if (answer?.channel && before === whereabouts()) this.goTo({ channel: answer.channel, ...(tab && { tab }) });
  }
}

export const store = new Store();
