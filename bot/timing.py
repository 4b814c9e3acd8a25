"""Every interval, delay and timeout that determines how the bot behaves, as one frozen value.

The defaults are used in production. `bot.app.build` takes a `Timing`, so a test changes a wait by passing another value
instead of patching a module. All numbers are seconds.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Timing:
    """Intervals, delays and timeouts in seconds."""

    # Answers and their leases (bot/answers)
    lease_duration: float = 8.0
    """How long a worker may fail to renew its leases before another worker takes over its answers."""
    lease_safe: float = 6.0
    """Until this long after a renewal, no takeover can have happened, nor can one happen during a call that starts now.
    """
    lease_renew_interval: float = 2.0
    """Three renewals may fail before a lease lapses."""
    sweep_interval: float = 2.0
    """Between two searches for answers that no worker holds, and for chores that no process is doing."""
    overdue: float = 7.0
    """A process whose renewals or searches have not succeeded for this long is not ready."""
    turn_poll_interval: float = 0.5
    """Between two checks whether another process has shown the previous answer."""
    question_timeout: float = 3.0
    """How long the first words of an answer wait for its question, sent through the API, to be shown above them."""
    question_pause: float = 3.0
    """Before looking for a question that a dead process may have been showing, and showing it if it is missing."""
    question_resumed_timeout: float = 8.0
    """The same limit for an answer that a dead process had begun, `question_pause` included."""
    stray_timeout: float = 1.0
    """How long the first words of an answer that was taken over wait for a search for its lost message."""
    chore_timeout: float = 30.0
    """For one attempt at one chore, including time in the queue for Slack."""
    approval_life: float = 86_400.0
    """After this time a tool call without a decision counts as denied."""
    chore_pause: float = 5.0
    """Between the first attempt at a chore, if it failed, and the second; doubles with each further one."""
    chore_busy_pause: float = 3.0
    """Before retrying a chore that must wait until the chat's other answers have ended."""

    # Calls to Slack (handlers)
    slack_call_timeout: float = 10.0
    """After this time it is unknown whether a call took effect."""
    late_effect: float = 20.0
    """A call that timed out, or whose process died, may still take effect within this time."""
    search_timeout: float = 20.0
    """How long an answer waits for a search for the message of a call with an unknown outcome.

    Then it is posted again; if the first message exists after all, it is removed later.
    """
    last_write_timeout: float = 5.0
    """How long a writer that hands over its answer may take to finish the Slack call in progress, or to show all text.
    """
    write_retry_limit: float = 3600.0
    """An answer whose writes fail for this long is given up in Slack; it stays in the database."""
    max_stream_age: float = 235.0
    """A stream is ended after this time and the answer continued in the next message: Slack ends streams after 300."""
    status_refresh_interval: float = 80.0
    """Slack clears "is thinking…" after two minutes."""
    status_step_interval: float = 5.0
    """Between two updates of the seconds in "is thinking… 12 s"."""
    session_start_delay: float = 2.0
    """An answer that runs for this long gets an agent session, which shows Slack's own Stop control.

    Shorter answers need none, and cost no call."""
    session_call_timeout: float = 5.0
    """A call that shows or clears a status is given up after this time: no answer waits for it."""
    status_end_timeout: float = 0.3
    """How long the end of an answer waits for a call that shows its status and has been sent. Then that call may come
    late, and the status is cleared after `late_effect`.
    """
    user_name_timeout: float = 0.5
    """How long a prompt waits for Slack to provide users' names, for all of them together."""
    user_lookup_timeout: float = 10.0
    """How long Slack may take to provide a name while nothing waits for it."""
    file_retry_delays: tuple[float, ...] = (0.5, 1.5, 4.0)
    files_timeout: float = 30.0
    """How long an answer waits for shared files: for the files of all messages together, including all download
    attempts and the pauses between them. Files that arrive later are reported as unreachable.
    """
    document_timeout: float = 20.0
    """How long reading the text of one document may take."""
    document_queue_timeout: float = 30.0
    """How long a document may wait for others to be read."""
    transcription_timeout: float = 60.0
    """How long transcribing one voice clip may take."""
    file_read_timeout: float = 15.0
    """Between two pieces of a download."""
    person_timeout: float = 1.0
    """How long a person waits for Slack to say how their account belongs to the workspace."""
    person_renewal_age: float = 600.0
    """Facts from Slack about an account are refreshed in the background once they are this old."""
    person_max_age: float = 3600.0
    """Facts from Slack about an account are refreshed before use once they are this old."""
    membership_timeout: float = 2.0
    """How long an API client waits for Slack to say whether its user is still in a private channel."""
    membership_max_age: float = 600.0
    """How long before a member of a private channel is looked up there again, in case Slack's event was lost."""
    installation_cache_ttl: float = 60.0
    """How long an installation that was read from the database is cached."""

    # Threads and lists in Slack (handlers)
    press_claim: float = 2.0
    """How long after a kill nobody else handles a press or command that the dead process was handling."""
    notice_claim: float = 20.0
    """How long after a kill nobody else tells a person what the dead process was about to tell them."""
    dialog_open_timeout: float = 6.0
    """How long Slack may take to open a dialog, with repetitions, until the person is told that it did not open.

    Slack itself refuses calls more than three seconds after the press.
    """
    home_tab_timeout: float = 15.0
    """How long Slack may take to show a Home tab. After that, a person who has pressed something there is told that it
    failed.
    """
    thread_sweep_interval: float = 5.0
    """Between two searches for menus and dialog chats that a dead process left unfinished."""
    thread_sweep_min_age: float = 20.0
    """How old an unfinished menu or dialog chat must be before it is recovered."""
    duplicate_menu_delay: float = 20.0
    """How long after recovery posted a menu it looks for a second one, which a dead process had asked for."""
    dialog_min_age: float = 2.0
    """A submission younger than this is assumed to be still being posted by the process that received it."""
    header_min_age: float = 2.0
    """A chat younger than this is assumed to be getting its header from the process that started it."""
    context_grace: float = 0.7
    """How long a menu waits for the thread's earlier messages before it is posted without them."""
    context_retry_delays: tuple[float, ...] = (0.5, 1.0, 2.0)
    """Before retrying to read a thread that Slack refused to return."""
    context_timeout: float = 30.0
    """How long reading the thread's earlier messages may go on after the menu is posted."""
    context_timeout_after_choice: float = 15.0
    """How long a chosen model waits for the thread's earlier messages."""
    command_patience: float = 2.0
    """How long `/chats` waits for its list, of the three seconds that Slack allows; a later list is shown without a
    request.
    """
    chat_list_update_delays: tuple[float, ...] = (2.0, 10.0, 60.0, 300.0)
    """Between two updates of a chat list shown by `/chats`; as many as Slack permits."""

    # Models (bot/providers)
    longest_answer: float = 1200.0
    """From the first request to a model to the end of its answer, which is cut there; all attempts together."""
    model_retry_delays: tuple[float, ...] = (0.5, 2.0)
    """Before the second and third request to a model for an answer, unless its provider says how long to wait.

    The answer fails when the last request fails, when a request fails after text has been shown, or when
    `longest_answer` would pass before the next request.
    """
    longest_title: float = 20.0
    """The same limit for a title; less than `chore_timeout`."""
    longest_summary: float = 60.0
    """The same limit for a summary of a long chat."""
    summary_wait: float = 20.0
    """How long an answer waits for a summary of the messages that are not sent."""
    model_list_request_timeout: float = 15.0
    """For one request for a list of models, or for a model's details."""
    model_list_timeout: float = 45.0
    """For one whole list of models, including the details that some servers provide one by one."""
    usage_timeout: float = 15.0
    """How long to wait, after a server has announced the end of an answer, for what follows: token counts, `[DONE]`, or
    more text, since some servers announce the end too early. Hardly any server leaves a connection open after the end.
    """
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
    """Between two checks whether an upgrade has left a search index to be filled, until it is complete."""
    keep_interval: float = 1800.0
    """Between two checks whether this day's old chats have been removed."""
    redis_timeout: float = 1.0
    """For one Redis command; late data in Redis is worthless."""
    idle_transaction_timeout: float = 4.0
    """PostgreSQL ends a transaction that is idle for this long: a transaction whose COMMIT was lost keeps rows locked,
    and their leases must be renewed before `lease_safe` has passed.
    """
    database_connect_timeout: float = 5.0
    database_statement_timeout: float = 10.0
    """For one statement, for a connection to become free, and for another process to unlock an SQLite file."""
    database_migration_timeout: float = 120.0
    """For another process to migrate an SQLite file, during which it is locked."""
    database_outcome_timeout: float = 6.0
    """For finding out whether a transaction with an unanswered COMMIT took effect; longer than
    `idle_transaction_timeout`, which ends one that the server never received.
    """
    database_search_timeout: float = 10.0
    """For one statement of a search by words, after which the person is told to search for something else."""
    database_lease_timeout: float = 3.0
    """For a statement that renews leases, and for checking a connection before each use: a connection that does not
    respond must be replaced, and the renewal repeated, before the lease lapses. Also for releasing chores when a
    process ends.
    """
