// The picture viewer: a message's pictures in the thread, and each of them large. Arrow keys go on, Escape closes.
import { html, IconButton, useState } from "./ui.js";
import { Dialog } from "./overlay.js";

const STEPS = { ArrowRight: 1, ArrowLeft: -1 };

function Viewer({ pictures, first, onClose }) {
  const [at, setAt] = useState(first);
  const { address, alt, name } = pictures[at];
  const go = (step) => setAt((at + step + pictures.length) % pictures.length);
  const keys = (event) => {
    if (event.key in STEPS && pictures.length > 1) go(STEPS[event.key]);
  };
  return html`<${Dialog} label=${alt} onClose=${onClose} class="viewer">
    <div class="viewer-box" onKeyDown=${keys}>
      <div class="dialog-head"><h2>${name}${pictures.length > 1 && html` <small>${at + 1} of ${pictures.length}</small>`}</h2>
        ${pictures.length > 1 && html`<${IconButton} icon="chevron-right" class="flipped" label="Previous picture" onClick=${() => go(-1)} />
          <${IconButton} icon="chevron-right" label="Next picture" onClick=${() => go(1)} />`}
        <${IconButton} icon="x" label="Close" onClick=${onClose} /></div>
      <a href=${address} target="_blank" rel="noopener" aria-label="Open in a tab of its own"><img src=${address} alt=${alt} /></a>
    </div>
  <//>`;
}

/** Pictures side by side, each a button that opens it large. `pictures`: {id, address, alt, name}. */
export function Pictures({ pictures }) {
  const [open, setOpen] = useState(null);
  return html`${pictures.map(({ id, address, alt }, index) => html`<button type="button" key=${id} class="file-image"
      aria-haspopup="dialog" aria-label=${`Open picture: ${alt}`} onClick=${() => setOpen(index)}>
      <img src=${address} alt=${alt} loading="lazy" /></button>`)}
    ${open !== null && html`<${Viewer} pictures=${pictures} first=${open} onClose=${() => setOpen(null)} />`}`;
}
