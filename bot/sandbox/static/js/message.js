// One message: author, time, content, reactions, replies and actions.
import { html, memo, Avatar, Emoji, emojiText, Icon, IconButton, useContext, useMemo, useRef, useState, classes } from "./ui.js";
import { Blocks, TaskCard } from "./blocks.js";
import { Directory } from "./directory.js";
import { Picture } from "./elements.js";
import { Markdown } from "./markdown.js";
import { Mrkdwn } from "./mrkdwn.js";
import { Confirm, MenuButton, Popover } from "./overlay.js";
import { store } from "./store.js";
import { displayName } from "./selectors.js";
import { SurfaceContext, surfaceFor } from "./surface.js";
import { ago, clockOf, exactOf } from "./time.js";
import { EmojiPicker } from "./emoji.js";
import { EditBox } from "./composer.js";
import { Pictures } from "./viewer.js";

function Author({ message, who }) {
  const name = message.username ?? displayName(who);
  return html`<span class="author">${name}</span>
    ${who?.is_bot && html`<span class="app-badge">APP</span>`}`;
}

/** The props of `Avatar`; a message may have an icon of its own (":emoji:" or a URL). */
export function faceOf(message, who) {
  const icon = message?.icon ?? "";
  const emoji = icon.startsWith(":") ? icon.replaceAll(":", "") : undefined;
  return {
    id: who?.id ?? "", name: displayName(who), isBot: who?.is_bot, color: who?.color, initials: who?.initials,
    avatar: emoji ? undefined : icon || undefined, emoji,
  };
}

function MessageText({ message }) {
  if (message.format === "markdown") return html`<${Markdown} text=${message.text} growing=${message.streaming} />`;
  return html`<${Mrkdwn} text=${message.text} />`;
}

function Content({ message, errors }) {
  const blocks = message.blocks ?? [];
  const both = message.format === "markdown";
  const showText = message.text && (!blocks.length || both);
  const waiting = message.streaming && !message.text && !blocks.length && !message.tasks?.length;
  return html`
    ${message.plan && html`<div class="plan-title">${message.plan}</div>`}
    ${message.tasks?.map((task) => html`<${TaskCard} key=${task.id} task=${task} />`)}
    ${showText && html`<${MessageText} message=${message} />`}
    ${waiting && html`<div class="markdown growing"><p class="shimmer">Thinking…</p></div>`}
    ${blocks.length > 0 && html`<${Blocks} blocks=${blocks} errors=${errors} />`}
    ${message.broken && html`<div class="broken"><${Icon} name="triangle-alert" size=${14} /> This stream expired before it was finished.</div>`}`;
}

const sizeText = (bytes) => (bytes < 1024 ? `${bytes} B` : bytes < 1048576 ? `${Math.round(bytes / 1024)} kB` : `${(bytes / 1048576).toFixed(1)} MB`);

const addressOf = (file, me) => `${file.url}?${new URLSearchParams({ user: me })}`;
const isAudio = (file) => /^audio\//.test(file.mimetype ?? "");
const isPicture = (file) => /^image\/(png|jpeg|gif|webp)$/.test(file.mimetype ?? "");

function FileCard({ file, me }) {
  const address = addressOf(file, me);
  return html`<a class="file-card" href=${address} target="_blank" rel="noopener" download=${file.name}>
    <span class="file-icon"><${Icon} name="file-text" size=${20} /></span>
    <span><b>${file.title || file.name}</b><small>${file.mimetype} · ${sizeText(file.size ?? 0)}</small></span></a>`;
}

function Clip({ file, me }) {
  return html`<audio controls preload="none" src=${addressOf(file, me)} aria-label=${file.title || file.name}></audio>`;
}

function Files({ files, me }) {
  const pictures = files.filter(isPicture).map((file) => {
    const name = file.title || file.name;
    return { id: file.id, address: addressOf(file, me), alt: file.alt_text || name, name };
  });
  const others = files.filter((file) => !isPicture(file));
  return html`<div class="files"><${Pictures} pictures=${pictures} />
    ${others.map((file) => html`<${isAudio(file) ? Clip : FileCard} key=${file.id} file=${file} me=${me} />`)}</div>`;
}

/** A forwarded message, or what an app reports in Slack's older form. */
function Attachment({ attachment }) {
  const { pretext, author_name: author, title, text, fields, footer, blocks, fallback, color } = attachment;
  const bar = /^[0-9a-f]{3,8}$/i.test(color ?? "") && { borderColor: `#${color}` };
  const said = [title && `*${title}*`, text, ...(fields ?? []).map((field) => `*${field.title}*\n${field.value}`)];
  const words = said.filter(Boolean).join("\n");
  return html`<div class="attachment">
    ${pretext && html`<${Mrkdwn} text=${pretext} />`}
    <blockquote style=${bar || undefined}>
      ${author && html`<b>${author}</b>`}
      ${blocks?.length ? html`<${Blocks} blocks=${blocks} />` : html`<${Mrkdwn} text=${words || fallback || ""} />`}
      ${attachment.image_url && html`<${Picture} element=${{ image_url: attachment.image_url, alt_text: fallback }} size="large" />`}
      ${(attachment.files ?? []).map((file) => html`<div key=${file.id}>📎 ${file.name}</div>`)}
      ${(attachment.attachments ?? []).map((inner, number) => html`<${Attachment} key=${number} attachment=${inner} />`)}
      ${footer && html`<span class="time">${footer}</span>`}
    </blockquote>
  </div>`;
}

function Reactions({ message }) {
  const { me, user } = useContext(Directory);
  const list = message.reactions ?? [];
  if (!list.length) return null;
  return html`<div class="reactions">${list.map(({ name, users, count }) => {
    const mine = users.includes(me);
    const names = users.map((id) => displayName(user(id))).join(", ");
    return html`<button type="button" key=${name} class=${classes("reaction", mine && "mine")} aria-pressed=${String(mine)}
        aria-label=${`${name} reaction, ${count}`} title=${`${names} reacted with :${name}:`}
        onClick=${() => react(message, name, mine)}><${Emoji} name=${name} /><span>${count}</span></button>`;
  })}</div>`;
}

function react(message, name, remove) {
  store.act("react", { channel: message.channel, ts: message.ts, name, remove });
}

function Replies({ message, status, title, onOpen }) {
  const { user } = useContext(Directory);
  if (!message.reply_count && !status) return null;
  const count = message.reply_count ?? 0;
  return html`<button type="button" class="replies" onClick=${onOpen}>
    ${(message.reply_users ?? []).slice(0, 4).map((id) =>
      html`<${Avatar} key=${id} who=${faceOf(null, user(id))} size=${22} />`)}
    ${count > 0 && html`<b>${count === 1 ? "1 reply" : `${count} replies`}</b>`}${title && html`<span class="replies-title">${title}</span>`}
    ${status ? html`<span class="replies-status shimmer">${status}</span>`
      : message.latest_reply && html`<span class="replies-when">Last reply ${ago(message.latest_reply)}</span>`}
    <span class="replies-view">View thread <${Icon} name="chevron-right" size=${14} /></span>
  </button>`;
}

function menuItems({ message, mine, shortcuts, edit, remove }) {
  const at = { channel: message.channel, ts: message.ts };
  const items = shortcuts.map((shortcut) => ({
    label: shortcut.name,
    icon: "zap",
    hint: shortcut.description,
    run: () => store.act("shortcut", { callback_id: shortcut.callback_id, ...at }, { quiet: true }),
  }));
  if (items.length) items.push("-");
  items.push({ label: "Copy text", icon: "copy", run: () => navigator.clipboard?.writeText(message.text) });
  items.push({ label: "Forward to the app", icon: "message-square-text", run: () => store.act("forward", at) });
  if (mine) {
    items.push("-", { label: "Edit message", icon: "pencil", run: edit });
    items.push({ label: "Delete message…", icon: "trash", danger: true, run: remove });
  }
  return items;
}

const QUICK = ["white_check_mark", "eyes", "raised_hands"];

function HoverActions({ message, mine, shortcuts, inThread, onThread, edit, remove }) {
  const [busy, setBusy] = useState(false);
  const [picking, setPicking] = useState(false);
  const smile = useRef(null);
  const choose = (name) => {
    setPicking(false);
    react(message, name, false);
  };
  return html`<div class=${classes("hover-actions", (busy || picking) && "held")} role="toolbar" aria-label="Message actions">
    ${QUICK.map((name) => html`<button type="button" class="icon-button" key=${name} aria-label=${`React with ${name.replaceAll("_", " ")}`}
        title=${`:${name}:`} onClick=${() => choose(name)}>${emojiText(name)}</button>`)}
    <button type="button" class="icon-button" ref=${smile} aria-label="Add reaction…" title="Add reaction…" aria-expanded=${String(picking)}
      onClick=${() => setPicking(!picking)}><${Icon} name="face-slightly-smiling" /></button>
    ${picking && html`<${Popover} anchor=${smile} align="end" class="emoji-box" onClose=${() => setPicking(false)}>
      <${EmojiPicker} onPick=${choose} onClose=${() => { setPicking(false); smile.current?.focus(); }} /><//>`}
    ${!inThread && html`<${IconButton} icon="message-square-text" label="Reply in thread" onClick=${onThread} />`}
    ${mine && html`<${IconButton} icon="pencil" label="Edit" onClick=${edit} />`}
    <${MenuButton} label="More actions" class="icon-button" onToggle=${setBusy}
      items=${() => menuItems({ message, mine, shortcuts, edit, remove })}><${Icon} name="ellipsis-vertical" /><//>
  </div>`;
}

const DELETE_CONFIRM = {
  title: { text: "Delete message" }, text: { text: "Are you sure you want to delete this message? This cannot be undone." },
  confirm: { text: "Delete" }, deny: { text: "Cancel" }, style: "danger",
};

/** `grouped`: same author shortly before, so no picture and name. `status`: the app's status in its thread. */
export const Message = memo(({ message, grouped, inThread = false, status = "", title = "" }) => {
  const { me, user, shortcuts } = useContext(Directory);
  const [editing, setEditing] = useState(false);
  const [removing, setRemoving] = useState(false);
  const who = user(message.user);
  const container = { type: "message", channel: message.channel, ts: message.ts };
  const surface = useMemo(() => surfaceFor(`${me}/${message.channel}/${message.ts}`, container), [me, message.channel, message.ts]);
  const open = () => store.openThread(message.channel, message.thread_ts ?? message.ts);
  const edit = () => setEditing(true);
  const remove = () => {
    setRemoving(false);
    store.act("delete", { channel: message.channel, ts: message.ts });
  };
  const mine = message.user === me;
  const asReply = !inThread && message.thread_ts && message.thread_ts !== message.ts;
  const time = html`<time class="time" title=${exactOf(message.ts)}>${clockOf(message.ts)}</time>`;
  return html`<${SurfaceContext.Provider} value=${surface}>
    <article class=${classes("message", grouped && "grouped", message.streaming && "streaming")} data-ts=${message.ts}
        data-testid="message" aria-label=${`${message.username ?? displayName(who)}, ${clockOf(message.ts)}`} tabindex="-1">
      <div class="gutter">${grouped ? time : html`<${Avatar} who=${faceOf(message, who)} />`}</div>
      <div class="message-body">
        ${!grouped && html`<div class="byline"><${Author} message=${message} who=${who} />${time}</div>`}
        ${asReply && html`<button type="button" class="broadcast" onClick=${open}>replied to a thread</button>`}
        ${editing ? html`<${EditBox} message=${message} onDone=${() => setEditing(false)} />`
          : html`<${Content} message=${message} />`}
        ${message.edited && html`<span class="edited">(edited)</span>`}
        ${(message.files ?? []).length > 0 && html`<${Files} files=${message.files} me=${me} />`}
        ${(message.attachments ?? []).map((attachment, number) => html`<${Attachment} key=${number} attachment=${attachment} />`)}
        <${Reactions} message=${message} />
        ${!inThread && html`<${Replies} message=${message} status=${status} title=${title} onOpen=${open} />`}
      </div>
      ${!editing && html`<${HoverActions} message=${message} mine=${mine} shortcuts=${shortcuts} inThread=${inThread}
        onThread=${open} edit=${edit} remove=${() => setRemoving(true)} />`}
      ${removing && html`<${Confirm} confirm=${DELETE_CONFIRM} onNo=${() => setRemoving(false)} onYes=${remove} />`}
    </article>
  <//>`;
});

/** A message that only this person sees: an ephemeral message of the app, or a notice from Slackbot. */
export const Ephemeral = memo(({ ephemeral }) => {
  const { me, user } = useContext(Directory);
  const who = ephemeral.notice ? { id: "USLACKBOT", real_name: "Slackbot", is_bot: true } : user(ephemeral.user);
  const surface = useMemo(() => surfaceFor(`${me}/${ephemeral.id}`, { type: "ephemeral", id: ephemeral.id }), [me, ephemeral.id]);
  const dismiss = () => (ephemeral.notice ? store.dropNotice(ephemeral.id) : store.dropEphemeral(ephemeral.id));
  return html`<${SurfaceContext.Provider} value=${surface}>
    <article class="message ephemeral" data-ts=${ephemeral.ts} data-testid="ephemeral" aria-label="Only visible to you" tabindex="-1">
      <div class="gutter"><${Avatar} who=${faceOf(null, who)} /></div>
      <div class="message-body">
        <div class="only-you"><${Icon} name="eye" size=${13} /> Only visible to you
          <button type="button" class="link" onClick=${dismiss}>Dismiss</button></div>
        <div class="byline"><${Author} message=${ephemeral} who=${who} />
          <time class="time" title=${exactOf(ephemeral.ts)}>${clockOf(ephemeral.ts)}</time></div>
        <${Content} message=${{ format: "mrkdwn", ...ephemeral }} />
        ${(ephemeral.attachments ?? []).map((attachment, number) => html`<${Attachment} key=${number} attachment=${attachment} />`)}
      </div>
    </article>
  <//>`;
});
