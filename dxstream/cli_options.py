"""What the commands have in common: options, settings, and our errors as one line."""

import functools
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from dxstream.logs import set_up_logging
from stream.errors import DxstreamError
from stream.settings import Settings

F = TypeVar("F", bound=Callable[..., Any])

HOME = click.option("--home", type=click.Path(path_type=Path, file_okay=False), help="Overrides DXSTREAM_HOME.")
JSON = click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")


def main_errors(command: F) -> F:
    """Our own errors are one line on standard error and exit code 1."""

    @functools.wraps(command)
    def wrapped(*arguments: Any, **options: Any) -> Any:
        try:
            return command(*arguments, **options)
        except DxstreamError as error:
            click.echo(f"dxstream: {error}", err=True)
            sys.exit(1)

    return wrapped  # type: ignore[return-value]


def read_settings(home: Path | None) -> Settings:
    """The environment, once, and logging with it."""
    settings = Settings.from_environment(home=home)
    set_up_logging(settings.log_format)
    return settings
