// Block Kit: renders a list of blocks.
import { html, h, memo, useContext, useMemo, classes } from "./ui.js";
import { Element, Picture } from "./elements.js";
import { Markdown } from "./markdown.js";
import { plain, TextObject } from "./mrkdwn.js";
import { RichText, Table } from "./richtext.js";
import { BlockContext } from "./surface.js";

function Section({ block }) {
  return html`<div class="b-section">
    <div class="b-section-text">
      ${block.text && html`<${TextObject} value=${block.text} />`}
      ${block.fields && html`<div class="b-fields">
        ${block.fields.map((field, index) => html`<div key=${index}><${TextObject} value=${field} /></div>`)}</div>`}
    </div>
    ${block.accessory && html`<div class=${`b-accessory acc-${block.accessory.type}`}>
      <${Element} element=${block.accessory} /></div>`}
  </div>`;
}

function Actions({ block }) {
  return html`<div class="b-actions">${block.elements.map((element, index) =>
    html`<${Element} key=${element.action_id ?? index} element=${element} />`)}</div>`;
}

function ContextBlock({ block }) {
  return html`<div class="b-context">${block.elements.map((element, index) =>
    html`<${Element} key=${index} element=${element} />`)}</div>`;
}

function Input({ block }) {
  const { errors, id } = useContext(BlockContext);
  const error = errors[id];
  const label = block.label?.text ?? "";
  return html`<div class=${classes("b-input", error && "has-error")}>
    <div class="b-label" aria-hidden="true">${plain(label)}
      ${block.optional && html`<span class="optional"> (optional)</span>`}</div>
    <${Element} element=${block.element} label=${label} silent=${!block.dispatch_action} />
    ${error && html`<div class="b-error" role="alert" id=${`error-${id}`}>${error}</div>`}
    ${block.hint && html`<div class="b-hint">${plain(block.hint.text)}</div>`}
  </div>`;
}

function ImageBlock({ block }) {
  return html`<figure class="b-image">
    ${block.title && html`<figcaption>${plain(block.title.text)}</figcaption>`}
    <${Picture} element=${block} size="large" />
  </figure>`;
}

const MARKS = { pending: "○", in_progress: "◐", complete: "✓", error: "✕" };

export function TaskCard({ task }) {
  const inside = Boolean(task.details || task.output);
  return html`<div class=${`task-card ${task.status}`}>
    <span class="task-mark" aria-label=${task.status.replaceAll("_", " ")}>${MARKS[task.status] ?? "○"}</span>
    <div>${inside
        ? html`<details><summary>${task.title}</summary>
          ${task.details && html`<small>${task.details}</small>`}
          ${task.output && html`<small>${task.output}</small>`}</details>`
        : html`<div>${task.title}</div>`}
      ${(task.sources ?? []).map((source) => html`<small key=${source.url}>
        <a href=${/^https?:/i.test(source.url) ? source.url : "#"} target="_blank" rel="noopener noreferrer">${source.text}</a></small>`)}
    </div>
  </div>`;
}

const BLOCKS = {
  section: Section,
  header: ({ block }) => html`<h3 class="b-header">${plain(block.text?.text ?? "")}</h3>`,
  divider: () => html`<hr class="b-divider" />`,
  context: ContextBlock,
  actions: Actions,
  context_actions: ({ block }) => html`<div class="b-context-actions"><${Actions} block=${block} /></div>`,
  input: Input,
  image: ImageBlock,
  markdown: ({ block }) => html`<${Markdown} text=${block.text} />`,
  rich_text: RichText,
  table: Table,
  task_card: ({ block }) => html`<${TaskCard} task=${{ status: "pending", ...block }} />`,
  alert: ({ block }) => html`<div class="b-alert" role="note"><${TextObject} value=${block.text} /></div>`,
};

const NO_ERRORS = {};

const Block = memo(({ block, id, errors }) => {
  const view = BLOCKS[block.type];
  const context = useMemo(() => ({ id, given: block.block_id, errors, dispatch: Boolean(block.dispatch_action) }),
    [id, block.block_id, errors, block.dispatch_action]);
  if (!view) return html`<div class="unknown">Unsupported block: ${block.type}</div>`;
  return html`<${BlockContext.Provider} value=${context}>${h(view, { block })}<//>`;
});

/** Blocks without user input: a new block_id must not recreate them, so that text can grow in place. */
const STATELESS = new Set(["markdown", "rich_text", "header", "divider", "context", "image", "table", "task_card"]);

/** `errors`: {block_id: text}, shown at their fields. Must be inside a SurfaceContext. */
export function Blocks({ blocks, errors = NO_ERRORS }) {
  return html`<div class="blocks">${blocks.map((block, index) => {
    const id = block.block_id ?? `block-${index}`;
    return html`<${Block} key=${(STATELESS.has(block.type) ? index : id) + block.type} block=${block} id=${id} errors=${errors} />`;
  })}</div>`;
}
