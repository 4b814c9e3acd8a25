"""The hosted providers that need only a key, and how their servers differ from OpenAI's. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

from bot.domain.model_options import ModelOptions
from bot.providers.base import ProviderKind, ProviderSettings

_APP_HEADERS = {"HTTP-Referer": "https://github.com/bobbin-chat/bobbin", "X-Title": "Bobbin"}
"""How OpenRouter asks applications to identify themselves."""
_ANTHROPIC_VERSION = {"anthropic-version": "2023-06-01"}
_OPENAI_HOST = "api.openai.com"
_AZURE_HOSTS = (".openai.azure.com", ".cognitiveservices.azure.com", ".services.ai.azure.com")
_PAGE_SIZE = 1_000
"""Models in one page of a paginated list: the most that Anthropic allows."""

_OPENROUTER_TOOL = {"type": "openrouter:web_search"}
_VENICE_PARAMETERS = {
    "enable_web_search": "on",
    "enable_web_citations": True,
    "include_search_results_in_stream": True,
}


@dataclass(frozen=True, slots=True)
class Hosted:
    """A provider whose address is built in."""

    kind: ProviderKind
    """Also its name: the first half of a `ModelRef`, and in capitals the beginning of its settings' names."""
    label: str
    base_url: str

    def address(self, given: str | None) -> str:
        """Its address. An address without a path, as other programs use it, gets the usual one."""
        if given is None:
            return self.base_url
        base, mark, query = given.partition("?")
        path = urlsplit(base).path.strip("/") or urlsplit(self.base_url).path.strip("/")
        parts = urlsplit(base)
        return f"{parts.scheme}://{parts.netloc}/{path}".rstrip("/") + mark + query


HOSTED = (
    Hosted("anthropic", "Anthropic", "https://api.anthropic.com/v1"),
    Hosted("gemini", "Gemini", "https://generativelanguage.googleapis.com/v1beta/openai"),
    Hosted("groq", "Groq", "https://api.groq.com/openai/v1"),
    Hosted("mistral", "Mistral", "https://api.mistral.ai/v1"),
    Hosted("deepseek", "DeepSeek", "https://api.deepseek.com"),
    Hosted("xai", "xAI", "https://api.x.ai/v1"),
    Hosted("together", "Together", "https://api.together.xyz/v1"),
)
"""In the order of the model menu."""
_KINDS_BY_HOST = {urlsplit(each.base_url).hostname: each.kind for each in HOSTED}


def kind_of(base_url: str) -> ProviderKind:
    """Whose server this is, by its host."""
    return _KINDS_BY_HOST.get(urlsplit(base_url).hostname, "openai")


def reports_cost(kind: ProviderKind) -> bool:
    """Whether its servers report the cost of each call in US dollars."""
    return kind == "openrouter"


def request_headers(settings: ProviderSettings, *, listing: bool) -> dict[str, str]:
    """The headers that identify the caller. `listing`: for the list of models, which Anthropic has in its own
    format.
    """
    headers = dict(_APP_HEADERS) if settings.kind == "openrouter" else {}
    key = settings.api_key
    if not key:
        return headers
    host = urlsplit(settings.base_url).hostname or ""
    if listing and settings.kind == "anthropic":
        headers |= {"x-api-key": key, **_ANTHROPIC_VERSION}
        if host.endswith(
            "anthropic.com"
        ):  # which takes a bearer token for another kind of credential
            return headers
    if host.endswith(_AZURE_HOSTS):
        headers["api-key"] = key
    return headers | {"Authorization": f"Bearer {key}"}


def first_page(settings: ProviderSettings, url: str) -> str:
    """The address of a list, or of its first page."""
    return _with_query(url, f"limit={_PAGE_SIZE}") if settings.kind == "anthropic" else url


def next_page(settings: ProviderSettings, url: str, page: Any) -> str | None:
    """The address of the page after this one; None after the last."""
    last = page.get("last_id") if isinstance(page, Mapping) and page.get("has_more") else None
    if not isinstance(last, str) or not last:
        return None
    name = "after_id" if settings.kind == "anthropic" else "after"
    return _with_query(first_page(settings, url), f"{name}={quote(last, safe='')}")


def _with_query(url: str, query: str) -> str:
    return url + ("&" if "?" in url else "?") + query


def takes_pdfs(settings: ProviderSettings, *, sees: bool) -> bool:
    """Whether a provider reads scanned PDFs itself: OpenAI for models that see images, the others for all models.

    Venice accepts PDFs too, but reads only their text. Other providers of OpenAI's format reject them.
    """
    is_openai = urlsplit(settings.base_url).hostname == _OPENAI_HOST
    return settings.kind in ("openrouter", "mistral") or (is_openai and sees)


def pdf_part(name: str, url: str, kind: ProviderKind) -> dict[str, Any]:
    """A PDF as a part of a message. `url`: its `data:` address."""
    if kind == "mistral":
        return {"type": "document_url", "document_url": url}
    return {"type": "file", "file": {"filename": name, "file_data": url}}


def can_search(kind: ProviderKind) -> bool:
    """Whether a provider of this kind can search the web itself."""
    return kind in ("openrouter", "venice")


def option_fields(
    body: Mapping[str, Any], options: ModelOptions, kind: ProviderKind
) -> dict[str, Any]:
    """The fields of a request that express the chosen options; they replace those of the `body`."""
    fields: dict[str, Any] = {}
    if options.web_search and kind == "openrouter":
        fields["tools"] = [*body.get("tools", ()), _OPENROUTER_TOOL]
    if options.web_search and kind == "venice":
        fields["venice_parameters"] = _VENICE_PARAMETERS
    if options.effort is not None and kind == "openrouter":
        fields["reasoning"] = {"effort": options.effort.value}
    elif options.effort is not None:
        fields["reasoning_effort"] = options.effort.value
    return fields
