"""The ``resolverd`` command.

- `root`: the command with its subcommands, each in a module of its own that is imported when it is called
- `daemon`: talking to the running daemon · `local`: the same in this process, where none runs
- `overriding`: what allow and deny have in common · `keeping`: the store, with or without a daemon
- `output`: tables on a terminal, plain lines elsewhere · `options`: what commands have in common
"""


def main() -> None:
    """Run the command line and end with its status: 0, 1, 2 usage, 10 and 20 verdicts, 78 configuration."""
    from resolverd.cli.root import resolverd

    resolverd(prog_name="resolverd")
