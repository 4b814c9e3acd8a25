"""Files sent through the API: documents, images and texts, recognised by their content."""

from __future__ import annotations

import base64

import pytest

from bot import english_strings, sentences
from tests.api.conftest import Api
from tests.api.test_compat import EYE, picture
from tests.documents import samples
from tests.documents.test_formats import CONTENT
from tests.handlers.shared_files import TEXT_MODEL, sent_text
from tests.handlers.world import World


def sent(name: str, data: bytes) -> dict[str, str]:
    return {"name": name, "content": base64.b64encode(data).decode()}


@pytest.mark.parametrize(
    "kinds", [["pdf", "docx", "xlsx", "pptx", "odt"], ["ods", "rtf", "epub", "html", "eml"]]
)
async def test_documents_become_part_of_the_message(
    world: World, api: Api, kinds: list[str]
) -> None:
    chat = await api.conversation(model=TEXT_MODEL)
    files = [sent(f"prices.{kind}", CONTENT[kind][0]()) for kind in kinds]
    body = {"content": "What do they cost?", "files": files}

    said = await api.ask("POST", f"/chat/conversations/{chat}/messages", 201, json=body)
    for kind in kinds:
        assert f"Attached: prices.{kind}\n```markdown\n" in sent_text(world)
        assert all(piece in sent_text(world) for piece in CONTENT[kind][1])
    assert said["userMessage"]["content"].startswith("What do they cost?\n\nAttached: prices.")


async def test_images_and_texts_among_the_files_are_what_they_are(world: World, api: Api) -> None:
    chat = await api.conversation(model=EYE)
    files = [sent("cat.bin", picture("PNG", (30, 20))), sent("notes.py", b"print(1)")]
    body = {"content": "look", "files": files}

    said = await api.ask("POST", f"/chat/conversations/{chat}/messages", 201, json=body)
    assert "a PNG picture, 30 × 20 pixels" in said["assistantMessage"]["content"]
    assert "Attached: notes.py\n```py\nprint(1)\n```" in said["userMessage"]["content"]


@pytest.mark.parametrize(
    ("file", "reason"),
    [
        (sent("scan.pdf", samples.pdf("")), sentences.file_problem("scan", "scan.pdf")),
        (sent("a.pdf", samples.locked_pdf()), sentences.file_problem("locked", "a.pdf")),
        (sent("a.mp4", b"\0\0\0\x18ftypmp42" + bytes(50)), sentences.file_problem("kind", "a.mp4")),
        ({"name": "a.pdf", "content": "!!"}, english_strings.FILE_NOT_BASE64.format(name="a.pdf")),
    ],
)
async def test_a_file_that_cannot_be_read_is_refused_and_stores_nothing(
    api: Api, file: dict[str, str], reason: str
) -> None:
    chat = await api.conversation(model=TEXT_MODEL)
    body = {"content": "read", "files": [file]}

    refused = await api.ask("POST", f"/chat/conversations/{chat}/messages", 422, json=body)
    assert refused["message"] == reason
    assert (await api.history(chat))["messages"] == []
