"""Our own modules as processes of their own."""

import sys


def module_command(name: str, *arguments: str) -> list[str]:
    """The command that runs a module. Without the working folder on its path (``-P``): what lies there is not ours to run."""
    return [sys.executable, "-P", "-m", name, *arguments]
