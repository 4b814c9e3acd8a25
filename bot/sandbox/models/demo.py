"""The demo models that the sandbox offers without a real provider. They are scripted and say so. No I/O."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from bot.sandbox.models.drawing import describe, painted
from bot.sandbox.models.long_texts import RICH, STORY
from bot.sandbox.models.scripts import (
    Citation,
    Fault,
    Message,
    ModelScript,
    Picture,
    Reasoning,
    ToolCall,
    script_from_text,
    text_of,
    words,
)


@dataclass(frozen=True, slots=True)
class Question:
    """A request as the demo models see it."""

    messages: Sequence[Message]
    rate: float
    """Words per second."""
    seen_before: int = 0
    """How often exactly the same was asked before."""
    since_first: float = 0.0
    """Seconds since the same was first asked."""
    may_search: bool = False
    """The request lets the model search the web."""
    tools: Sequence[str] = ()
    """The tools that the request lets the model call."""
    effort: str = ""
    """How much the request tells the model to reason."""

    def texts(self, role: str) -> list[str]:
        return [text_of(message) for message in self.messages if message.get("role") == role]

    @property
    def last_text(self) -> str:
        """The newest message of the user."""
        return next(reversed(self.texts("user")), "")

    @property
    def returned(self) -> list[str]:
        """The results of the tool calls for the newest message, in order."""
        newest = max((n for n, m in enumerate(self.messages) if m.get("role") == "user"), default=0)
        return [text_of(m) for m in self.messages[newest:] if m.get("role") == "tool"]

    @property
    def message_count(self) -> int:
        """How many messages the conversation holds."""
        return len(self.texts("user")) + len(self.texts("assistant"))


@dataclass(frozen=True, slots=True)
class DemoModel:
    """A demo model: its entry in the model list, and how it answers."""

    id: str
    label: str
    script_for: Callable[[Question], ModelScript]
    context: int = 32_768
    vision: bool = False
    draws: bool = False
    """Whether its answers may hold pictures."""
    takes_effort: bool = False
    """Whether its reasoning effort can be chosen."""


def callable_tools(body: Mapping[str, Any]) -> Sequence[str]:
    """The names of the tools that a request lets the model call."""
    if body.get("tool_choice") == "none":
        return ()
    functions = [tool["function"] for tool in body.get("tools", ()) if "function" in tool]
    return tuple(str(function.get("name")) for function in functions)


def effort_in(body: Mapping[str, Any]) -> str:
    """The requested effort, in OpenRouter's form or in OpenAI's."""
    reasoning = body.get("reasoning")
    effort = (
        reasoning.get("effort") if isinstance(reasoning, dict) else body.get("reasoning_effort")
    )
    return str(effort or "")


def asks_for_title(messages: Sequence[Message]) -> bool:
    """Whether this request asks for a title instead of an answer."""
    system = " ".join(text_of(message) for message in messages if message.get("role") == "system")
    last = text_of(messages[-1]) if messages else ""
    return any(re.search(r"\btitle\b", text, re.IGNORECASE) for text in (system, last))


def title_for(messages: Sequence[Message]) -> str:
    """A title of two to eight words, taken from the first exchange."""
    users = [text_of(message) for message in messages if message.get("role") == "user"]
    plain = [text for text in users if not re.search(r"\btitle\b", text, re.IGNORECASE)]
    source = (
        plain[0] if plain else "\n".join(line for line in " ".join(users).splitlines() or users)
    )
    source = re.sub(r"(?i)[^.:\n]*\btitle\b[^.:\n]*[.:]?", " ", source)
    source = re.sub(r"(?im)^\s*(?:user|assistant):", " ", source).strip()
    found = re.findall(r"[\w'’-]+", re.split(r"[.!?\n]", source)[0])[:7]
    while found and _SMALL_WORDS.fullmatch(found[-1].lower()):
        found.pop()
    title = " ".join(found) if len(found) >= 2 else " ".join(["About", *(found or ["a demo chat"])])
    return title[0].upper() + title[1:]


_SMALL_WORDS = re.compile(
    r"an?|and|are|as|at|be|by|can|could|do|does|for|from|have|i|in|is|my|of|on|or|please|that|the|this|to|was|what|when"
    r"|where|which|who|why|will|with|would|you|your"
)
"""Words that a title does not end with."""


_QUOTE_FROM = "message to answer:\n"
"""An app that puts a conversation before the question may mark it so; the question follows."""


def _opening(question: Question, who: str) -> str:
    """The first sentences: what this model is, and proof that it has read the conversation."""
    quoted = " ".join(question.last_text.rpartition(_QUOTE_FROM)[2].split())
    quoted = quoted if len(quoted) <= 80 else quoted[:79].rstrip() + "…"
    asked = f"You asked: “{quoted}”" if quoted else "You sent no words."
    lines = [f"I am {who}, a scripted demo model and not a real AI. {asked}"]
    if question.message_count > 1:
        lines.append(f"That is message {question.message_count} of this chat.")
    earlier = question.texts("user")
    name = _name_in(earlier)
    if name:
        greeting = f"Pleased to meet you, {name}."
        lines.append(
            greeting if _name_in(earlier[-1:]) else f"You told me earlier that your name is {name}."
        )
    if len(earlier) > 1:
        first = " ".join(earlier[0].split())
        lines.append(f"It began with “{first[:60]}{'…' if len(first) > 60 else ''}”.")
    return " ".join(lines)


def _name_in(texts: Sequence[str]) -> str | None:
    for text in reversed(texts):
        told = re.search(r"(?i:my name is|call me|i am called)\s+([A-ZÀ-Þ][\w'’-]{0,30})", text)
        if told:
            return told.group(1)
    return None


def quick(question: Question) -> ModelScript:
    rest = (
        "I answer at once and in few words. Set OPENROUTER_API_KEY (or VENICE_API_KEY, OPENAI_API_KEY) and restart to "
        "talk to a real model."
    )
    return script_from_text(f"{_opening(question, 'Quick')}\n\n{rest}", question.rate)


def storyteller(question: Question) -> ModelScript:
    return script_from_text(f"{_opening(question, 'Storyteller')}\n\n{STORY}", question.rate)


def markdown(question: Question) -> ModelScript:
    return script_from_text(f"{_opening(question, 'Markdown')}\n\n{RICH}", question.rate)


_THOUGHTS = "First I read it again. Then I weigh every word of it. Now I know. "
_EFFORTS = {"low": 5, "medium": 15, "high": 45}
"""How many words the slow model thinks, by effort."""


def slow(question: Question) -> ModelScript:
    count = _EFFORTS.get(question.effort, 15)
    thoughts = [Reasoning(f"{word} ") for word in (_THOUGHTS * 3).split()[:count]]
    told = f" I was told to reason with {question.effort} effort." if question.effort else ""
    answer = (
        f"{_opening(question, 'Slow')}{told} I thought before I spoke, and I speak slowly, "
        "so that there is time to stop me."
    )
    rate = question.rate / 6
    return ModelScript([*thoughts, *words(answer)], rate=rate)


_PAGES = (
    ("https://en.wikipedia.org/wiki/Bobbin", "Bobbin"),
    ("https://en.wikipedia.org/wiki/Spinning_wheel", "Spinning wheel"),
)


def searcher(question: Question) -> ModelScript:
    """Names pages, in OpenRouter's format, if it may search; it has not looked at any of them."""
    opening = _opening(question, "Searcher")
    if not question.may_search:
        return script_from_text(f"{opening} I was not asked to search the web.", question.rate)
    told = f"{opening} I pretend to have searched the web, and found what stands below."
    return ModelScript([*words(told), *(Citation(*page) for page in _PAGES)], rate=question.rate)


SLOW_SECONDS = 20.0
"""How long a slow note takes: long enough to end the process meanwhile."""


def toolsmith(question: Question) -> ModelScript:
    """Reads the notes of the sandbox's notice board, or adds one if the question asks for it."""
    opening = _opening(question, "Toolsmith")
    if not question.tools:
        return script_from_text(f"{opening} I was offered no tools.", question.rate)
    if question.returned:
        told = "\n\n".join(f"```\n{text}\n```" for text in question.returned)
        return script_from_text(f"This is what the tool returned:\n\n{told}", question.rate)
    call = _board_call(question)
    if call is None:
        offered = ", ".join(f"`{name}`" for name in question.tools)
        return script_from_text(f"{opening} I was offered these tools: {offered}.", question.rate)
    said = words(f"{opening} I use a tool.")
    return ModelScript([*said, call], rate=question.rate, finish_reason="tool_calls")


def _board_call(question: Question) -> ToolCall | None:
    """The call of the notice board's tool that the question asks for."""
    adds = re.search(r"(?i)\b(?:add|pin|post|write)\b", question.last_text)
    wanted = "add_note" if adds else "read_notes"
    name = next((name for name in question.tools if name.endswith(wanted)), None)
    if name is None:
        return None
    if not adds:
        return ToolCall(name, {})
    slow = re.search(r"(?i)\bslow", question.last_text)
    text = " ".join(question.last_text.rpartition(_QUOTE_FROM)[2].split())
    note = re.sub(r"(?i)^.*?\bnote\b\W*", "", text) or text
    return ToolCall(name, {"text": note, **({"seconds": SLOW_SECONDS} if slow else {})})


OUTAGE_SECONDS = 8.0
"""How long `demo/fails` goes on refusing, so that automatic retries do not hide the failure."""

_REFUSALS: Sequence[tuple[str, Fault]] = (
    (
        r"too long|413",
        Fault("http", status=400, message="This model's maximum context length is 32768 tokens."),
    ),
    (
        r"html",
        Fault(
            "body",
            status=200,
            body=b"<html><body>Not a model</body></html>",
            headers={"Content-Type": "text/html"},
        ),
    ),
    (
        r"empty",
        Fault(
            "body",
            status=200,
            body=b"data: [DONE]\n\n",
            headers={"Content-Type": "text/event-stream"},
        ),
    ),
    (r"hang|time-?out|silent", Fault("hang", after=3)),
)


def fails(question: Question) -> ModelScript:
    """Breaks off in the middle of the answer the first time, or fails as the question says; works later."""
    healthy = script_from_text(
        f"{_opening(question, 'Fails')} This time I did not fail: the retry worked.", question.rate
    )
    broken = script_from_text(
        f"{_opening(question, 'Fails')} And now, as I always do the first time,", question.rate
    )
    wanted = _refusal(question.last_text.lower())
    if wanted is not None:
        ill = question.seen_before == 0 or question.since_first < OUTAGE_SECONDS
        return replace(broken, fault=wanted) if ill else healthy
    return (
        replace(broken, fault=Fault("break", after=len(broken.pieces)))
        if question.seen_before == 0
        else healthy
    )


def _refusal(text: str) -> Fault | None:
    status = re.search(r"\bfail(?:s|ing)?(?: with)?\s+([45]\d\d)\b", text)
    if status:
        code = int(status.group(1))
        headers = {"Retry-After": "2"} if code == 429 else {}
        # How servers say it: a bare 404 would mean that the address is wrong.
        gone = "The model does not exist. " if code == 404 else ""
        message = f"{gone}You asked me to fail with {code}."
        return Fault("http", status=code, headers=headers, message=message)
    return next((fault for pattern, fault in _REFUSALS if re.search(pattern, text)), None)


def eye(question: Question) -> ModelScript:
    last = next((m for m in reversed(question.messages) if m.get("role") == "user"), {})
    content = last.get("content")
    urls = [
        str(part.get("image_url", {}).get("url", ""))
        for part in (content if isinstance(content, list) else [])
        if isinstance(part, dict) and part.get("type") == "image_url"
    ]
    seen = [f"{number}. {describe(url)}" for number, url in enumerate(urls, 1)]
    told = (
        "\n".join(["I received these images:", "", *seen])
        if seen
        else "I can see, but you sent no image."
    )
    return script_from_text(f"{_opening(question, 'Eye')}\n\n{told}", question.rate)


def painter(question: Question) -> ModelScript:
    script = script_from_text(f"{_opening(question, 'Painter')} Here is a picture.", question.rate)
    return replace(script, pieces=[*script.pieces, Picture(painted(question.last_text))])


DEMO_MODELS: tuple[DemoModel, ...] = (
    DemoModel("demo/quick", "Demo: Quick", quick),
    DemoModel("demo/storyteller", "Demo: Storyteller (long)", storyteller),
    DemoModel("demo/markdown", "Demo: Markdown (rich)", markdown),
    DemoModel("demo/slow", "Demo: Slow (thinks first)", slow, takes_effort=True),
    DemoModel("demo/fails", "Demo: Fails (then works on Retry)", fails),
    DemoModel("demo/searcher", "Demo: Searcher (searches the web)", searcher),
    DemoModel("demo/toolsmith", "Demo: Toolsmith (calls tools)", toolsmith),
    DemoModel("demo/eye", "Demo: Eye (sees images)", eye, vision=True),
    DemoModel("demo/painter", "Demo: Painter (draws)", painter, vision=True, draws=True),
)
