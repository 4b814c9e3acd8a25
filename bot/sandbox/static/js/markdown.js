// Standard Markdown (a model's answer). The text is data: markdown-it lets no HTML pass, and DOMPurify sanitises its output.
// A growing answer is rendered block by block: only the changed block is rendered and sanitised again.
import MarkdownIt from "../vendor/markdown-it.js";
import DOMPurify from "../vendor/purify.js";
import hljs from "../vendor/highlight.js";
import { html, memo, useContext, useRef, useLayoutEffect, emojiText } from "./ui.js";
import { Directory } from "./directory.js";
import { displayName } from "./selectors.js";

const CACHE_SIZE = 400;

/** A small map that drops the least recently used entry. */
class Cache {
  constructor(size) {
    this.size = size;
    this.map = new Map();
  }

  take(key, make) {
    const value = this.map.has(key) ? this.map.get(key) : make();
    this.map.delete(key);
    this.map.set(key, value);
    if (this.map.size > this.size) this.map.delete(this.map.keys().next().value);
    return value;
  }
}

const highlighted = new Cache(CACHE_SIZE);
const sanitised = new Cache(CACHE_SIZE);

function highlight(code, language) {
  if (!language || !hljs.getLanguage(language)) return "";
  return highlighted.take(`${language}\n${code}`, () => hljs.highlight(code, { language, ignoreIllegals: true }).value);
}

const markdown = new MarkdownIt({ html: false, linkify: true, breaks: true, typographer: false, highlight });

/** Slack's own tokens inside Markdown: Slack resolves mentions there too, so the page shows them as mentions. */
function slackToken(state, silent) {
  const match = /^<(@[UW][A-Z0-9]+|#C[A-Z0-9]+|!(?:here|channel|everyone)|!subteam\^[A-Z0-9]+)(?:\|([^>]*))?>/.exec(
    state.src.slice(state.pos, state.pos + 120),
  );
  if (!match) return false;
  if (!silent) {
    const token = state.push("slack_token", "", 0);
    token.content = match[1];
    token.info = match[2] ?? "";
  }
  state.pos += match[0].length;
  return true;
}

function emojiToken(state, silent) {
  if (state.src.charCodeAt(state.pos) !== 0x3a) return false;
  const match = /^:([a-z0-9_+'-]+):/.exec(state.src.slice(state.pos, state.pos + 60));
  const text = match && emojiText(match[1]);
  if (!text) return false;
  if (!silent) state.push("text", "", 0).content = text;
  state.pos += match[0].length;
  return true;
}

const TASK = /^\[([ xX])\] /;

function taskLists(state) {
  for (let index = 2; index < state.tokens.length; index += 1) {
    const token = state.tokens[index];
    if (token.type !== "inline" || state.tokens[index - 2].type !== "list_item_open") continue;
    const match = TASK.exec(token.content);
    const first = token.children?.[0];
    if (!match || first?.type !== "text") continue;
    state.tokens[index - 2].attrJoin("class", "task");
    first.content = first.content.replace(TASK, match[1] === " " ? "☐ " : "☑ ");
  }
}

markdown.inline.ruler.before("autolink", "slack_token", slackToken);
markdown.inline.ruler.before("emphasis", "emoji", emojiToken);
markdown.core.ruler.after("inline", "task_lists", taskLists);
markdown.renderer.rules.slack_token = (tokens, index, _options, env) => {
  const { content, info } = tokens[index];
  const name = content.startsWith("@") ? `@${env.nameOf?.(content.slice(1)) ?? (info || content.slice(1))}`
    : content.startsWith("#") ? `#${env.channelOf?.(content.slice(1)) ?? content.slice(1)}`
      : `@${content.slice(1)}`;
  return `<span class="mention mention-me">${markdown.utils.escapeHtml(name)}</span>`;
};
markdown.renderer.rules.image = (tokens, index) => {
  const token = tokens[index];
  const href = markdown.utils.escapeHtml(token.attrGet("src") ?? "");
  return `<a href="${href}">${markdown.utils.escapeHtml(token.content || "image")}</a>`;
};
markdown.renderer.rules.table_open = () => '<div class="table-wrap" tabindex="0"><table>';
markdown.renderer.rules.table_close = () => "</table></div>";

DOMPurify.addHook("afterSanitizeAttributes", (node) => {
  if (node.tagName !== "A") return;
  node.setAttribute("target", "_blank");
  node.setAttribute("rel", "noopener noreferrer");
});

const TAGS = [
  "a", "p", "br", "hr", "strong", "em", "s", "code", "pre", "blockquote", "ul", "ol", "li", "span", "div",
  "h1", "h2", "h3", "h4", "h5", "h6", "table", "thead", "tbody", "tr", "th", "td",
];
const clean = (dirty) => DOMPurify.sanitize(dirty, {
  ALLOWED_TAGS: TAGS,
  ALLOWED_ATTR: ["href", "class", "start", "style", "tabindex", "target", "rel"],
  ALLOWED_URI_REGEXP: /^(?:https?|mailto|tel):/i,
});

/** The top-level blocks of a text, each as sanitised HTML. */
function blocksOf(text, env) {
  const out = [];
  let depth = 0;
  let start = 0;
  const tokens = markdown.parse(text, env);
  tokens.forEach((token, index) => {
    depth += token.nesting;
    if (depth > 0) return;
    const dirty = markdown.renderer.render(tokens.slice(start, index + 1), markdown.options, env);
    out.push(sanitised.take(dirty, () => clean(dirty)));
    start = index + 1;
  });
  return out;
}

function copyButton(pre) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "copy-code";
  button.textContent = "Copy";
  button.setAttribute("aria-label", "Copy code");
  button.addEventListener("click", async () => {
    await navigator.clipboard?.writeText(pre.querySelector("code")?.textContent ?? "");
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
  });
  return button;
}

const Piece = memo(({ content }) => {
  const element = useRef(null);
  useLayoutEffect(() => {
    element.current.innerHTML = content;
    for (const pre of element.current.querySelectorAll("pre")) pre.append(copyButton(pre));
  }, [content]);
  return html`<div class="md-piece" ref=${element}></div>`;
});

/** Markdown as Slack shows it; `growing` puts a caret after the last word of a streaming answer. */
export function Markdown({ text, growing = false }) {
  const { user, channel, openLink } = useContext(Directory);
  const env = { nameOf: (id) => user(id) && displayName(user(id)), channelOf: (id) => channel(id)?.name };
  const click = (event) => {
    const link = event.target.closest("a");
    if (link && openLink?.(link.href)) event.preventDefault();
  };
  return html`<div class=${growing ? "markdown growing" : "markdown"} onClick=${click}>
    ${blocksOf(text ?? "", env).map((content, index) => html`<${Piece} key=${index} content=${content} />`)}
  </div>`;
}
