// The right pane: one thread.
import { html, IconButton, useEffect, useRef, useState } from "./ui.js";
import { Prompts, StatusLine } from "./agent.js";
import { Composer } from "./composer.js";
import { MessageList } from "./list.js";
import { composerIn, useKeptFocus, useReturnedFocus } from "./overlay.js";
import { isAppChannel, sessionAt, threadOf, titleOf, ephemeralsAt } from "./selectors.js";
import { store } from "./store.js";

function TitleBox({ title, onDone }) {
  const input = useRef(null);
  useEffect(() => input.current.select(), []);
  const keys = (event) => {
    if (event.key === "Enter") onDone(event.target.value.trim());
    if (event.key === "Escape") {
      event.stopPropagation();
      onDone("");
    }
  };
  return html`<input class="text-input title-input" ref=${input} aria-label="Chat title" maxlength="200" value=${title}
    onKeyDown=${keys} onBlur=${() => onDone("")} />`;
}

function ThreadHead({ state, channel, thread }) {
  const [renaming, setRenaming] = useState(false);
  const session = sessionAt(state, channel.id, thread);
  const where = channel.type === "im" ? titleOf(state, channel) : `#${titleOf(state, channel)}`;
  const rename = (title) => {
    setRenaming(false);
    if (title && title !== session?.title) store.act("title", { channel: channel.id, thread_ts: thread, title });
  };
  return html`<header class="pane-head">
    <div class="pane-title">
      ${renaming ? html`<${TitleBox} title=${session.title ?? ""} onDone=${rename} />`
        : html`<h2 data-testid="thread-title">${session?.title || "Thread"}</h2>`}
      ${session && !renaming && html`<${IconButton} icon="pencil" size=${14} label="Rename chat" class="subtle" onClick=${() => setRenaming(true)} />`}
      <span class="topic">${where}</span></div>
    <${IconButton} icon="x" label="Close thread" onClick=${() => store.closeThread()} />
  </header>`;
}

export function ThreadPane({ state, channel, thread }) {
  const messages = threadOf(state, channel.id, thread);
  const app = isAppChannel(state, channel);
  const pane = useRef(null);
  useKeptFocus(pane);
  useReturnedFocus(() => composerIn(document));
  const root = messages[0];
  const replies = messages.length - 1;
  const escape = (event) => {
    if (event.key === "Escape" && !event.defaultPrevented && event.target.tagName !== "TEXTAREA") store.closeThread();
  };
  const divider = replies > 0 && html`<div class="replies-rule" role="separator"><span>${replies === 1 ? "1 reply" : `${replies} replies`}</span></div>`;
  return html`<aside ref=${pane} class="pane thread-pane" data-drop aria-label="Thread" onKeyDown=${escape}>
    <${ThreadHead} state=${state} channel=${channel} thread=${thread} />
    <${MessageList} place=${`${state.me}/${channel.id}/${thread}`} messages=${messages} ephemerals=${ephemeralsAt(state, channel.id, thread)}
      inThread label="Thread" divider=${divider}
      head=${!root && html`<div class="beginning"><p>This message is not here any more.</p></div>`}
      tail=${html`<${StatusLine} state=${state} channel=${channel.id} thread=${thread} />`} />
    <div class="composer-area">
      <${Prompts} state=${state} channel=${channel.id} thread=${thread} />
      <${Composer} key=${`${state.me}/${channel.id}/${thread}`} channel=${channel.id} thread=${thread} label="Reply…" autofocus
        broadcastTo=${!app && channel.type !== "im" ? `#${titleOf(state, channel)}` : undefined} />
    </div>
  </aside>`;
}
