// The composer: completion, commands, files, formatting. Enter sends, Shift+Enter starts a new line.
import { html, Avatar, Icon, IconButton, useEffect, useLayoutEffect, useRef, useState, classes } from "./ui.js";
import { ApiError, upload } from "./api.js";
import { completions, OWN_COMMANDS, withTokens, wordAt } from "./completion.js";
import { EmojiPicker } from "./emoji.js";
import { useRecorder } from "./recorder.js";
import { MenuButton, Popover } from "./overlay.js";
import { channelOf, userOf, displayName } from "./selectors.js";
import { store } from "./store.js";

const drafts = new Map();
const TALLEST = 240;

function CompletionList({ rows, active, id, onPick, onPoint }) {
  return html`<div class="completion" role="listbox" id=${id} aria-label="Suggestions"
      onMouseDown=${(event) => event.preventDefault()}>
    ${rows.map((row, index) => html`<div key=${row.key} id=${`${id}-${index}`} role="option" aria-selected=${String(index === active)}
        class=${classes("completion-row", index === active && "active")} onClick=${() => onPick(row)} onMouseMove=${() => index !== active && onPoint(index)}>
      ${row.user && html`<${Avatar} size=${20} who=${{ ...row.user, name: row.label, isBot: row.user.is_bot }} />`}
      ${row.sign && html`<span class="emoji">${row.sign}</span>`}
      <b>${row.label}</b>${row.usage && html`<span class="usage">${row.usage}</span>`}
      ${row.user?.is_bot && html`<span class="app-badge">APP</span>`}<span class="hint">${row.hint}</span>
    </div>`)}
  </div>`;
}

const FORMATS = [["Bold", "*", "B"], ["Italic", "_", "I"], ["Strikethrough", "~", "S"], ["Code", "`", "</>"]];

/** Puts `mark` on both sides of a textarea's selection and fires its input event. */
function surround(area, mark) {
  const { selectionStart: from, selectionEnd: to, value } = area;
  area.setRangeText(`${mark}${value.slice(from, to)}${mark}`, from, to, "end");
  if (from === to) area.setSelectionRange(from + mark.length, from + mark.length);
  area.dispatchEvent(new Event("input", { bubbles: true }));
  area.focus();
}

/** The state of a text field with completion, shared by composer and edit box. */
function useTyping({ initial, channel, commands, onSend, onEscape, onEmptyUp }) {
  const area = useRef(null);
  const picked = useRef(new Map());
  const [text, setText] = useState(initial);
  const [word, setWord] = useState(null);
  const [active, setActive] = useState(0);
  const rows = completions(store.state, word, channel);
  const look = () => {
    const element = area.current;
    setWord(wordAt(element.value, element.selectionStart, { commands }));
    setActive(0);
  };
  const input = () => {
    setText(area.current.value);
    look();
  };
  const pick = (row) => {
    const element = area.current;
    if (row.token) picked.current.set(row.insert, row.token);
    element.setRangeText(`${row.insert} `, word.from, element.selectionStart, "end");
    setText(element.value);
    setWord(null);
    element.focus();
  };
  const mention = (user) => {
    const name = `@${displayName(user)}`;
    picked.current.set(name, `<@${user.id}>`);
    setText(`${name} ${area.current.value}`);
    area.current.focus();
  };
  const navigate = (event) => {
    const exact = word.kind === "/" && rows[active].label === area.current.value.trim();
    if (event.key === "ArrowDown") setActive((active + 1) % rows.length);
    else if (event.key === "ArrowUp") setActive((active + rows.length - 1) % rows.length);
    else if (event.key === "Escape") setWord(null);
    else if (event.key === "Tab" || (event.key === "Enter" && !event.shiftKey && !exact)) pick(rows[active]);
    else return false;
    event.preventDefault();
    event.stopPropagation();
    return true;
  };
  const keys = (event) => {
    if (event.isComposing) return;
    if (rows.length && navigate(event)) return;
    if (event.key === "Enter" && !event.shiftKey) {
      event.preventDefault();
      onSend();
    } else if (event.key === "Escape") onEscape?.(event);
    else if (event.key === "ArrowUp" && !area.current.value) onEmptyUp?.(event);
    else if ((event.ctrlKey || event.metaKey) && ["b", "i"].includes(event.key)) {
      event.preventDefault();
      surround(area.current, event.key === "b" ? "*" : "_");
    }
  };
  useLayoutEffect(() => {
    const element = area.current;
    element.style.height = "auto";
    element.style.height = `${Math.min(element.scrollHeight, TALLEST)}px`;
  }, [text]);
  const put = (next) => {
    setText(next);
    setWord(null);
  };
  const close = () => setWord(null);
  const outgoing = () => withTokens(text.trim(), picked.current);
  return { area, text, put, rows, active, setActive, pick, mention, keys, input, look, close, outgoing };
}

let fieldCount = 0;

function Field({ typing, label, rows = 1 }) {
  const [id] = useState(() => `complete-${(fieldCount += 1)}`);
  return html`
    ${typing.rows.length > 0 && html`<${CompletionList} id=${id} rows=${typing.rows} active=${typing.active}
      onPick=${typing.pick} onPoint=${typing.setActive} />`}
    <textarea ref=${typing.area} class="composer-text" rows=${rows} aria-label=${label} placeholder=${label} value=${typing.text}
      aria-autocomplete="list" aria-controls=${typing.rows.length ? id : undefined}
      aria-activedescendant=${typing.rows.length ? `${id}-${typing.active}` : undefined}
      onInput=${typing.input} onKeyDown=${typing.keys} onClick=${typing.look} onBlur=${typing.close}></textarea>`;
}

/** Uploads attached files at once; returns the list of uploaded and pending files. */
function useFiles() {
  const [files, setFiles] = useState([]);
  const count = useRef(0);
  const change = (key, patch) => setFiles((old) => old.map((each) => (each.key === key ? { ...each, ...patch } : each)));
  const drop = (key) => setFiles((old) => old.filter((each) => each.key !== key));
  const add = (list) => {
    for (const file of list) {
      const key = (count.current += 1);
      setFiles((old) => [...old, { key, name: file.name || "image.png", busy: true }]);
      upload(store.state.me, [file]).then(
        (answer) => change(key, { busy: false, file: answer.files[0] }),
        (error) => {
          drop(key);
          store.toast(error instanceof ApiError ? error.message : "The file could not be uploaded.");
        },
      );
    }
  };
  return { files, add, drop, clear: () => setFiles([]) };
}

function useDropping(box, add) {
  const [over, setOver] = useState(false);
  useEffect(() => {
    const pane = box.current.closest("[data-drop]") ?? box.current;
    const hasFiles = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");
    const drag = (event) => {
      if (!hasFiles(event)) return;
      event.preventDefault();
      setOver(true);
    };
    const leave = (event) => !pane.contains(event.relatedTarget) && setOver(false);
    const drop = (event) => {
      if (!hasFiles(event)) return;
      event.preventDefault();
      setOver(false);
      add(event.dataTransfer.files);
    };
    const pairs = [["dragover", drag], ["dragleave", leave], ["drop", drop]];
    for (const [name, listener] of pairs) pane.addEventListener(name, listener);
    return () => pairs.forEach(([name, listener]) => pane.removeEventListener(name, listener));
  }, []);
  return over;
}

function FileChips({ files, drop }) {
  if (!files.length) return null;
  return html`<div class="file-chips">${files.map((each) => html`<span class=${classes("file-chip", each.busy && "busy")} key=${each.key}>
    <${Icon} name="file-text" size=${15} /> ${each.name}
    <button type="button" aria-label=${`Remove ${each.name}`} onClick=${() => drop(each.key)}><${Icon} name="x" size=${13} /></button>
  </span>`)}</div>`;
}

/** `/invite @somebody …` and `/leave`, which belong to Slack and not to an app. */
function runOwn(command, text, channel) {
  if (command === "/leave") {
    store.leave(channelOf(store.state, channel));
    return true;
  }
  const named = text.toLowerCase().match(/<@\w+>|@[\w.-]+/g) ?? [];
  const invited = store.state.users.filter((user) => named.some((name) => [`<@${user.id}>`, `@${user.name}`].some((each) => each.toLowerCase() === name)));
  for (const user of invited) store.act("invite", { channel, invited: user.id });
  if (!invited.length) store.notice("Say whom to invite: /invite @somebody", channel);
  return true;
}

function runCommand(text, channel, thread) {
  const [command] = text.split(/\s/, 1);
  if (thread) {
    store.toast(`${command} cannot be used in threads. Slack has no slash commands there.`);
    return false;
  }
  if (OWN_COMMANDS.some((each) => each.command === command)) return runOwn(command, text, channel);
  if (!store.state.any_command && !store.state.commands.some((each) => each.command === command)) {
    store.notice(`${command} is not a valid command.`, channel);
    return true;
  }
  store.act("command", { channel, command, text: text.slice(command.length).trim() }, { quiet: true });
  return true;
}

function send({ text, files, channel, thread, broadcast }) {
  if (/^\/\w/.test(text) && !files.length) return runCommand(text, channel, thread);
  const body = { channel, text, files: files.map((each) => each.file.id) };
  if (thread) Object.assign(body, { thread_ts: thread, broadcast });
  return store.act("say", body);
}

function plusItems(input) {
  const shortcuts = store.state.shortcuts.filter((each) => each.type === "global");
  const rows = shortcuts.map((each) => ({
    label: each.name, icon: "zap", hint: each.description, run: () => store.act("shortcut", { callback_id: each.callback_id }, { quiet: true }),
  }));
  const attach = { label: "Upload from your computer", icon: "paperclip", run: () => input.current.click() };
  return rows.length ? [attach, "-", ...rows] : [attach];
}

function Tools({ typing, attach, canSend, onSend }) {
  const input = useRef(null);
  const smile = useRef(null);
  const [picking, setPicking] = useState(false);
  const recorder = useRecorder(attach);
  const insert = (text) => {
    typing.area.current.setRangeText(text, typing.area.current.selectionStart, typing.area.current.selectionEnd, "end");
    typing.input();
    typing.area.current.focus();
  };
  return html`<div class="composer-tools">
    <input type="file" multiple hidden ref=${input} data-testid="file-input" onChange=${(event) => { attach(event.target.files); event.target.value = ""; }} />
    <${MenuButton} label="Attach or run a shortcut" class="icon-button round" align="start" items=${() => plusItems(input)}>
      <${Icon} name="plus" size=${16} /><//>
    <span class="bar"></span>
    ${FORMATS.map(([label, mark, sign]) => html`<button type="button" key=${label} class=${`icon-button format ${label.toLowerCase()}`}
      aria-label=${label} title=${label} onClick=${() => surround(typing.area.current, mark)}>${sign}</button>`)}
    <span class="bar"></span>
    <${IconButton} icon="at-sign" label="Mention someone" size=${16} onClick=${() => insert("@")} />
    <button type="button" class="icon-button" ref=${smile} aria-label="Emoji" title="Emoji" onClick=${() => setPicking(!picking)}>
      <${Icon} name="face-slightly-smiling" size=${16} /></button>
    ${picking && html`<${Popover} anchor=${smile} class="emoji-box" onClose=${() => setPicking(false)}>
      <${EmojiPicker} onClose=${() => setPicking(false)} onPick=${(name) => { setPicking(false); insert(`:${name}: `); }} /><//>`}
    <${IconButton} icon=${recorder.running ? "square" : "mic"} label=${recorder.running ? "Stop recording" : "Record a voice clip"}
      class=${classes(recorder.running && "recording")} size=${16} onClick=${recorder.toggle} />
    <button type="button" class=${classes("send", canSend && "ready")} aria-label="Send now" title="Send now" disabled=${!canSend} onClick=${onSend}>
      <${Icon} name="send-horizontal" size=${16} /></button>
  </div>`;
}

/** `label` is its accessible name and placeholder. `onSaid(ts)` is called when a message has been posted. */
export function Composer({ channel, thread = null, label, autofocus = false, onSaid, broadcastTo }) {
  const key = `${store.state.me}/${channel}/${thread ?? ""}`;
  const box = useRef(null);
  const { files, add, drop, clear } = useFiles();
  const [broadcast, setBroadcast] = useState(false);
  const place = channelOf(store.state, channel);
  const submit = async () => {
    const text = typing.outgoing();
    if ((!text && !files.length) || files.some((each) => each.busy)) return;
    const [before, kept] = [typing.text, files];
    typing.put("");
    clear();
    const answer = await send({ text, files: kept, channel, thread, broadcast });
    if (!answer) typing.put(before);
    setBroadcast(false);
    if (answer?.ts) onSaid?.(answer.ts);
  };
  const editLast = (event) => {
    const own = [...box.current.closest("[data-drop]").querySelectorAll("article [aria-label=Edit]")].pop();
    if (!own) return;
    event.preventDefault();
    own.click();
  };
  const typing = useTyping({ initial: drafts.get(key) ?? "", channel: place, commands: !thread, onSend: submit, onEmptyUp: editLast });
  const over = useDropping(box, add);
  useEffect(() => drafts.set(key, typing.text), [typing.text]);
  useEffect(() => {
    if (autofocus) typing.area.current.focus();
  }, []);
  useEffect(() => {
    if (thread) return undefined;
    store.composers.set(channel, (user) => typing.mention(user));
    return () => store.composers.delete(channel);
  });
  const paste = (event) => {
    if (!event.clipboardData.files.length) return;
    event.preventDefault();
    add(event.clipboardData.files);
  };
  const ready = Boolean(typing.text.trim() || files.length) && !files.some((each) => each.busy);
  return html`<div class=${classes("composer", over && "dropping")} ref=${box} onPaste=${paste}>
    <${Field} typing=${typing} label=${label} />
    <${FileChips} files=${files} drop=${drop} />
    ${broadcastTo && html`<label class="also-send"><input type="checkbox" checked=${broadcast} onChange=${(event) => setBroadcast(event.target.checked)} />
      Also send to ${broadcastTo}</label>`}
    <${Tools} typing=${typing} attach=${add} canSend=${ready} onSend=${submit} />
    ${over && html`<div class="drop-note">Drop files to attach them</div>`}
  </div>`;
}

/** References as people read them, for the edit box: `<@U1>` becomes @Grace Hopper. */
function readable(text, state, picked) {
  return text.replace(/<([@#])([A-Z0-9]+)(?:\|[^>]*)?>/g, (whole, kind, id) => {
    const found = kind === "@" ? userOf(state, id) : channelOf(state, id);
    if (!found) return whole;
    const name = kind + (kind === "@" ? displayName(found) : found.name);
    picked.set(name, `<${kind}${id}>`);
    return name;
  }).replace(/&(lt|gt|amp);/g, (_all, name) => ({ lt: "<", gt: ">", amp: "&" })[name]);
}

export function EditBox({ message, onDone }) {
  const [start] = useState(() => {
    const picked = new Map();
    return { picked, text: readable(message.text, store.state, picked) };
  });
  const save = async () => {
    const text = withTokens(typing.outgoing(), start.picked);
    onDone();
    if (text && text !== message.text) store.act("edit", { channel: message.channel, ts: message.ts, text });
  };
  const typing = useTyping({ initial: start.text, channel: null, commands: false, onSend: save, onEscape: onDone });
  useEffect(() => {
    const area = typing.area.current;
    area.focus();
    area.setSelectionRange(area.value.length, area.value.length);
  }, []);
  return html`<div class="composer edit-box"><${Field} typing=${typing} label="Edit message" />
    <div class="edit-actions"><button type="button" class="button small" onClick=${onDone}>Cancel</button>
      <button type="button" class="button small primary" onClick=${save}>Save</button></div></div>`;
}
