"""The ``resolverd`` command.

- `root`: the command with its subcommands, each in a module of its own that is imported when it is called
- `daemon`: talking to the running daemon · `in_process`: the same in this process, where none runs
- `store_access`: the store, with or without a daemon · `allow_files`: adding to those in the state directory
- `machine`: reading what the doctor judges
- `output`: tables on a terminal, plain lines elsewhere · `options`: what commands have in common · `words`: what may be given
- `manual`: the man pages and the shells' completions · `config_manual`: resolverd-config(5) · `roff`: text for them
- `list_table`: the tables of lists in docs/lists.md
"""


def main() -> None:
    """Run the command line and end with its status: 0, 1, 2 usage, 10 and 20 verdicts, 78 configuration."""
    from resolverd.cli.root import resolverd

    resolverd(prog_name="resolverd")
