"""``python -m dxstream``: exit code 0 done, 1 failed, 2 wrong usage."""

from dxstream.cli import cli
from dxstream.cli_backlog import backlog
from dxstream.cli_explain import explain_event
from dxstream.cli_house import add_house_commands
from dxstream.cli_ledger import add_ledger_commands
from dxstream.cli_models import models
from dxstream.cli_refused import refused


def main() -> None:
    """The whole command line."""
    add_ledger_commands(cli)
    add_house_commands(cli)
    cli.add_command(models)
    cli.add_command(refused)
    cli.add_command(backlog)
    cli.add_command(explain_event)
    cli(prog_name="dxstream")


if __name__ == "__main__":
    main()
