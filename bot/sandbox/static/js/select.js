// Select menus: one combobox for static, external, user, channel and conversation lists, single or multiple.
import { html, Icon, useContext, useEffect, useLayoutEffect, useMemo, useRef, useState, classes } from "./ui.js";
import { ApiError } from "./api.js";
import { Directory } from "./directory.js";
import { Confirm, Popover } from "./overlay.js";
import { plain } from "./mrkdwn.js";
import { displayName } from "./selectors.js";
import { useElement } from "./surface.js";

const TYPING_PAUSE_MS = 120;
const textOf = (option) => option?.text?.text ?? "";
const NONE = [];
const same = (a, b) => a?.value === b?.value;

let listCount = 0;

/** Groups of options from either of Slack's two shapes. */
function grouped({ options, option_groups: groups }) {
  if (groups) return groups.map((group) => ({ label: group.label?.text ?? "", options: group.options ?? [] }));
  return [{ label: "", options: options ?? [] }];
}

function filtered(groups, query) {
  const needle = query.trim().toLowerCase();
  if (!needle) return groups;
  return groups
    .map((group) => ({ ...group, options: group.options.filter((each) => textOf(each).toLowerCase().includes(needle)) }))
    .filter((group) => group.options.length);
}

/** Options that do not come from the app: people and channels. */
function useLocalGroups(element) {
  const { people, places } = useContext(Directory);
  return useMemo(() => {
    const option = (id, text) => ({ value: id, text: { type: "plain_text", text } });
    if (element.type.includes("users_select")) return [{ label: "", options: people.map((each) => option(each.id, displayName(each))) }];
    if (/channels_select|conversations_select/.test(element.type)) {
      return [{ label: "", options: places.map((each) => option(each.id, `#${each.name}`)) }];
    }
    return grouped(element);
  }, [element, people, places]);
}

/**
 * The app's options for `query`: {groups, busy, problem}. Asks only while the list is open. Busy: the options shown
 * are still those of an earlier query.
 */
function useExternal(element, query, open, surface, block) {
  const [found, setFound] = useState({ query: null, groups: [], problem: "" });
  const least = element.min_query_length ?? 3;
  const remote = element.type.includes("external");
  const short = query.length < least;
  useEffect(() => {
    if (!open || !remote || short) return undefined;
    const cancel = new AbortController();
    const timer = setTimeout(async () => {
      try {
        const answer = await surface.options(block.given, element.action_id, query, cancel.signal);
        if (!cancel.signal.aborted) setFound({ query, groups: grouped(answer), problem: "" });
      } catch (error) {
        if (cancel.signal.aborted) return;
        const problem = error instanceof ApiError ? error.message : "The options could not be loaded";
        setFound({ query, groups: [], problem });
      }
    }, query ? TYPING_PAUSE_MS : 0);
    return () => {
      clearTimeout(timer);
      cancel.abort();
    };
  }, [open, query, short, element.action_id, block.id]);
  if (short) return { groups: NONE, busy: false, problem: `Type at least ${least} character${least === 1 ? "" : "s"}` };
  return { groups: found.groups, problem: found.problem, busy: remote && found.query !== query };
}

const KEY_BY_TYPE = {
  users_select: "selected_user", channels_select: "selected_channel", conversations_select: "selected_conversation",
  multi_users_select: "selected_users", multi_channels_select: "selected_channels", multi_conversations_select: "selected_conversations",
};

/** Converts between the element's value in Slack's shape and a list of options. */
function useChoice(element, value, groups) {
  const multiple = element.type.startsWith("multi_");
  const key = KEY_BY_TYPE[element.type];
  if (key) {
    const ids = [value?.[key] ?? []].flat();
    const chosen = groups.flatMap((group) => group.options).filter((each) => ids.includes(each.value));
    const pack = (options) => ({ [key]: multiple ? options.map((each) => each.value) : options[0]?.value ?? null });
    return { multiple, chosen, pack };
  }
  if (multiple) {
    return { multiple, chosen: value?.selected_options ?? [], pack: (options) => ({ selected_options: options }) };
  }
  const chosen = value?.selected_option ? [value.selected_option] : [];
  return { multiple, chosen, pack: (options) => ({ selected_option: options[0] ?? null }) };
}

function OptionList({ id, groups, active, chosen, busy, problem, onPick, onPoint }) {
  const list = useRef(null);
  useEffect(() => {
    list.current?.querySelector(".active")?.scrollIntoView({ block: "nearest" });
  }, [active, groups]);
  let count = -1;
  const row = (option) => {
    count += 1;
    const at = count;
    const selected = chosen.some((each) => same(each, option));
    return html`<div key=${`${at}${option.value}`} id=${`${id}-${at}`} role="option" aria-selected=${String(selected)}
      class=${classes("option", at === active && "active")}
      onClick=${() => onPick(option)} onPointerMove=${() => at !== active && onPoint(at)}>
      <span class="option-text">${plain(textOf(option))}
        ${option.description && html`<small>${plain(option.description.text)}</small>`}</span>
      ${selected && html`<${Icon} name="check" size=${16} />`}
    </div>`;
  };
  const body = groups.map((group, index) => group.label
    ? html`<div role="group" aria-label=${group.label} key=${index}>
        <div class="option-group" aria-hidden="true">${group.label}</div>${group.options.map(row)}</div>`
    : group.options.map(row));
  const empty = count < 0;
  return html`<div class=${classes("options", busy && "busy")} role="listbox" id=${id} aria-label="Options" ref=${list}
      aria-busy=${String(busy)}>${body}</div>
    ${empty && html`<div class="options-note" role="status">${busy ? "Loading…" : problem || "No results"}</div>`}`;
}

function useKeys({ open, setOpen, count, active, setActive, pick, drop, query }) {
  return (event) => {
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      if (!open) setOpen(true);
      else if (count) setActive((active + (event.key === "ArrowDown" ? 1 : -1) + count) % count);
    } else if (event.key === "Enter") {
      event.preventDefault();
      if (open) pick();
      else setOpen(true);
    } else if (event.key === "Escape" && open) {
      event.preventDefault();
      event.stopPropagation();
      setOpen(false);
    } else if (event.key === "Tab") setOpen(false);
    else if (event.key === "Backspace" && !query) drop();
  };
}

/** The combobox itself; `onChoose(options)` gets all chosen options. */
function Combobox({ element, groups, query, setQuery, open, setOpen, busy, problem, choice, onChoose, label, invalid }) {
  const anchor = useRef(null);
  const input = useRef(null);
  const [active, setActive] = useState(0);
  const [id] = useState(() => `options-${(listCount += 1)}`);
  const flat = groups.flatMap((group) => group.options);
  const { chosen, multiple } = choice;
  const offered = flat.map((option) => option.value).join("\n");
  const [entered, setEntered] = useState(false);
  const start = query ? 0 : Math.max(0, flat.findIndex((option) => chosen.some((each) => same(each, option))));
  // During the render in which the list changes: later, it would undo what an arrow key has selected meanwhile.
  useLayoutEffect(() => {
    setActive(start);
    // Enter was pressed before the options for the query arrived: it selects the first of them.
    if (entered && !busy) {
      setEntered(false);
      pick(flat[start]);
    }
  }, [offered, open, busy]);
  const pick = (option = flat[active]) => {
    if (busy) setEntered(true);
    if (!option || busy) return;
    setQuery("");
    if (!multiple) {
      setOpen(false);
      onChoose([option]);
      return;
    }
    const has = chosen.some((each) => same(each, option));
    onChoose(has ? chosen.filter((each) => !same(each, option)) : [...chosen, option]);
  };
  const drop = () => multiple && chosen.length && onChoose(chosen.slice(0, -1));
  const keys = useKeys({ open, setOpen, count: flat.length, active, setActive, pick, drop, query });
  const show = () => {
    setEntered(false);
    if (!open) setOpen(true);
  };
  /** A first letter that opens the list replaces the current choice as the query. */
  const typed = (event) => {
    setQuery(open ? event.target.value : event.data ?? event.target.value);
    show();
  };
  const placeholder = element.placeholder?.text ?? "Choose an option";
  const single = multiple ? "" : textOf(chosen[0]);
  return html`<div class=${classes("select", open && "open", invalid && "invalid")} ref=${anchor}
      onClick=${() => { input.current.focus(); show(); }}>
    ${multiple && chosen.map((option) => html`<span class="chip" key=${option.value}>${textOf(option)}
      <button type="button" aria-label=${`Remove ${textOf(option)}`}
        onClick=${(event) => { event.stopPropagation(); onChoose(chosen.filter((each) => !same(each, option))); }}>
        <${Icon} name="x" size=${12} /></button></span>`)}
    <input ref=${input} role="combobox" aria-expanded=${String(open)} aria-controls=${id} aria-autocomplete="list"
      aria-haspopup="listbox" autocomplete="off" spellcheck=${false} aria-label=${label ?? placeholder}
      aria-activedescendant=${open && flat.length ? `${id}-${active}` : undefined} aria-invalid=${invalid ? "true" : undefined}
      class=${single && !open ? "has-value" : ""} placeholder=${(open && single) || placeholder}
      value=${open ? query : single} onKeyDown=${keys}
      onInput=${typed} onBlur=${() => setOpen(false)} />
    <${Icon} name="chevron-down" size=${16} />
    ${open && html`<${Popover} anchor=${anchor} matchWidth class="select-list" onClose=${() => setOpen(false)}
        onMouseDown=${(event) => event.preventDefault()} onClick=${(event) => event.stopPropagation()}>
      <${OptionList} id=${id} groups=${groups} active=${active} chosen=${chosen} busy=${busy} problem=${problem}
        onPick=${pick} onPoint=${setActive} />
    <//>`}
  </div>`;
}

/** Any select element of Block Kit. In an input block it only keeps its value; elsewhere a choice is sent to the app. */
export function Select({ element, label, silent = false }) {
  const { value, set, act, surface, block } = useElement(element);
  const [query, setQuery] = useState("");
  const [open, setOpen] = useState(false);
  const [asking, setAsking] = useState(null);
  const external = useExternal(element, query, open, surface, block);
  const local = useLocalGroups(element);
  const remote = element.type.includes("external");
  const choice = useChoice(element, value, local);
  const choose = (options, sure = false) => {
    if (element.confirm && !silent && !sure) {
      setAsking(options);
      return;
    }
    setAsking(null);
    const packed = choice.pack(options);
    set(packed);
    if (!silent) act(packed);
  };
  const toggle = (next) => {
    setOpen(next);
    if (!next) setQuery("");
  };
  const groups = useMemo(() => (remote ? external.groups : filtered(local, query)), [remote, external.groups, local, query]);
  return html`<${Combobox} element=${element} label=${label} groups=${groups} choice=${choice}
      query=${query} setQuery=${setQuery} open=${open} setOpen=${toggle} busy=${remote && external.busy}
      problem=${remote ? external.problem : ""} onChoose=${choose} invalid=${Boolean(block.errors[block.id])} />
    ${asking && html`<${Confirm} confirm=${element.confirm} onNo=${() => setAsking(null)}
      onYes=${() => choose(asking, true)} />`}`;
}
