"""The variables that are set, whether or not they are settings."""

from __future__ import annotations

import os
from pathlib import Path

from dotenv import dotenv_values


def all_variables(env_file: str | Path | None) -> dict[str, str]:
    """The variables of `env_file` and of the environment, which takes precedence; by name in capitals."""
    return file_variables(env_file) | {name.upper(): value for name, value in os.environ.items()}


def file_variables(env_file: str | Path | None) -> dict[str, str]:
    """Those in `env_file`; by name in capitals."""
    if env_file is None or not Path(env_file).is_file():
        return {}
    values = dotenv_values(env_file)
    return {name.upper(): value for name, value in values.items() if value is not None}
