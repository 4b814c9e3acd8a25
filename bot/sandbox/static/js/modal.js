// Modals that the app opened: a stack of which only the topmost is visible.
import { html, Avatar, Icon, useEffect, useMemo, useRef, useState } from "./ui.js";
import { Blocks } from "./blocks.js";
import { faceOf } from "./message.js";
import { Dialog } from "./overlay.js";
import { userOf } from "./selectors.js";
import { store } from "./store.js";
import { dropSurface, SurfaceContext, surfaceFor } from "./surface.js";

const NO_ERRORS = {};

/** The values of the input blocks and of every other element that was used, in Slack's shape. */
function valuesOf(view, surface) {
  const present = new Set(view.blocks.map((block, index) => block.block_id ?? `block-${index}`));
  return Object.fromEntries(Object.entries(surface.values).filter(([id]) => present.has(id)));
}

function missing(view, values) {
  const errors = {};
  for (const block of view.blocks) {
    if (block.type !== "input" || block.optional) continue;
    const value = values[block.block_id]?.[block.element.action_id];
    const given = Object.entries(value ?? {}).some(([key, each]) => key !== "type" && each && (!Array.isArray(each) || each.length));
    if (!given) errors[block.block_id] = "Please complete this required field.";
  }
  return errors;
}

function tooShort(view, values) {
  const errors = {};
  for (const { type, block_id: id, element } of view.blocks) {
    if (type !== "input" || !element.min_length) continue;
    const value = values[id]?.[element.action_id]?.value;
    if (value && value.length < element.min_length) errors[id] = `Must be at least ${element.min_length} characters long.`;
  }
  return errors;
}

function ViewDialog({ state, view }) {
  const surface = useMemo(() => surfaceFor(`${state.me}/${view.id}`, { type: "view", id: view.id }), [view.id]);
  const [local, setLocal] = useState(NO_ERRORS);
  const [busy, setBusy] = useState(false);
  useEffect(() => () => dropSurface(`${state.me}/${view.id}`), []);
  const close = () => store.act("view/close", { view_id: view.id });
  const submit = async (event) => {
    event.preventDefault();
    if (busy) return;
    const values = valuesOf(view, surface);
    const found = { ...tooShort(view, values), ...missing(view, values) };
    setLocal(found);
    store.clearErrors(view.id);
    if (Object.keys(found).length) return;
    setBusy(true);
    await store.act("view/submit", { view_id: view.id, values });
    setBusy(false);
  };
  const errors = { ...local, ...state.viewErrors[view.id] };
  const form = useRef(null);
  useEffect(() => {
    const body = form.current.querySelector(".dialog-body");
    (body.querySelector("[autofocus]") ?? body.querySelector("input, textarea, button"))?.focus();
  }, []);
  const wrong = Object.keys(errors).join();
  useEffect(() => {
    if (wrong) form.current.querySelector(".has-error :is(input, textarea)")?.focus();
  }, [wrong]);
  const title = view.title?.text ?? view.title ?? "";
  const submitText = view.submit?.text ?? view.submit;
  return html`<${Dialog} label=${title} onClose=${close} class="modal">
    <${SurfaceContext.Provider} value=${surface}>
      <form ref=${form} onSubmit=${submit} novalidate>
        <div class="dialog-head"><${Avatar} who=${faceOf(null, userOf(state, state.bot.user_id))} size=${28} /><h2>${title}</h2>
          <button type="button" class="icon-button" aria-label="Close" onClick=${close}><${Icon} name="x" /></button></div>
        <div class="dialog-body"><${Blocks} blocks=${view.blocks} errors=${errors} /></div>
        <div class="dialog-foot">
          <button type="button" class="button" onClick=${close}>${view.close?.text ?? view.close ?? "Cancel"}</button>
          ${submitText && html`<button type="submit" class="button primary" aria-busy=${String(busy)}>
            ${busy ? html`<span class="spinner"></span>` : submitText}</button>`}
        </div>
      </form>
    <//>
  <//>`;
}

export function Modals({ state }) {
  return state.views.map((view, index) => html`<div key=${view.id} hidden=${index < state.views.length - 1}>
    <${ViewDialog} state=${state} view=${view} /></div>`);
}
