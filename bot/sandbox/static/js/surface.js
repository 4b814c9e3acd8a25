// What a person has chosen and typed in one surface (a message, a modal, the Home tab), and how its elements act.
import { createContext, useContext, useRef, useState, useEffect } from "./ui.js";
import { post } from "./api.js";
import { store } from "./store.js";

const kept = new Map();

/** The values of one surface, in the shape of Slack's `state.values`. They survive a render, as in Slack. */
export class Surface {
  values = {};
  listeners = new Set();

  constructor(container) {
    this.container = container;
  }

  value(blockId, actionId) {
    return this.values[blockId]?.[actionId];
  }

  put(blockId, actionId, value) {
    this.values = { ...this.values, [blockId]: { ...this.values[blockId], [actionId]: value } };
    for (const listener of this.listeners) listener();
  }

  /** Sends an action to the app. Resolves to true once the app has acknowledged. */
  async act(blockId, action) {
    const body = { action: { ...action, block_id: blockId }, container: this.container, state: { values: this.values } };
    return (await store.act("action", body)) !== null;
  }

  /** Asks the app for the options of a menu; throws ApiError. */
  options(blockId, actionId, value, signal) {
    const body = { user: store.state.me, action_id: actionId, block_id: blockId, value, container: this.container };
    return post("options", body, signal);
  }
}

export function surfaceFor(key, container) {
  if (!kept.has(key)) kept.set(key, new Surface(container));
  return kept.get(key);
}

export const dropSurface = (key) => kept.delete(key);

export const SurfaceContext = createContext(null);
/** The block of an element: {id: its key here, given: its block_id if it has one, errors, dispatch}. */
export const BlockContext = createContext({ id: "", errors: {} });

const INITIAL = {
  static_select: ({ initial_option: option }) => option && { selected_option: option },
  external_select: ({ initial_option: option }) => option && { selected_option: option },
  radio_buttons: ({ initial_option: option }) => option && { selected_option: option },
  checkboxes: ({ initial_options: options }) => ({ selected_options: options ?? [] }),
  multi_static_select: ({ initial_options: options }) => ({ selected_options: options ?? [] }),
  multi_external_select: ({ initial_options: options }) => ({ selected_options: options ?? [] }),
  plain_text_input: ({ initial_value: value }) => ({ value: value ?? null }),
  email_text_input: ({ initial_value: value }) => ({ value: value ?? null }),
  url_text_input: ({ initial_value: value }) => ({ value: value ?? null }),
  number_input: ({ initial_value: value }) => ({ value: value ?? null }),
  datepicker: ({ initial_date: date }) => ({ selected_date: date ?? null }),
  timepicker: ({ initial_time: time }) => ({ selected_time: time ?? null }),
  users_select: ({ initial_user: user }) => ({ selected_user: user ?? null }),
  conversations_select: ({ initial_conversation: id }) => ({ selected_conversation: id ?? null }),
  channels_select: ({ initial_channel: channel }) => ({ selected_channel: channel ?? null }),
  multi_users_select: ({ initial_users: users }) => ({ selected_users: users ?? [] }),
  multi_conversations_select: ({ initial_conversations: ids }) => ({ selected_conversations: ids ?? [] }),
  multi_channels_select: ({ initial_channels: channels }) => ({ selected_channels: channels ?? [] }),
  datetimepicker: ({ initial_date_time: time }) => ({ selected_date_time: time ?? null }),
  rich_text_input: ({ initial_value: value }) => ({ rich_text_value: value ?? null }),
  file_input: () => ({ files: [] }),
};

/** The value of one element and how to set it: [value, set, act]. */
export function useElement(element) {
  const surface = useContext(SurfaceContext);
  const block = useContext(BlockContext);
  const [, redraw] = useState(0);
  const seen = useRef(false);
  if (!seen.current) {
    seen.current = true;
    const initial = INITIAL[element.type]?.(element);
    if (initial && !surface.value(block.id, element.action_id)) {
      surface.values[block.id] = { ...surface.values[block.id], [element.action_id]: { type: element.type, ...initial } };
    }
  }
  useEffect(() => {
    const listener = () => redraw((count) => count + 1);
    surface.listeners.add(listener);
    return () => surface.listeners.delete(listener);
  }, [surface]);
  const value = surface.value(block.id, element.action_id);
  const set = (next) => surface.put(block.id, element.action_id, { type: element.type, ...next });
  const act = (extra) => surface.act(block.given, { action_id: element.action_id, ...extra });
  return { value, set, act, surface, block };
}
