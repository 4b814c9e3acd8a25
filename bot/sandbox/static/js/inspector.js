// The traffic between Slack and the app: Web API calls, events, acknowledgements, responses.
import { html, memo, Icon, IconButton, useEffect, useMemo, useRef, useState, classes } from "./ui.js";
import { get, Live } from "./api.js";
import { useReturnedFocus } from "./overlay.js";
import { store } from "./store.js";

const KEPT = 1000;
const FIRST = 300;
const KINDS = { call: "Calls", event: "Events", ack: "Acks", response: "Responses" };

function keep(list, entry) {
  const at = list.findLastIndex((each) => each.id === entry.id);
  return at >= 0 ? list.with(at, entry) : [...list, entry].slice(-KEPT);
}

/** The entries; while `paused` they are collected but not shown. Returns [entries, waiting, clear]. */
function useTraffic(paused) {
  const all = useRef([]);
  const [shown, setShown] = useState([]);
  const [waiting, setWaiting] = useState(0);
  const held = useRef(paused);
  const pending = useRef(0);
  held.current = paused;
  const show = () => {
    if (pending.current) return;
    pending.current = setTimeout(() => {
      pending.current = 0;
      if (!held.current) setShown(all.current);
      else setWaiting((count) => count + 1);
    }, 100);
  };
  useEffect(() => {
    if (paused) return;
    setWaiting(0);
    setShown(all.current);
  }, [paused]);
  useEffect(() => {
    const live = new Live({ user: store.state.me, traffic: "1" }, {
      onOpen: async () => {
        const answer = await get("traffic", { newest: FIRST }).catch(() => ({ entries: [] }));
        all.current = answer.entries.reduce(keep, all.current).sort((a, b) => a.id - b.id);
        show();
      },
      onEvent: (event) => {
        if (event.type !== "traffic") return;
        all.current = keep(all.current, event.entry);
        show();
      },
    });
    return () => {
      live.close();
      clearTimeout(pending.current);
    };
  }, []);
  const clear = () => {
    all.current = [];
    setShown([]);
  };
  return [shown, waiting, clear];
}

const SHORT = 120;

function Leaf({ value }) {
  if (typeof value === "string") return html`<span class="json-string">"${value}"</span>`;
  return html`<span class="json-other">${String(value)}</span>`;
}

/** A value as a tree; deep or long values start folded. */
function Json({ name, value, depth = 0 }) {
  const label = name !== undefined && html`<span class="json-key">${name}: </span>`;
  if (value === null || typeof value !== "object") return html`<div class="json-row">${label}<${Leaf} value=${value} /></div>`;
  const entries = Object.entries(value);
  const brackets = Array.isArray(value) ? ["[", "]"] : ["{", "}"];
  if (!entries.length) return html`<div class="json-row">${label}${brackets.join("")}</div>`;
  const open = depth < 3 || JSON.stringify(value).length < SHORT;
  return html`<details class="json-node" open=${open}><summary>${label}${brackets[0]} <span class="json-count">${entries.length}</span> ${brackets[1]}</summary>
    ${entries.map(([key, each]) => html`<${Json} key=${key} name=${Array.isArray(value) ? undefined : key} value=${each} depth=${depth + 1} />`)}
  </details>`;
}

const stamp = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", fractionalSecondDigits: 3, hour12: false });

const Entry = memo(({ entry }) => {
  const [open, setOpen] = useState(false);
  const row = useRef(null);
  useEffect(() => {
    if (open) row.current.scrollIntoView({ block: "nearest" });
  }, [open]);
  const inward = entry.direction === "in";
  return html`<li ref=${row} class=${classes("traffic-row", !entry.ok && "failed")} data-testid="traffic-entry">
    <button type="button" class="traffic-line" aria-expanded=${String(open)} onClick=${() => setOpen(!open)}>
      <${Icon} name=${open ? "chevron-down" : "chevron-right"} size=${13} />
      <time>${stamp.format(new Date(entry.at * 1000))}</time>
      <span class=${`way ${entry.direction}`} title=${inward ? "app to Slack" : "Slack to app"}>${inward ? "app → Slack" : "Slack → app"}</span>
      <span class=${`kind ${entry.kind}`}>${entry.kind}</span>
      <b>${entry.name}</b>
      ${entry.attempt > 1 && html`<span class="attempt">attempt ${entry.attempt}</span>`}
      <span class="outcome">${entry.error ?? (entry.ok ? "ok" : "failed")}</span>
      <span class="took">${entry.ms == null ? "" : `${Math.round(entry.ms)} ms`}</span>
    </button>
    ${open && html`<div class="traffic-body"><div><h4>Sent</h4><${Json} value=${entry.body} /></div>
      ${entry.answer && html`<div><h4>Answer</h4><${Json} value=${entry.answer} /></div>`}</div>`}
  </li>`;
});

/** An event and, once the app has acknowledged it, the acknowledgement as an entry of its own. */
function withAck(entry) {
  if (!entry.acked_at) return [entry];
  const ack = { id: `${entry.id}-ack`, at: entry.acked_at, kind: "ack", name: entry.name, direction: "in", ok: true };
  return [entry, { ...ack, ms: entry.ms, attempt: entry.attempt, body: entry.answer ?? {} }];
}

function matches(entry, words, kinds) {
  if (!kinds.has(entry.kind)) return false;
  if (!words) return true;
  const text = `${entry.name} ${entry.error ?? ""} ${JSON.stringify(entry.body)} ${JSON.stringify(entry.answer)}`.toLowerCase();
  return words.toLowerCase().split(/\s+/).every((word) => text.includes(word));
}

function Bar({ words, setWords, kinds, setKinds, paused, setPaused, waiting, clear }) {
  const toggle = (kind) => {
    const next = new Set(kinds);
    if (!next.delete(kind)) next.add(kind);
    setKinds(next);
  };
  return html`<div class="traffic-bar"><h2>Traffic</h2>
    <input class="text-input" type="search" placeholder="Filter: chat.update ok…" aria-label="Filter traffic"
      value=${words} onInput=${(event) => setWords(event.target.value)} />
    ${Object.entries(KINDS).map(([kind, label]) => html`<button type="button" key=${kind} class=${classes("pill", kinds.has(kind) && "on")}
      aria-pressed=${String(kinds.has(kind))} onClick=${() => toggle(kind)}>${label}</button>`)}
    <span class="spring"></span>
    ${paused && waiting > 0 && html`<span class="waiting">new entries are waiting</span>`}
    <${IconButton} icon=${paused ? "play" : "pause"} size=${15} label=${paused ? "Resume" : "Pause"} onClick=${() => setPaused(!paused)} />
    <${IconButton} icon="eraser" size=${15} label="Clear" onClick=${clear} />
    <${IconButton} icon="x" size=${15} label="Close traffic" onClick=${() => store.toggleInspector()} />
  </div>`;
}

const HEIGHT_KEY = "sandbox-traffic-height";

function useHeight() {
  const [height, setHeight] = useState(() => Number(localStorage.getItem(HEIGHT_KEY)) || 280);
  const change = (next) => {
    const bounded = Math.max(140, Math.min(next, innerHeight - 200));
    localStorage.setItem(HEIGHT_KEY, String(bounded));
    setHeight(bounded);
  };
  const drag = (event) => {
    event.target.setPointerCapture(event.pointerId);
    event.target.onpointermove = (move) => change(innerHeight - move.clientY);
    event.target.onpointerup = () => { event.target.onpointermove = null; };
  };
  const keys = (event) => {
    const step = { ArrowUp: 24, ArrowDown: -24 }[event.key];
    if (step) change(height + step);
  };
  return [height, drag, keys];
}

export function Inspector() {
  const [paused, setPaused] = useState(false);
  const [words, setWords] = useState("");
  const [kinds, setKinds] = useState(new Set(Object.keys(KINDS)));
  const [entries, waiting, clear] = useTraffic(paused);
  const [height, drag, keys] = useHeight();
  const list = useRef(null);
  useReturnedFocus(() => document.querySelector(".topbar [aria-pressed]"));
  const rows = useMemo(() => entries.flatMap(withAck).sort((a, b) => a.at - b.at)
    .filter((each) => matches(each, words, kinds)), [entries, words, kinds]);
  const atEnd = useRef(true);
  useEffect(() => {
    if (atEnd.current) list.current.scrollTop = list.current.scrollHeight;
  }, [rows]);
  const scrolled = ({ target }) => { atEnd.current = target.scrollHeight - target.scrollTop - target.clientHeight < 30; };
  return html`<section class="inspector" aria-label="Traffic between Slack and the app" style=${{ height: `${height}px` }}>
    <div class="handle" role="separator" tabindex="0" aria-label="Resize" aria-orientation="horizontal" onPointerDown=${drag} onKeyDown=${keys}></div>
    <${Bar} words=${words} setWords=${setWords} kinds=${kinds} setKinds=${setKinds} paused=${paused} setPaused=${setPaused} waiting=${waiting} clear=${clear} />
    <ul class="traffic-list" ref=${list} tabindex="0" onScroll=${scrolled}>${rows.map((entry) => html`<${Entry} key=${entry.id} entry=${entry} />`)}
      ${!rows.length && html`<li class="traffic-empty">Nothing here yet. Mention the app, and its calls appear.</li>`}</ul>
  </section>`;
}
