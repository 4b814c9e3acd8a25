"""Every interval, delay and timeout that decides how the bot behaves, as one frozen value.

The defaults are what runs in production. `bot.app.build` takes a `Timing`, so a test changes a wait by passing another
value instead of patching a module. All numbers are seconds.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Timing:
    """Intervals, delays and timeouts in seconds."""

    # Answers and their leases (bot/answers)
    lease: float = 8.0
    """How long a worker may fail to renew its leases before another one takes over its answers."""
    lease_safe: float = 6.0
    """After a renewal: no takeover can have happened yet, nor will one while a call that starts now is under way."""
    lease_renew_interval: float = 2.0
    """Three renewals may fail before a lease lapses."""
    sweep_interval: float = 2.0
    """Between two searches for answers that no worker holds, and for chores that nobody does."""
    overdue: float = 7.0
    """A process whose renewals or searches have not succeeded for this long is not ready."""
    turn_poll_interval: float = 0.5
    """Between two checks whether another process has shown the answer before."""
    question_timeout: float = 3.0
    """How long the first words of an answer wait for its question, sent through the API, to be shown above them."""
    question_pause: float = 3.0
    """Before a question that an ended process may have been showing is looked for, and shown if it is not there."""
    question_resumed_timeout: float = 8.0
    """How long the same takes at most for an answer that an ended process had begun, `question_pause` included."""
    stray_timeout: float = 1.0
    """How long the first words of an answer that was taken over wait for a search for its lost message."""
    chore_timeout: float = 30.0
    """For one try of one chore, in the queue for Slack and in the call."""
    approval_life: float = 86_400.0
    """After this time a tool call that nobody has decided about counts as denied."""
    chore_pause: float = 5.0
    """Between the first try of a chore, when that failed, and the second; doubles with each further one."""
    chore_busy_pause: float = 3.0
    """Before a chore is tried again that must wait until the chat's other answers have ended."""

    # Calls to Slack (handlers)
    slack_call_timeout: float = 10.0
    """After this time it is unknown whether a call took effect."""
    late_effect: float = 20.0
    """A call that timed out, or whose process died, may still take effect within this time."""
    last_write_timeout: float = 5.0
    """How long a writer that hands its answer over may take to finish the Slack call under way, or to show all text."""
    write_retry_limit: float = 3600.0
    """An answer whose writes fail for this long is given up in Slack; it stays in the database."""
    max_stream_age: float = 235.0
    """A stream is ended after this time and the answer continued in the next message: Slack ends streams after 300."""
    status_refresh_interval: float = 80.0
    """Slack clears "is thinking…" after two minutes."""
    status_step_interval: float = 5.0
    """Between two counts of the seconds in "is thinking… 12 s"."""
    session_start_delay: float = 2.0
    """An answer that runs for this long gets an agent session, which shows Slack's own Stop control.

    Shorter answers need none, and cost no call."""
    session_call_timeout: float = 5.0
    """A call that shows or clears a status is given up after this time: no answer waits for it."""
    user_name_timeout: float = 0.5
    """How long a prompt waits for users' names from Slack, all of them together."""
    user_lookup_timeout: float = 10.0
    """How long Slack may take to tell a name, while nothing waits for it."""
    file_retry_delays: tuple[float, ...] = (0.5, 1.5, 4.0)
    files_timeout: float = 30.0
    """How long an answer waits for shared files, all of them together: of all messages that it needs, with all attempts
    to download them and the pauses between. What is late is told as unreachable."""
    document_timeout: float = 20.0
    """How long reading the text of one document may take."""
    document_queue_timeout: float = 30.0
    """How long a document may wait for others to be read."""
    transcription_timeout: float = 60.0
    """How long turning one voice clip into text may take."""
    file_read_timeout: float = 15.0
    """Between two pieces of a download."""
    person_timeout: float = 1.0
    """How long somebody who uses Bobbin waits for Slack to tell how their account belongs to the workspace."""
    person_renewal_age: float = 600.0
    """What Slack told about an account is asked for again, in the background, once it is this old."""
    person_max_age: float = 3600.0
    """The same, and whoever needs it waits for it."""
    membership_timeout: float = 2.0
    """How long an API client waits for Slack to tell whether its user is still in a private channel."""
    membership_max_age: float = 600.0
    """For so long a member of a private channel is not looked for there again, in case Slack's event was lost."""
    installation_cache_ttl: float = 60.0
    """How long an installation that was read from the database is cached."""

    # Threads and lists in Slack (handlers)
    thread_sweep_interval: float = 5.0
    """Between two searches for menus and dialog chats that a dead process left unfinished."""
    thread_sweep_min_age: float = 20.0
    """How old an unfinished menu or dialog chat must be before it is recovered."""
    duplicate_menu_delay: float = 20.0
    """How long after recovery posted a menu it looks for a second one, which a dead process had asked for."""
    dialog_min_age: float = 2.0
    """A submission younger than this is still being posted by the process that received it."""
    header_min_age: float = 2.0
    """A chat younger than this still gets its header from the process that started it."""
    context_grace: float = 0.7
    """How long a menu waits for the thread's earlier messages to be read before it is posted without them."""
    context_retry_delays: tuple[float, ...] = (0.5, 1.0, 2.0)
    """Before a thread that Slack refused to show is read again."""
    context_timeout: float = 30.0
    """How long reading the thread's earlier messages may go on after the menu is posted."""
    context_timeout_after_choice: float = 15.0
    """How long a chosen model waits for the thread's earlier messages."""
    command_patience: float = 2.0
    """How long `/chats` waits for its list, of the three seconds that Slack gives; a later list is shown by itself."""
    chat_list_update_delays: tuple[float, ...] = (2.0, 10.0, 60.0, 300.0)
    """Between two updates of a chat list that `/chats` has shown: as many as Slack permits."""

    # Models (bot/providers)
    longest_answer: float = 1200.0
    """From the first request to a model to the end of its answer, which is cut there; all tries together."""
    model_retry_delays: tuple[float, ...] = (0.5, 2.0)
    """Before the second and the third request to a model for an answer, unless its provider says how long.

    A failure of the last, after some text has been shown, or so late that `longest_answer` would pass before the next,
    is the answer's failure."""
    longest_title: float = 20.0
    """The same for a title; less than `chore_timeout`."""
    longest_summary: float = 60.0
    """The same for a summary of a long chat."""
    summary_wait: float = 20.0
    """How long an answer waits for a summary of what the model is not sent."""
    model_list_request_timeout: float = 15.0
    """For one request for a list of models, or for a model's details."""
    model_list_timeout: float = 45.0
    """For one whole list of models, with the details that some servers tell one by one."""
    usage_timeout: float = 15.0
    """How long to wait, after a server has announced the end of an answer, for what follows: token counts, `[DONE]`,
    or more text, since some announce the end too early. Hardly any server leaves a connection open after the end."""
    model_list_first_retry: float = 2.0
    """Before a list of models that failed to load is requested again; doubles each time."""
    model_list_min_interval: float = 1.0

    # HTTP side (bot/api)
    http_header_timeout: float = 20.0
    http_body_gap_timeout: float = 20.0
    """Between two pieces of a request's body."""
    http_shutdown_timeout: int = 3
    sse_keepalive_interval: float = 15.0
    token_recheck_interval: float = 30.0
    """Between two checks whether the token of an open stream or socket is still valid."""

    # Database (storage)
    forget_interval: float = 600.0
    """Between two deletions of expired claims on actions (`storage.action_claims`)."""
    index_interval: float = 30.0
    """Between two looks whether an upgrade has left a search index to be filled, until it is full."""
    keep_interval: float = 1800.0
    """Between two looks whether this day's old chats have been removed."""
    redis_timeout: float = 1.0
    """For one command of Redis; tokens and events are worthless later."""
    idle_transaction_timeout: float = 4.0
    """PostgreSQL ends a transaction that does nothing for this long: one whose COMMIT was lost keeps rows locked, and
    their leases must be renewed before `lease_safe` has passed."""
    database_connect_timeout: float = 5.0
    database_statement_timeout: float = 10.0
    """For one statement, for a connection to become free, and for another process to unlock an SQLite file."""
    database_search_timeout: float = 10.0
    """For one statement of a search by words, after which the person is told to search for something else."""
    database_lease_timeout: float = 3.0
    """For a statement that renews leases, and for the check of a connection before each use: a mute connection must be
    replaced, and the renewal repeated, before the lease lapses. Also for giving back chores when a process ends."""
