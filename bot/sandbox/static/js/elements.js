// Block Kit's interactive elements (select menus are in select.js).
import { html, h, Icon, useContext, useRef, useState, classes } from "./ui.js";
import { upload } from "./api.js";
import { Menu, Confirm } from "./overlay.js";
import { Mrkdwn, plain, TextObject } from "./mrkdwn.js";
import { Select } from "./select.js";
import { Directory } from "./directory.js";
import { useElement } from "./surface.js";

/** Runs `act` at once, or after the element's confirmation. Returns [run, dialog, busy]. */
function useConfirmed(element, act) {
  const [asking, setAsking] = useState(null);
  const [busy, setBusy] = useState(false);
  const perform = async (extra) => {
    setAsking(null);
    setBusy(true);
    await act(extra);
    setBusy(false);
  };
  const run = (extra) => (element.confirm ? setAsking({ extra }) : perform(extra));
  const dialog = asking && html`<${Confirm} confirm=${element.confirm} onNo=${() => setAsking(null)}
    onYes=${() => perform(asking.extra)} />`;
  return [run, dialog, busy];
}

function Button({ element }) {
  const { act } = useElement(element);
  const { openLink } = useContext(Directory);
  const [run, dialog, busy] = useConfirmed(element, act);
  const press = () => {
    if (element.url && !openLink?.(element.url)) window.open(element.url, "_blank", "noopener");
    if (!busy) run({ type: "button", value: element.value, text: element.text });
  };
  const kind = classes("button", element.style, busy && "busy");
  return html`<button type="button" class=${kind} aria-label=${element.accessibility_label} aria-busy=${String(busy)}
      onClick=${press}>${plain(element.text?.text ?? "")}</button>${dialog}`;
}

function Overflow({ element }) {
  const anchor = useRef(null);
  const [open, setOpen] = useState(false);
  const { act } = useElement(element);
  const { openLink } = useContext(Directory);
  const [run, dialog] = useConfirmed(element, act);
  const items = (element.options ?? []).map((option) => ({
    label: plain(option.text.text),
    hint: option.description?.text,
    run: () => {
      if (option.url && !openLink?.(option.url)) window.open(option.url, "_blank", "noopener");
      run({ selected_option: option });
    },
  }));
  return html`<button type="button" ref=${anchor} class="button overflow" aria-label="More options" aria-haspopup="menu"
      aria-expanded=${String(open)} onClick=${() => setOpen(!open)}><${Icon} name="ellipsis" size=${16} /></button>
    ${open && html`<${Menu} anchor=${anchor} label="More options" items=${items} onClose=${() => setOpen(false)} />`}
    ${dialog}`;
}

let groupCount = 0;

function Choices({ element, label, silent }) {
  const { value, set, act } = useElement(element);
  const [run, dialog] = useConfirmed(silent ? {} : element, (next) => {
    set(next);
    return silent ? true : act(next);
  });
  const [name] = useState(() => `choice-${(groupCount += 1)}`);
  const many = element.type === "checkboxes";
  const chosen = many ? value?.selected_options ?? [] : [value?.selected_option].filter(Boolean);
  const toggle = (option) => {
    if (!many) return run({ selected_option: option });
    const has = chosen.some((each) => each.value === option.value);
    const next = has ? chosen.filter((each) => each.value !== option.value) : [...chosen, option];
    return run({ selected_options: next });
  };
  return html`<div class="choices" role=${many ? "group" : "radiogroup"} aria-label=${label ?? "Options"}>
    ${(element.options ?? []).map((option) => html`<label class="choice" key=${option.value}>
      <input type=${many ? "checkbox" : "radio"} name=${name} value=${option.value}
        checked=${chosen.some((each) => each.value === option.value)} onChange=${() => toggle(option)} />
      <span><${TextObject} value=${option.text} />
        ${option.description && html`<small><${TextObject} value=${option.description} /></small>`}</span>
    </label>`)}
  </div>${dialog}`;
}

const INPUT_TYPES = { email_text_input: "email", url_text_input: "url", number_input: "number" };

function TextInput({ element, label }) {
  const { value, set, act, block } = useElement(element);
  const bad = Boolean(block.errors[block.id]);
  const when = element.dispatch_action_config?.trigger_actions_on ?? ["on_enter_pressed"];
  const input = (event) => {
    set({ value: event.target.value || null });
    if (block.dispatch && when.includes("on_character_entered")) act({ value: event.target.value });
  };
  const keys = (event) => {
    if (event.key === "Enter" && block.dispatch && when.includes("on_enter_pressed") && !element.multiline) {
      event.preventDefault();
      act({ value: event.target.value });
    }
  };
  return h(element.multiline ? "textarea" : "input", {
    class: "text-input",
    type: element.multiline ? undefined : INPUT_TYPES[element.type] ?? "text",
    "aria-label": label ?? element.placeholder?.text ?? "Text",
    "aria-invalid": bad ? "true" : undefined,
    "aria-describedby": bad ? `error-${block.id}` : undefined,
    placeholder: element.placeholder?.text,
    maxLength: element.max_length,
    rows: element.multiline ? 4 : undefined,
    autofocus: element.focus_on_load,
    value: value?.value ?? "",
    onInput: input,
    onKeyDown: keys,
  });
}

const PICKERS = { datepicker: ["date", "selected_date"], timepicker: ["time", "selected_time"] };

function Picker({ element, label, silent }) {
  const { value, set, act } = useElement(element);
  const [type, key] = PICKERS[element.type];
  const change = (event) => {
    const next = { [key]: event.target.value || null };
    set(next);
    if (!silent) act(next);
  };
  return html`<input class="text-input picker" type=${type} aria-label=${label ?? element.placeholder?.text ?? type}
    value=${value?.[key] ?? ""} onChange=${change} />`;
}

const two = (number) => String(number).padStart(2, "0");

/** Seconds since the epoch as the local time that a `datetime-local` field takes. */
function localTime(seconds) {
  if (!seconds) return "";
  const at = new Date(seconds * 1000);
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}T${two(at.getHours())}:${two(at.getMinutes())}`;
}

function DateTime({ element, label, silent }) {
  const { value, set, act } = useElement(element);
  const change = (event) => {
    const seconds = Math.floor(new Date(event.target.value).getTime() / 1000);
    const next = { selected_date_time: Number.isNaN(seconds) ? null : seconds };
    set(next);
    if (!silent) act(next);
  };
  return html`<input class="text-input picker" type="datetime-local" aria-label=${label ?? "Date and time"}
    value=${localTime(value?.selected_date_time)} onChange=${change} />`;
}

const richOf = (text) => text && {
  type: "rich_text",
  elements: [{ type: "rich_text_section", elements: [{ type: "text", text }] }],
};
const plainOf = (node) => node?.text ?? (node?.elements ?? []).map(plainOf).join("");

/** Takes text without formatting, and gives the app the rich text that Slack makes of it. */
function RichInput({ element, label }) {
  const { value, set } = useElement(element);
  return html`<textarea class="text-input" rows="4" aria-label=${label ?? "Text"} placeholder=${element.placeholder?.text}
    value=${plainOf(value?.rich_text_value)} onInput=${(event) => set({ rich_text_value: richOf(event.target.value) || null })} />`;
}

function FileInput({ element, label }) {
  const { value, set } = useElement(element);
  const { me } = useContext(Directory);
  const [problem, setProblem] = useState("");
  const choose = (event) => {
    const chosen = [...event.target.files].slice(0, element.max_files ?? 10);
    upload(me, chosen).then((answer) => set({ files: answer.files }), () => setProblem("The file could not be uploaded."));
  };
  const accept = element.filetypes?.map((type) => `.${type}`).join() || undefined;
  return html`<input class="text-input" type="file" aria-label=${label ?? "Files"} accept=${accept}
      multiple=${(element.max_files ?? 10) > 1} onChange=${choose} />
    ${(value?.files ?? []).map((file) => html`<div key=${file.id}>📎 ${file.name}</div>`)}
    ${problem && html`<div class="b-error" role="alert">${problem}</div>`}`;
}

export function Picture({ element, size = "inline" }) {
  const source = element.image_url ?? element.slack_file?.url;
  return html`<img class=${`picture ${size}`} src=${source} alt=${element.alt_text ?? ""} loading="lazy" />`;
}

function Feedback({ element }) {
  const { value, set, act } = useElement(element);
  const thumb = (button, icon) => {
    const on = value?.value === button.value;
    const label = button.accessibility_label ?? button.text?.text;
    const press = () => {
      set({ value: button.value });
      act({ type: "feedback_buttons", value: button.value, text: button.text });
    };
    return html`<button type="button" class=${classes("feedback", on && "on")} aria-pressed=${String(on)}
      aria-label=${label} title=${button.text?.text ?? label} onClick=${press}><${Icon} name=${icon} size=${16} /></button>`;
  };
  return html`${thumb(element.positive_button, "thumbs-up")}${thumb(element.negative_button, "thumbs-down")}`;
}

function ActionIcon({ element }) {
  const { act } = useElement(element);
  const { me } = useContext(Directory);
  const [run, dialog] = useConfirmed(element, act);
  const seen = element.visible_to_user_ids;
  if (seen?.length && !seen.includes(me)) return null;
  const label = element.accessibility_label ?? element.text?.text ?? element.icon;
  return html`<button type="button" class="feedback" aria-label=${label} title=${element.text?.text ?? label}
    onClick=${() => run({ type: "icon_button", value: element.value })}>
    <${Icon} name=${element.icon === "trash" ? "trash" : "zap"} size=${16} /></button>${dialog}`;
}

const ELEMENTS = {
  button: Button,
  overflow: Overflow,
  checkboxes: Choices,
  radio_buttons: Choices,
  plain_text_input: TextInput,
  email_text_input: TextInput,
  url_text_input: TextInput,
  number_input: TextInput,
  datepicker: Picker,
  timepicker: Picker,
  datetimepicker: DateTime,
  rich_text_input: RichInput,
  file_input: FileInput,
  workflow_button: ({ element }) => html`<button type="button" class="button" disabled
    title="Workflows do not run in the sandbox">${plain(element.text?.text ?? "")}</button>`,
  feedback_buttons: Feedback,
  icon_button: ActionIcon,
  image: Picture,
  mrkdwn: ({ element }) => html`<${Mrkdwn} text=${element.text} />`,
  plain_text: ({ element }) => html`<span class="plain">${plain(element.text ?? "")}</span>`,
};

/** One element of a block. `silent`: it is in an input block and only keeps its value. */
export function Element({ element, label, silent = false }) {
  const view = ELEMENTS[element.type] ?? (/_select$/.test(element.type) ? Select : null);
  if (!view) return html`<span class="unknown">Unsupported element: ${element.type}</span>`;
  return h(view, { element, label, silent });
}
