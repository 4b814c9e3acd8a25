// Choosing an emoji by name.
import { html, useEffect, useRef, useState } from "./ui.js";
import names from "../vendor/emoji.js";

const FAVOURITES = [
  "+1", "-1", "heart", "tada", "rocket", "eyes", "white_check_mark", "raised_hands", "joy", "thinking_face", "wave",
  "pray", "fire", "sparkles", "bulb", "hourglass_flowing_sand",
];
const MOST = 64;
const SHOWN_MODIFIERS = /skin-tone|^flag-/;

function matching(query) {
  const needle = query.trim().toLowerCase().replace(/^:|:$/g, "").replaceAll(" ", "_");
  if (!needle) return FAVOURITES;
  return Object.keys(names).filter((name) => name.includes(needle) && !SHOWN_MODIFIERS.test(name)).slice(0, MOST);
}

export function EmojiPicker({ onPick, onClose }) {
  const [query, setQuery] = useState("");
  const input = useRef(null);
  useEffect(() => input.current.focus(), []);
  const found = matching(query);
  const keys = (event) => {
    if (event.key === "Escape") {
      event.stopPropagation();
      onClose();
    } else if (event.key === "Enter" && event.target === input.current && found.length) onPick(found[0]);
  };
  return html`<div class="emoji-picker" onKeyDown=${keys}>
    <input ref=${input} class="text-input" type="search" aria-label="Search emoji" placeholder="Search emoji" value=${query}
      onInput=${(event) => setQuery(event.target.value)} />
    <div class="emoji-grid">${found.map((name) => html`<button type="button" key=${name} aria-label=${name} title=${`:${name}:`}
      onClick=${() => onPick(name)}>${names[name]}</button>`)}</div>
  </div>`;
}
