// Popovers, menus and confirmations. Popovers use the browser's top layer, so nothing clips them.
import { html, Icon, useEffect, useLayoutEffect, useRef, useState } from "./ui.js";

const MARGIN = 8;

function place(anchor, box, align) {
  const from = anchor.getBoundingClientRect();
  const size = box.getBoundingClientRect();
  const below = innerHeight - from.bottom - MARGIN;
  const above = from.top - MARGIN;
  const up = size.height > below && above > below;
  const room = Math.max(up ? above : below, 120);
  box.style.maxHeight = `${room - 4}px`;
  const height = Math.min(box.scrollHeight, room - 4);
  const left = align === "end" ? from.right - size.width : from.left;
  box.style.left = `${Math.max(MARGIN, Math.min(left, innerWidth - size.width - MARGIN))}px`;
  box.style.top = `${up ? Math.max(MARGIN, from.top - height - 4) : from.bottom + 4}px`;
}

/** A floating box at `anchor` (a ref); closes on a click elsewhere. Its content handles Escape. */
export function Popover({ anchor, align = "start", onClose, matchWidth = false, class: extra = "", children, ...rest }) {
  const box = useRef(null);
  useLayoutEffect(() => {
    const element = box.current;
    if (matchWidth) element.style.minWidth = `${anchor.current.getBoundingClientRect().width}px`;
    element.showPopover();
    const settle = () => place(anchor.current, element, align);
    settle();
    const observer = new ResizeObserver(settle);
    observer.observe(element);
    addEventListener("scroll", settle, true);
    addEventListener("resize", settle);
    return () => {
      observer.disconnect();
      removeEventListener("scroll", settle, true);
      removeEventListener("resize", settle);
    };
  }, []);
  useEffect(() => {
    const outside = (event) => {
      if (!box.current?.contains(event.target) && !anchor.current?.contains(event.target)) onClose?.();
    };
    addEventListener("pointerdown", outside, true);
    return () => removeEventListener("pointerdown", outside, true);
  }, [onClose]);
  return html`<div popover="manual" class=${`popover ${extra}`} ref=${box} ...${rest}>${children}</div>`;
}

function step(list, from, key) {
  if (key === "Home") return 0;
  if (key === "End") return list.length - 1;
  return (from + (key === "ArrowDown" ? 1 : -1) + list.length) % list.length;
}

/**
 * A menu at a button. `items`: {label, icon?, danger?, checked?, hint?, lead?, run} or "-" for a line.
 * Arrow keys, Home, End, Escape and Tab work as in every menu.
 */
export function Menu({ anchor, items, onClose, label, align = "end" }) {
  const list = useRef(null);
  const entries = () => [...list.current.querySelectorAll("[role^=menuitem]")];
  useEffect(() => {
    const checked = list.current.querySelector("[aria-checked=true]");
    (checked ?? entries()[0])?.focus();
  }, []);
  const close = () => {
    onClose();
    anchor.current?.focus();
  };
  const keys = (event) => {
    if (event.key === "Escape" || event.key === "Tab") {
      event.preventDefault();
      event.stopPropagation();
      close();
    } else if (["ArrowDown", "ArrowUp", "Home", "End"].includes(event.key)) {
      event.preventDefault();
      const all = entries();
      all[step(all, all.indexOf(document.activeElement), event.key)].focus();
    }
  };
  const row = (item, index) => {
    if (item === "-") return html`<hr key=${index} />`;
    const radio = item.checked !== undefined;
    return html`<button type="button" key=${index} tabindex="-1" role=${radio ? "menuitemradio" : "menuitem"}
      aria-checked=${radio ? String(item.checked) : undefined} class=${item.danger ? "menu-item danger" : "menu-item"}
      onClick=${() => { close(); item.run(); }}>
      ${item.lead ?? (item.icon && html`<${Icon} name=${item.icon} size=${16} />`)}
      <span class="menu-label">${item.label}${item.hint && html`<small>${item.hint}</small>`}</span>
      ${item.checked && html`<${Icon} name="check" size=${16} />`}
    </button>`;
  };
  return html`<${Popover} anchor=${anchor} align=${align} onClose=${onClose} class="menu">
    <div role="menu" aria-label=${label} ref=${list} onKeyDown=${keys}>${items.map(row)}</div>
  <//>`;
}

/** A button that opens a menu. `button` gets the props it must spread and a ref. */
export function MenuButton({ label, items, align, class: extra, children, onToggle }) {
  const anchor = useRef(null);
  const [open, setOpen] = useState(false);
  const toggle = (next) => {
    setOpen(next);
    onToggle?.(next);
  };
  const rows = open ? items() : [];
  return html`<button type="button" ref=${anchor} class=${extra} aria-haspopup="menu" aria-expanded=${String(open)}
      aria-label=${label} title=${label} onClick=${() => toggle(!open)}>${children}</button>
    ${open && html`<${Menu} anchor=${anchor} items=${rows} align=${align} label=${label} onClose=${() => toggle(false)} />`}`;
}

/** Moves the focus to where one writes: the thread's field, else the channel's. */
export function focusComposer(within) {
  composerIn(within)?.focus();
}

/** Where one writes: the thread's field, else the channel's. */
export const composerIn = (within) => [...within.querySelectorAll(".composer:not(.edit-box) textarea")].at(-1);

/** When this goes away with the focus in it, the focus moves to the element that `find` gives. */
export function useReturnedFocus(find) {
  useEffect(() => () => setTimeout(() => {
    if (document.activeElement === document.body) find()?.focus();
  }), []);
}

/** When the element that has the focus goes away (a menu that was answered), the focus moves to the pane's composer. */
export function useKeptFocus(pane) {
  const last = useRef(null);
  useEffect(() => {
    const note = ({ target }) => { last.current = target; };
    pane.current.addEventListener("focusin", note);
    return () => pane.current?.removeEventListener("focusin", note);
  }, []);
  useEffect(() => {
    if (!last.current || last.current.isConnected) return;
    last.current = null;
    if (document.activeElement === document.body) focusComposer(pane.current);
  });
}

/** A modal dialog of the browser's own: focus stays inside, Escape calls `onClose`. */
export function Dialog({ label, onClose, class: extra = "", children }) {
  const element = useRef(null);
  useLayoutEffect(() => {
    const before = document.activeElement;
    const dialog = element.current;
    dialog.showModal();
    return () => {
      dialog.close(); // while it is open, nothing else takes the focus
      before?.focus?.();
      if (document.activeElement === document.body) focusComposer(document);
    };
  }, []);
  const cancel = (event) => {
    event.preventDefault();
    onClose();
  };
  const keys = (event) => event.key === "Escape" && event.stopPropagation(); // the pane around it must not close too
  return html`<dialog ref=${element} class=${`dialog ${extra}`} aria-label=${label} onCancel=${cancel} onKeyDown=${keys}>${children}</dialog>`;
}

const words = (object, otherwise) => object?.text ?? otherwise;

/** Block Kit's confirmation object. */
export function Confirm({ confirm, onYes, onNo }) {
  return html`<${Dialog} label=${words(confirm.title, "Are you sure?")} onClose=${onNo} class="confirm">
    <div class="dialog-head"><h2>${words(confirm.title, "Are you sure?")}</h2></div>
    <div class="dialog-body"><p>${words(confirm.text, "")}</p></div>
    <div class="dialog-foot">
      <button type="button" class="button" onClick=${onNo}>${words(confirm.deny, "Cancel")}</button>
      <button type="button" class=${confirm.style === "danger" ? "button danger-fill" : "button primary"}
        onClick=${onYes}>${words(confirm.confirm, "Yes")}</button>
    </div>
  <//>`;
}
