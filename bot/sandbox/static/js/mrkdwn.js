// Renders Slack's mrkdwn. Never as HTML: every piece of text becomes a text node.
import { html, Emoji, emojiText, useContext } from "./ui.js";
import { Directory } from "./directory.js";
import { displayName } from "./selectors.js";
import { slackDate } from "./time.js";

const ENTITIES = { "&lt;": "<", "&gt;": ">", "&amp;": "&" };
export const unescape = (text) => text.replace(/&(?:lt|gt|amp);/g, (entity) => ENTITIES[entity]);

const PATTERN = new RegExp(
  [
    "`(?<code>[^`\\n]+)`",
    "<(?<angle>[^<>\\n]+)>",
    ":(?<emoji>[a-z0-9_+'-]+(?:::skin-tone-[2-6])?):",
    "(?<![\\p{L}\\p{N}*])\\*(?<bold>[^\\s*](?:[^*\\n]*[^\\s*])?)\\*(?![\\p{L}\\p{N}*])",
    "(?<![\\p{L}\\p{N}_])_(?<italic>[^\\s_](?:[^\\n]*?[^\\s_])?)_(?![\\p{L}\\p{N}_])",
    "(?<![\\p{L}\\p{N}~])~(?<strike>[^\\s~](?:[^~\\n]*[^\\s~])?)~(?![\\p{L}\\p{N}~])",
    "(?<url>https?:\\/\\/[^\\s<>|]+[^\\s<>|.,;:!?)\\]'\"])",
    "(?<line>\\n)",
  ].join("|"),
  "gu",
);

const SAFE = /^(https?:|mailto:|tel:)/i;

export function Link({ href, children }) {
  const { openLink } = useContext(Directory);
  if (!SAFE.test(href)) return html`<span>${children}</span>`;
  const click = (event) => {
    if (openLink?.(href)) event.preventDefault();
  };
  return html`<a href=${href} target="_blank" rel="noopener noreferrer" onClick=${click}>${children}</a>`;
}

export function UserMention({ id, fallback }) {
  const { user, me, openProfile } = useContext(Directory);
  const found = user(id);
  const name = found ? displayName(found) : fallback ?? id;
  const kind = id === me ? "mention mention-me" : "mention";
  return html`<button type="button" class=${kind} onClick=${() => openProfile?.(id)}>@${name}</button>`;
}

export function ChannelMention({ id, fallback }) {
  const { channel, openChannel } = useContext(Directory);
  const found = channel(id);
  return html`<button type="button" class="mention" onClick=${() => openChannel?.(id)}>
    #${found?.name ?? fallback ?? id}
  </button>`;
}

export function Broadcast({ range }) {
  return html`<span class="mention mention-me">@${range}</span>`;
}

function special(body, label) {
  const [command, ...rest] = body.slice(1).split("^");
  if (command === "date") {
    const [seconds, pattern, link] = rest;
    const text = slackDate(seconds, pattern ?? "", label ?? "");
    return link ? html`<${Link} href=${link}>${text}<//>` : html`<time>${text}</time>`;
  }
  if (command === "subteam") return html`<${Broadcast} range=${(label ?? rest[0]).replace(/^@/, "")} />`;
  return html`<${Broadcast} range=${label ?? command} />`;
}

function angle(inner) {
  const bar = inner.indexOf("|");
  const body = bar < 0 ? inner : inner.slice(0, bar);
  const label = bar < 0 ? undefined : unescape(inner.slice(bar + 1));
  if (body.startsWith("@")) return html`<${UserMention} id=${body.slice(1)} fallback=${label} />`;
  if (body.startsWith("#")) return html`<${ChannelMention} id=${body.slice(1)} fallback=${label} />`;
  if (body.startsWith("!")) return special(unescape(body), label);
  const href = unescape(body);
  return html`<${Link} href=${href}>${label ?? href.replace(/^mailto:/, "")}<//>`;
}

function piece(groups, whole) {
  if (groups.code !== undefined) return html`<code>${unescape(groups.code)}</code>`;
  if (groups.angle !== undefined) return angle(groups.angle);
  if (groups.emoji !== undefined) return emojiText(groups.emoji) ? html`<${Emoji} name=${groups.emoji} />` : whole;
  if (groups.bold !== undefined) return html`<strong>${inline(groups.bold)}</strong>`;
  if (groups.italic !== undefined) return html`<em>${inline(groups.italic)}</em>`;
  if (groups.strike !== undefined) return html`<s>${inline(groups.strike)}</s>`;
  if (groups.url !== undefined) return html`<${Link} href=${unescape(whole)}>${unescape(whole)}<//>`;
  return html`<br />`;
}

/** One run of mrkdwn without blocks in it. */
export function inline(text) {
  const out = [];
  let from = 0;
  for (const match of text.matchAll(PATTERN)) {
    if (match.index > from) out.push(unescape(text.slice(from, match.index)));
    out.push(piece(match.groups, match[0]));
    from = match.index + match[0].length;
  }
  if (from < text.length) out.push(unescape(text.slice(from)));
  return out;
}

const QUOTE = /^(?:&gt;|>) ?/;

function lines(text) {
  const out = [];
  let run = [];
  let quoted = false;
  const flush = () => {
    if (!run.length) return;
    const body = inline(run.join("\n"));
    out.push(quoted ? html`<blockquote>${body}</blockquote>` : html`<span>${body}</span>`);
    run = [];
  };
  for (const line of text.split("\n")) {
    const isQuote = QUOTE.test(line);
    if (isQuote !== quoted) flush();
    quoted = isQuote;
    run.push(isQuote ? line.replace(QUOTE, "") : line);
  }
  flush();
  return out;
}

/** Text in Slack's mrkdwn, with code blocks, quotes and line breaks. */
export function Mrkdwn({ text }) {
  const parts = (text ?? "").split(/```\n?([\s\S]+?)\n?```\n?/);
  return html`<div class="mrkdwn">${parts.map((part, index) => {
    if (index % 2) return html`<pre><code>${unescape(part)}</code></pre>`;
    return part ? lines(index ? part.replace(/^\n/, "") : part) : null;
  })}</div>`;
}

/** plain_text: only emoji names are rendered. */
export function plain(text, emoji = true) {
  if (!emoji) return text;
  return text.split(/(:[a-z0-9_+'-]+:)/).map((part, index) => {
    if (index % 2 === 0) return part;
    return emojiText(part.slice(1, -1)) ? html`<${Emoji} name=${part.slice(1, -1)} />` : part;
  });
}

/** A text object of Block Kit: mrkdwn or plain_text. */
export function TextObject({ value }) {
  if (!value) return null;
  if (value.type === "mrkdwn") return html`<${Mrkdwn} text=${value.text} />`;
  return html`<span class="plain">${plain(value.text ?? "", value.emoji !== false)}</span>`;
}
