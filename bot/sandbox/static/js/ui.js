// Shared by every component: Preact with htm, icons, avatars, emoji, memo.
import { html as rawHtml, h, Component } from "../vendor/preact-htm.js";
import icons from "../vendor/icons.js";
import emojiNames from "../vendor/emoji.js";

export {
  render, createContext, useState, useEffect, useLayoutEffect, useRef, useMemo, useCallback, useContext,
} from "../vendor/preact-htm.js";
export { h, Component };
export const html = rawHtml;

/** A component that renders again only when one of its props has changed. */
export function memo(view) {
  return class Memo extends Component {
    shouldComponentUpdate(next) {
      const old = this.props;
      const keys = new Set([...Object.keys(old), ...Object.keys(next)]);
      return [...keys].some((key) => old[key] !== next[key]);
    }

    render(props) {
      return h(view, props);
    }
  };
}

export function Icon({ name, size = 18, label }) {
  const nodes = icons[name] ?? [];
  return html`<svg class="icon" width=${size} height=${size} viewBox="0 0 24 24" fill="none" stroke="currentColor"
    stroke-width="1.9" stroke-linecap="round" stroke-linejoin="round"
    role=${label ? "img" : undefined} aria-label=${label} aria-hidden=${label ? undefined : "true"}>
    ${nodes.map(([tag, attributes], index) => h(tag, { ...attributes, key: index }))}
  </svg>`;
}

/** The characters of an emoji name such as `hourglass_flowing_sand` or `wave::skin-tone-3`; undefined if unknown. */
export function emojiText(name) {
  const [base] = name.split("::");
  return emojiNames[base];
}

export function Emoji({ name }) {
  const text = emojiText(name);
  if (!text) return html`<span>:${name}:</span>`;
  return html`<span class="emoji" role="img" aria-label=${name.replaceAll("_", " ")} title=${`:${name}:`}>${text}</span>`;
}

const COLOURS = ["#4a6fa5", "#b5495b", "#2f7f6f", "#8a5a9e", "#b4692d", "#4b7b3a", "#5a5f9e", "#9c4a7c"];

function colourOf(id) {
  let sum = 0;
  for (const letter of id) sum = (sum * 31 + letter.charCodeAt(0)) >>> 0;
  return COLOURS[sum % COLOURS.length];
}

function initials(name) {
  const words = name.trim().split(/\s+/);
  return (words[0]?.[0] ?? "?").toUpperCase() + (words.length > 1 ? words[words.length - 1][0].toUpperCase() : "");
}

/** The picture of a person or an app: {id, name, isBot, color, initials, avatar, emoji}. */
export function Avatar({ who, size = 36 }) {
  const style = { width: `${size}px`, height: `${size}px`, fontSize: `${Math.round(size * 0.4)}px` };
  if (who?.avatar) return html`<img class="avatar" src=${who.avatar} alt="" style=${style} />`;
  const sign = who?.emoji && emojiText(who.emoji);
  if (sign) return html`<span class="avatar avatar-emoji" style=${style} aria-hidden="true">${sign}</span>`;
  if (who?.isBot) {
    return html`<span class="avatar avatar-app" style=${style} aria-hidden="true">
      <${Icon} name=${who.id === "USLACKBOT" ? "bot" : "sparkles"} size=${Math.round(size * 0.58)} />
    </span>`;
  }
  const name = who?.name ?? "?";
  return html`<span class="avatar" style=${{ ...style, background: who?.color ?? colourOf(who?.id ?? name) }} aria-hidden="true">
    ${who?.initials ?? initials(name)}
  </span>`;
}

export function IconButton({ icon, label, size = 18, class: extra = "", ...rest }) {
  return html`<button type="button" class=${`icon-button ${extra}`} aria-label=${label} title=${label} ...${rest}>
    <${Icon} name=${icon} size=${size} />
  </button>`;
}

export const classes = (...names) => names.filter(Boolean).join(" ");
