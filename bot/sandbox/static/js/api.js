// Requests to the sandbox's server. Each one names the person it acts for.

export class ApiError extends Error {
  constructor(code, message) {
    super(message || code);
    this.code = code;
  }
}

const SENTENCES = {
  dispatch_failed: "The app could not be reached, or answered with an error (dispatch_failed).",
  operation_timeout: "The app did not answer in time (operation_timeout).",
  invalid_options: "The app answered with options that Slack would refuse (invalid_options).",
  app_not_connected: "The app is not connected.",
  unreachable: "The sandbox does not answer. Is it still running?",
};

/** The sandbox runs on this machine: what has no answer after so many milliseconds never gets one. */
const LONGEST_ANSWER = 10_000;

async function read(response) {
  const answer = await response.json().catch(() => ({ ok: false, error: `http_${response.status}` }));
  if (!answer.ok) throw new ApiError(answer.error, SENTENCES[answer.error] ?? answer.message);
  return answer;
}

async function request(path, options) {
  let response;
  try {
    response = await fetch(`/sandbox/${path}`, options);
  } catch {
    throw new ApiError("unreachable", SENTENCES.unreachable);
  }
  return read(response);
}

/** Given up after `LONGEST_ANSWER`; whoever needs the answer asks again. */
export async function get(path, query = {}) {
  const late = new AbortController();
  const timer = setTimeout(() => late.abort(), LONGEST_ANSWER);
  try {
    return await request(`${path}?${new URLSearchParams(query)}`, { signal: late.signal });
  } finally {
    clearTimeout(timer);
  }
}

export const post = (path, body, signal = undefined) =>
  request(path, { method: "POST", signal, headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });

export function upload(user, files) {
  const form = new FormData();
  form.append("user", user);
  for (const file of files) form.append("file", file, file.name || "pasted.png");
  return request("upload", { method: "POST", body: form });
}

const FIRST_WAIT = 300;
const LONGEST_WAIT = 5000;

/** A socket to `live` that reconnects by itself. Calls `onOpen()` at each (re)connection, `onEvent(event)`, `onLost()`. */
export class Live {
  constructor(query, { onOpen, onEvent, onLost }) {
    this.query = query;
    this.handlers = { onOpen, onEvent, onLost };
    this.wait = FIRST_WAIT;
    this.closed = false;
    this.#connect();
  }

  close() {
    this.closed = true;
    clearTimeout(this.timer);
    this.socket.close();
  }

  #connect() {
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    const socket = new WebSocket(`${scheme}://${location.host}/sandbox/live?${new URLSearchParams(this.query)}`);
    this.socket = socket;
    const late = setTimeout(() => socket.close(), LONGEST_ANSWER);
    socket.onopen = () => {
      clearTimeout(late);
      this.wait = FIRST_WAIT;
      if (!this.closed) this.handlers.onOpen?.();
    };
    socket.onmessage = (frame) => {
      if (!this.closed) this.handlers.onEvent(JSON.parse(frame.data));
    };
    socket.onclose = () => {
      clearTimeout(late);
      if (this.closed) return;
      this.handlers.onLost?.();
      this.timer = setTimeout(() => this.#connect(), this.wait);
      this.wait = Math.min(this.wait * 2, LONGEST_WAIT);
    };
  }
}
