"""What a configuration is warned of: the daemon starts with it, and it does less, or other things, than was meant."""

from typing import NamedTuple


class ConfigWarning(NamedTuple):
    """A fixed `code`, the key `path`, what is wrong, and the lines of config.toml to write instead.

    `grave`: good mail is lost by it, or strangers use the server.
    """

    code: str
    path: str
    text: str
    fix: tuple[str, ...]
    grave: bool = False

    def __str__(self) -> str:
        return f"{self.path}: {self.text}"
