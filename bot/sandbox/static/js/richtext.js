// rich_text blocks, as Slack's own composer creates them.
import { html, h, Emoji } from "./ui.js";
import { Broadcast, ChannelMention, Link, UserMention } from "./mrkdwn.js";
import { slackDate } from "./time.js";

const STYLES = { bold: "strong", italic: "em", strike: "s", code: "code", underline: "u" };

function styled(content, style = {}) {
  return Object.entries(STYLES).reduce((inner, [name, tag]) => (style[name] ? h(tag, null, inner) : inner), content);
}

const INLINE = {
  text: (item) => item.text,
  link: (item) => html`<${Link} href=${item.url}>${item.text ?? item.url}<//>`,
  emoji: (item) => html`<${Emoji} name=${item.name} />`,
  user: (item) => html`<${UserMention} id=${item.user_id} />`,
  channel: (item) => html`<${ChannelMention} id=${item.channel_id} />`,
  broadcast: (item) => html`<${Broadcast} range=${item.range} />`,
  usergroup: (item) => html`<${Broadcast} range=${item.usergroup_id} />`,
  date: (item) => slackDate(item.timestamp, item.format ?? "{date}", item.fallback ?? ""),
  color: (item) => item.value,
};

const inlines = (elements = []) => elements.map((item) => styled(INLINE[item.type]?.(item) ?? "", item.style));

function rows(element) {
  const tag = element.style === "ordered" ? "ol" : "ul";
  const start = element.offset ? element.offset + 1 : undefined;
  const items = element.elements.map((item, index) => html`<li key=${index}>${inlines(item.elements)}</li>`);
  return h(tag, { start, class: "rt-list", style: { marginLeft: `${(element.indent ?? 0) * 24}px` } }, items);
}

const PARTS = {
  rich_text_section: (part) => html`<div class="rt-section">${inlines(part.elements)}</div>`,
  rich_text_list: rows,
  rich_text_quote: (part) => html`<blockquote>${inlines(part.elements)}</blockquote>`,
  rich_text_preformatted: (part) => html`<pre><code>${inlines(part.elements)}</code></pre>`,
};

export function RichText({ block }) {
  return html`<div class="rich-text mrkdwn">${(block.elements ?? []).map((part) => PARTS[part.type]?.(part))}</div>`;
}

function cell(item) {
  if (!item) return "";
  if (item.type === "rich_text") return html`<${RichText} block=${item} />`;
  return String(item.text ?? item.value ?? "");
}

/** The table block: the first row is the head. */
export function Table({ block }) {
  const [head = [], ...body] = block.rows ?? [];
  const style = (index) => ({ textAlign: block.column_settings?.[index]?.align });
  const line = (row, tag) => html`<tr>${row.map((item, index) => h(tag, { style: style(index), key: index }, cell(item)))}</tr>`;
  return html`<div class="markdown"><div class="table-wrap" tabindex="0"><table>
    <thead>${line(head, "th")}</thead><tbody>${body.map((row) => line(row, "td"))}</tbody>
  </table></div></div>`;
}
