"""The command line: each command reads the settings once and calls one function."""

import sys
from pathlib import Path

import click
from rich.console import Console

from dxstream.cli_options import HOME, main_errors, read_settings
from dxstream.home import with_redis
from stream.errors import DxstreamError
from stream.queues import ALL_QUEUES


@click.group()
@click.version_option(package_name="dxstream")
def cli() -> None:
    """Event-driven streaming diagnosis worker. For research and engineering; not a certified medical device."""


@cli.command()
@HOME
@main_errors
def up(home: Path | None) -> None:
    """Everything on this machine; drains on SIGTERM and Ctrl-C."""
    from dxstream.show import print_addresses  # noqa: PLC0415 - a command imports what it needs
    from dxstream.up import run_up  # noqa: PLC0415

    run_up(read_settings(home), print_addresses)


@cli.command()
@HOME
@click.option("--events", default=300, show_default=True, help="Cases that the simulated hospital sends.")
@click.option("--seed", type=int, help="The same seed sends the same cases.")
@click.option("--stay", is_flag=True, help="Go on running afterwards, until Ctrl-C.")
@main_errors
def demo(home: Path | None, events: int, seed: int | None, *, stay: bool) -> None:
    """``up`` and a simulated hospital; exit 0 only if everything is accounted for and done."""
    from dxstream.demo import run_demo  # noqa: PLC0415

    agreed = run_demo(read_settings(home), events, seed=seed, stay=stay, console=Console())
    sys.exit(0 if agreed else 1)


@cli.command()
@HOME
@click.argument("feed", type=click.Choice(["dicom", "hl7", "http", "folder", "all"]))
@main_errors
def serve(home: Path | None, feed: str) -> None:
    """One producer alone (or all of them behind one committer, as ``up`` runs them)."""
    from dxstream.processes import die_with_parent  # noqa: PLC0415
    from dxstream.roles import run_intake  # noqa: PLC0415

    feeds = ("dicom", "hl7", "http", "folder") if feed == "all" else (feed,)
    if feed == "all":
        die_with_parent()
    run_intake(with_redis(read_settings(home)), feeds, slot="intake" if feed == "all" else f"serve-{feed}")


@cli.command()
@HOME
@click.option("--device", default="cpu", show_default=True, help="cpu or cuda:N.")
@click.option("--queues", default=",".join(ALL_QUEUES), help="Names by commas; all of them unless told otherwise.")
@click.option("--name", default="", help="The same over restarts; the host and the device unless told otherwise.")
@click.option("--threads", default=0, help="Cores for one forward pass; all unless told otherwise.")
@main_errors
def worker(home: Path | None, device: str, queues: str, name: str, threads: int) -> None:
    """One worker on one device."""
    from dxstream.roles import run_worker_role  # noqa: PLC0415

    chosen = [queue.strip() for queue in queues.split(",")]
    if unknown := set(chosen) - set(ALL_QUEUES):
        raise click.UsageError(f"no such queue: {', '.join(sorted(unknown))}")
    run_worker_role(with_redis(read_settings(home)), device, queues=chosen, name=name, threads=threads)


@cli.command()
@HOME
@main_errors
def keeper(home: Path | None) -> None:
    """The keeper, with ``/metrics`` of the installation."""
    from dxstream.roles import run_keeper  # noqa: PLC0415

    run_keeper(with_redis(read_settings(home)))


@cli.command()
@HOME
@click.argument("role", type=click.Choice(["dicom", "hl7", "http", "folder", "keeper", "worker"]))
@click.option("--name", default="cpu-0", show_default=True, help="Which worker.")
@main_errors
def healthy(home: Path | None, role: str, name: str) -> None:
    """Exit 0 if a role of this installation gets on; for health checks of containers."""
    from dxstream.healthy import complaint  # noqa: PLC0415

    words = complaint(read_settings(home), role, name)
    if words:
        raise DxstreamError(words)
