// A list of messages: days, grouping, ephemeral rows, and scrolling along while the reader is at the end.
import { html, Icon, useContext, useEffect, useLayoutEffect, useRef, useState } from "./ui.js";
import { Directory } from "./directory.js";
import { Message, Ephemeral } from "./message.js";
import { dayKey, dayTitle } from "./time.js";

const GROUP_SECONDS = 300;
const NEAR_END = 40;

function continues(before, message) {
  return before && before.user === message.user && before.username === message.username
    && before.subtype === message.subtype && Number(message.ts) - Number(before.ts) < GROUP_SECONDS;
}

/** Messages and ephemeral messages in order, as rows: {kind, key, …}. */
function rowsOf(messages, ephemerals, inThread) {
  const all = [...messages.map((message) => ({ message, ts: Number(message.ts) })), ...ephemerals.map((ephemeral) => ({ ephemeral, ts: Number(ephemeral.ts) }))];
  if (ephemerals.length) all.sort((a, b) => a.ts - b.ts);
  const rows = [];
  let before = null;
  let day = "";
  for (const { message, ephemeral, ts } of all) {
    if (dayKey(ts) !== day) {
      day = dayKey(ts);
      if (rows.length || !inThread) rows.push({ kind: "day", key: `day-${day}`, title: dayTitle(ts) });
      before = null;
    }
    if (ephemeral) rows.push({ kind: "ephemeral", key: ephemeral.id, ephemeral });
    else rows.push({ kind: "message", key: message.ts, message, grouped: continues(before, message) });
    before = message ?? null;
  }
  return rows;
}

/** Keeps the end in view while the reader is there, and shows what the reader says; `own`: ts of their newest message. */
function useFollowing(place, own) {
  const scroller = useRef(null);
  const content = useRef(null);
  const pinned = useRef(true);
  const [away, setAway] = useState(false);
  const toEnd = () => {
    scroller.current.scrollTop = scroller.current.scrollHeight;
  };
  useLayoutEffect(() => {
    pinned.current = true;
    setAway(false);
    toEnd();
  }, [place]);
  useEffect(() => {
    const element = scroller.current;
    const observer = new ResizeObserver(() => pinned.current && toEnd());
    observer.observe(content.current);
    observer.observe(element);
    const scrolled = () => {
      pinned.current = element.scrollHeight - element.scrollTop - element.clientHeight < NEAR_END;
      setAway(!pinned.current);
    };
    element.addEventListener("scroll", scrolled, { passive: true });
    return () => {
      observer.disconnect();
      element.removeEventListener("scroll", scrolled);
    };
  }, []);
  const jump = () => {
    pinned.current = true;
    toEnd();
  };
  const said = useRef({ place, own });
  useLayoutEffect(() => {
    const before = said.current;
    said.current = { place, own };
    if (before.place === place && own > before.own) jump();
  }, [place, own]);
  return { scroller, content, away, jump };
}

/** `statusOf(message)`: the app's status in its thread; `titleOf(message)`: the thread's title. A new `place` starts at the end again. */
export function MessageList({ place, messages, ephemerals, inThread = false, statusOf, titleOf, label, head, divider, tail }) {
  const { me } = useContext(Directory);
  // Not just the last message: an app's answer may arrive together with the question.
  const own = messages.findLast((each) => each.user === me)?.ts ?? "";
  const { scroller, content, away, jump } = useFollowing(place, own);
  const row = (each, index) => {
    if (each.kind === "day") return html`<div class="day" role="separator" key=${each.key}><span>${each.title}</span></div>`;
    if (each.kind === "ephemeral") return html`<${Ephemeral} key=${each.key} ephemeral=${each.ephemeral} />`;
    return html`<${Message} key=${each.key} message=${each.message} grouped=${each.grouped} inThread=${inThread}
        status=${statusOf?.(each.message) ?? ""} title=${titleOf?.(each.message) ?? ""} />${index === 0 && divider}`;
  };
  return html`<div class="list-frame">
    <div class="list" ref=${scroller} tabindex="0" role="log" aria-label=${label} aria-live="off">
      <div class="list-content" ref=${content}>${head}${rowsOf(messages, ephemerals, inThread).map(row)}${tail}</div>
    </div>
    ${away && html`<button type="button" class="jump" onClick=${jump}><${Icon} name="arrow-down" size=${14} /> Latest messages</button>`}
  </div>`;
}
