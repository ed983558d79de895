"""What the commands have in common: options, settings, and our errors as one line."""

import functools
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from db.engine import Database
from dxstream.logs import set_up_logging
from stream.errors import DxstreamError, Refused
from stream.settings import Settings

F = TypeVar("F", bound=Callable[..., Any])


class DeviceType(click.ParamType[str]):
    """A device that torch can use here."""

    name = "device"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The device's name, or a usage error."""
        from models.device import check_device  # noqa: PLC0415 - loads torch

        try:
            check_device(value)
        except Refused as error:
            self.fail(str(error), param, ctx)
        return str(value)


class NewFileType(click.ParamType[Path]):
    """A file to be written into a folder that is there, which is known before the work and not only after it."""

    name = "file"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """Its path, or a usage error."""
        path = Path(value)
        if not path.parent.is_dir():
            self.fail(f"there is no folder {path.parent}", param, ctx)
        if path.is_dir():
            self.fail(f"{path} is a folder", param, ctx)
        return path


NEW_FILE = NewFileType()
HOME = click.option("--home", type=click.Path(path_type=Path, file_okay=False), help="Overrides DXSTREAM_HOME.")
JSON = click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
DEVICE = click.option("--device", type=DeviceType(), default="cpu", show_default=True, help="cpu or cuda:N.")
EPOCHS = click.option("--epochs", type=click.IntRange(min=1), help="As many as the recipe says unless told otherwise.")


def main_errors(command: F) -> F:
    """Our own errors, and files that cannot be opened, are one line on standard error and exit code 1."""

    @functools.wraps(command)
    def wrapped(*arguments: Any, **options: Any) -> Any:
        try:
            return command(*arguments, **options)
        except DxstreamError as error:
            place = f"{error.where}: " if isinstance(error, Refused) and error.where else ""
            click.echo(f"dxstream: {place}{error}", err=True)
            sys.exit(1)
        except OSError as error:
            if error.filename is None:  # not a file that somebody named
                raise
            click.echo(f"dxstream: {error.filename}: {error.strerror}", err=True)
            sys.exit(1)

    return wrapped  # type: ignore[return-value]


def ledger_settings(home: Path | None) -> Settings:
    """The settings of a home whose ledger is there; raises DxstreamError where nothing has run yet."""
    settings = read_settings(home)
    if settings.database_url.startswith("sqlite") and not Path(settings.database_url.removeprefix("sqlite:///")).exists():
        raise DxstreamError(f"no ledger in {settings.home}: dxstream up makes one")
    return settings


def open_ledger(home: Path | None) -> Database:
    """The ledger; raises DxstreamError where nothing has run yet."""
    return Database(ledger_settings(home).database_url)


def read_settings(home: Path | None) -> Settings:
    """The environment, once, and logging with it."""
    settings = Settings.from_environment(home=home)
    set_up_logging(settings.log_format)
    return settings
