"""The dialog: what it carries, quotes and asks for is what its submission is parsed from."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from handlers.views import modals, payloads
from handlers.views.modals import DialogTarget

_file = st.tuples(st.from_regex(r"F[A-Z0-9]{8,12}", fullmatch=True), st.text(max_size=60))


@given(
    st.text(max_size=300),
    st.text(max_size=30),
    st.text(max_size=1500),
    st.lists(_file, max_size=10),
)
def test_a_dialog_target_survives_a_round_trip(
    channel: str, thread: str, url: str, files: list[tuple[str, str]]
) -> None:
    wanted = DialogTarget(channel, thread, url, tuple(files))

    dumped = wanted.dump()

    assert len(dumped) <= 3000 or len(json.dumps([channel, thread])) > 2500
    found = DialogTarget.load(dumped)
    assert [id for id, _ in found.files] == [id for id, _ in files]
    assert found.files == wanted.files or {name for _, name in found.files} == {""}
    assert (found.channel, found.thread) == (channel, thread)
    assert found.response_url in (url, "")


@given(st.text(max_size=6000))
def test_a_quoted_message_comes_back_with_the_submission(text: str) -> None:
    view = modals.dialog(DialogTarget(), about=text or " ")

    quoted = modals.quoted_message(view["blocks"])

    assert len(quoted) <= modals.MAX_QUOTE_LENGTH
    assert text.strip().startswith(quoted.removesuffix("…"))
    (element,) = (b["element"] for b in view["blocks"] if b.get("block_id") == modals.TEXT_BLOCK)
    assert "initial_value" not in element
    assert element["focus_on_load"]


@given(st.text(max_size=500))
def test_every_line_is_quoted_above_the_question(text: str) -> None:
    *quoted, empty, question = modals.with_quote("Why?", f"x{text}").split("\n")

    assert (empty, question) == ("", "Why?")
    assert all(line.startswith(">") for line in quoted)


_NAMES = (
    modals.MODEL_BLOCK,
    modals.DIALOG_MODEL_ACTION,
    modals.TEXT_BLOCK,
    modals.DIALOG_TEXT_ACTION,
)
_chosen = st.none() | st.fixed_dictionaries({"value": st.text(max_size=80)})
_entry = st.none() | st.fixed_dictionaries(
    {}, optional={"value": st.none() | st.text(), "selected_option": _chosen}
)


@given(
    st.dictionaries(
        st.sampled_from(_NAMES), st.none() | st.dictionaries(st.sampled_from(_NAMES), _entry)
    )
)
def test_any_submission_is_parsed(values: dict[str, Any]) -> None:
    view = {**modals.dialog(DialogTarget("C1", "1.2")), "id": "V1", "state": {"values": values}}

    read = payloads.dialog_submission({"view": view, "user": {"id": "U1"}})

    assert (read.dialog, read.user, read.target, read.has_menu) == (
        "V1",
        "U1",
        DialogTarget("C1", "1.2"),
        True,
    )
    assert read.text == read.text.strip()


def test_the_dialog_has_the_elements_that_a_submission_is_parsed_from() -> None:
    """The dialog uses the names by which a submission is parsed."""
    view = modals.dialog(DialogTarget("C1"))
    ids = {
        block["block_id"]: block["element"]["action_id"]
        for block in view["blocks"]
        if block["type"] == "input"
    }

    assert ids == {
        modals.MODEL_BLOCK: modals.DIALOG_MODEL_ACTION,
        modals.TEXT_BLOCK: modals.DIALOG_TEXT_ACTION,
    }
