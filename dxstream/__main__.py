"""``python -m dxstream``: exit code 0 done, 1 failed, 2 wrong usage."""

from dxstream.cli import cli
from dxstream.cli_ledger import add_ledger_commands
from dxstream.cli_models import models


def main() -> None:
    """The whole command line."""
    add_ledger_commands(cli)
    cli.add_command(models)
    cli(prog_name="dxstream")


if __name__ == "__main__":
    main()
