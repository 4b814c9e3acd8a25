// The page's location in its URL: person, channel, tab and thread. A reload returns to the same place.

/** The location of a Slack permalink: /archives/C123/p1700000000000100?thread_ts=1700000000.000100 */
export function permalinkPlace(href) {
  let url;
  try {
    url = new URL(href, location.href);
  } catch {
    return null;
  }
  const match = /^\/archives\/([A-Z0-9]+)(?:\/p(\d+)(\d{6}))?\/?$/.exec(url.pathname);
  if (!match) return null;
  const ts = match[2] ? `${match[2]}.${match[3]}` : null;
  const thread = url.searchParams.get("thread_ts") ?? ts;
  return { channel: match[1], ts, thread };
}

export function readRoute() {
  const hash = new URLSearchParams(location.hash.slice(1));
  const linked = hash.has("channel") ? null : permalinkPlace(location.href);
  return {
    user: hash.get("user") ?? undefined,
    channel: hash.get("channel") ?? linked?.channel ?? null,
    thread: hash.get("thread") ?? linked?.thread ?? null,
    tab: hash.get("tab") ?? "messages",
    inspector: hash.has("traffic"),
  };
}

export function writeRoute({ user, channel, thread, tab, inspector }) {
  const hash = new URLSearchParams();
  if (user) hash.set("user", user);
  if (channel) hash.set("channel", channel);
  if (thread) hash.set("thread", thread);
  if (tab && tab !== "messages") hash.set("tab", tab);
  if (inspector) hash.set("traffic", "1");
  const next = `#${hash}`;
  if (next === location.hash) return;
  const how = location.hash ? "pushState" : "replaceState";
  history[how](null, "", permalinkPlace(location.href) ? `/${next}` : next);
}
