"""Settings about tools that models may call."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, PrivateAttr

from bot.config.group import SettingsGroup
from bot.config.values import Valid
from bot.errors import SettingsError
from bot.tools.config import ToolConfig, parse_tool_config


class ToolSettings(SettingsGroup):
    """The tool servers, and the limits on calls."""

    bobbin_mcp_config: str | None = Field(
        None,
        description="a JSON file that names tool servers for models, in the usual form "
        '`{"mcpServers": {"name": {"url": …, "headers": …} or {"command": …, "args": …, "env": …}}}`; `${VAR}` in it '
        "stands for a variable. See [docs/tools.md](docs/tools.md); unset: no tools",
    )
    bobbin_tool_steps: Annotated[int, Valid("a whole number from 1 to 100")] = Field(
        10, ge=1, le=100, description="tool calls in one answer, at most"
    )
    bobbin_tool_timeout: Annotated[float, Valid("a number of seconds from 1 to 3600")] = Field(
        60, ge=1, le=3600, description="seconds that one tool call may take"
    )

    _tools: ToolConfig = PrivateAttr(ToolConfig())

    @property
    def tools(self) -> ToolConfig:
        """The servers that BOBBIN_MCP_CONFIG names."""
        return self._tools

    def with_tools(self, tools: ToolConfig) -> Self:
        """A copy with these servers."""
        copy = self.model_copy()
        copy._tools = tools
        return copy


def read_tool_config(path: str | None, variables: Mapping[str, str]) -> ToolConfig:
    """The servers in a file; none without a file. Raises SettingsError with one line."""
    if path is None:
        return ToolConfig()
    try:
        text = Path(path).expanduser().read_text("utf-8")
    except (OSError, UnicodeDecodeError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8, or the home of an unknown user"
        raise SettingsError(
            f"BOBBIN_MCP_CONFIG must be a JSON file that can be read ({reason}); change it, or remove it"
        ) from None
    return parse_tool_config(text, variables)
