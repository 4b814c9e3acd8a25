"""Builds a prompt's alternating turns of user and model from stored messages. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

from bot.chats.attachments.rules import short_name
from bot.domain import Attachment, Message, Role, SharedFile
from bot.domain.tool_calls import ToolRound
from bot.providers.base import ChatMessage

THREAD_CONTEXT = (
    "What people said in this thread before:\n{context}\n\nThe message to answer:\n{text}"
)
"""Begins the first message of a chat that started in an existing thread."""
CONTINUED = (
    "Summary of the earlier chat, which this one continues:\n{context}\n\n"
    "The message to answer:\n{text}"
)
"""Begins the first message of a chat that continues another one."""
LEFT_OUT = "[A message is left out here, because it could not be processed]"
"""Replaces a message that the provider refused, when something later is asked."""
ATTACHED_EARLIER = "[Attached: {name}, which was shown earlier and is not repeated]"
ATTACHED_UNSEEN = "[Attached: {name}, an image that you cannot see]"
PICTURE_MADE = "[You made a picture here: {name}]"
"""Part of the model's own turn; the pictures go with the user's next turn, because most servers accept none from a
model.
"""
PICTURE_SHOWN = "[The picture that you made: {name}]"
ATTACHED_UNREADABLE = "[Attached: {name}, which could not be read]"

UNFINISHED = "[You called these tools, and the answer was not finished]"
"""Replaces an answer that failed, or was stopped before its first word, after tool calls."""

NO_CALLS: Mapping[str, tuple[ToolRound, ...]] = MappingProxyType({})
NO_NOTES: Mapping[int, str] = MappingProxyType({})


def chat_messages(
    history: Sequence[Message],
    names: Mapping[str, str],
    context: str | None = None,
    *,
    template: str = THREAD_CONTEXT,
    can_see: bool = True,
    takes_pdfs: bool = True,
    left_out: Collection[str] = (),
    notes: Mapping[int, str] = NO_NOTES,
    calls: Mapping[str, tuple[ToolRound, ...]] = NO_CALLS,
) -> list[ChatMessage]:
    """The chat as the model reads it. A message begins with its author's name where `names` has it.

    Consecutive messages without an answer in between become one, because many servers reject two messages of the same
    role in a row. `context`: what was said before the chat began; `template` puts it before the first message.
    `can_see`: whether the model accepts images; `takes_pdfs`: whether it accepts PDFs. `left_out`: ids of messages that
    are only mentioned. `notes`: texts to insert, by the number of the message that each precedes. `calls`: tool calls,
    by the id of the answer, or of its question if the answer is not in the history.
    """
    made: list[ChatMessage] = []
    for stored in history:
        message = stored if takes_pdfs else _without_pdfs(stored)
        made.append(ChatMessage(Role.USER, notes.get(message.number, "")))
        if message.role is Role.USER:
            question = _question(message, names, can_see)
            if context:
                text = template.format(context=context, text=question.text)
                question = replace(question, text=text)
            made.append(ChatMessage(Role.USER, LEFT_OUT) if message.id in left_out else question)
            context = None
            if message.id in calls:
                made.append(ChatMessage(Role.ASSISTANT, UNFINISHED, rounds=calls[message.id]))
        else:
            made.append(_answer(message, calls.get(message.id, ())))
            if can_see and message.images:
                made.append(_pictures_of(message))
    return list(_alternating([turn for turn in made if turn.text.strip() or turn.images]))


def _question(message: Message, names: Mapping[str, str], can_see: bool) -> ChatMessage:
    text = _text(message, can_see)
    if message.author is not None and message.author in names:
        text = f"{names[message.author]}: {text}"
    return ChatMessage(Role.USER, text, _sent(message, can_see))


def _sent(message: Message, can_see: bool) -> tuple[Attachment, ...]:
    return tuple(each for each in message.images if can_see or each.is_pdf)


def _without_pdfs(message: Message) -> Message:
    """The message as if its PDFs could not be read."""
    pdfs = [each for each in (*message.images, *message.omitted_images) if each.is_pdf]
    files = (SharedFile("", each.name, problem="scan") for each in pdfs)
    return replace(
        message,
        images=tuple(each for each in message.images if not each.is_pdf),
        omitted_images=tuple(each for each in message.omitted_images if not each.is_pdf),
        files=(*message.files, *files),
    )


def _answer(message: Message, rounds: tuple[ToolRound, ...]) -> ChatMessage:
    """An answer after its turns with calls; their texts are the beginning of the answer's own, which is reduced to the
    rest.
    """
    text = _answer_text(message)
    if not rounds:
        return ChatMessage(Role.ASSISTANT, text)
    written = "".join(turn.text for turn in rounds)
    if text.startswith(written):
        return ChatMessage(
            Role.ASSISTANT, text[len(written) :].lstrip() or UNFINISHED, rounds=rounds
        )
    silent = tuple(replace(turn, text="") for turn in rounds)
    return ChatMessage(Role.ASSISTANT, text, rounds=silent)


def _answer_text(message: Message) -> str:
    """An answer, with the names of its pictures."""
    pictures = (*message.images, *message.omitted_images)
    return "\n\n".join(filter(None, [message.text, *_named(PICTURE_MADE, pictures)]))


def _pictures_of(message: Message) -> ChatMessage:
    """An answer's pictures, as the beginning of the user's next turn."""
    notes = _named(PICTURE_SHOWN, message.images)
    return ChatMessage(Role.USER, "\n\n".join(notes), message.images)


def _named(template: str, attachments: Iterable[Attachment]) -> list[str]:
    return [template.format(name=short_name(each.name)) for each in attachments]


def _alternating(turns: Sequence[ChatMessage]) -> Iterator[ChatMessage]:
    """The same turns, with consecutive ones of the same role joined."""
    before: ChatMessage | None = None
    for turn in turns:
        if before is None or before.role is not turn.role:
            if before is not None:
                yield before
            before = turn
        else:
            before = _joined(before, turn)
    if before is not None:
        yield before


def _joined(first: ChatMessage, second: ChatMessage) -> ChatMessage:
    if second.text == LEFT_OUT and first.text.endswith(LEFT_OUT):
        return first  # once is enough
    text = "\n\n".join(text for text in (first.text, second.text) if text)
    return ChatMessage(first.role, text, first.images + second.images, first.rounds + second.rounds)


def _text(message: Message, can_see: bool) -> str:
    return "\n\n".join([*([message.text] if message.text else ()), *_notes(message, can_see)])


def _notes(message: Message, can_see: bool) -> list[str]:
    """Sentences that tell the model about files that it does not get."""
    shown = _sent(message, can_see)
    unseen = (*message.omitted_images, *(each for each in message.images if each not in shown))
    notes: list[str] = []
    for each in unseen:
        notes += _named(ATTACHED_EARLIER if can_see or each.is_pdf else ATTACHED_UNSEEN, [each])
    for file in message.files:
        is_unseen = file.problem is None and not can_see
        template = ATTACHED_UNSEEN if is_unseen else ATTACHED_UNREADABLE
        notes.append(template.format(name=short_name(file.name)))
    return notes
