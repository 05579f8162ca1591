"""The lists that a configuration enables, from the shipped catalogue."""

from functools import cache
from importlib.resources import files

from resolverd.config.secrets import read_key
from resolverd.config.settings import Settings
from resolverd.mail.catalogue import Catalogue, load
from resolverd.mail.listconfig import configure
from resolverd.mail.listspec import ListSpec


@cache
def catalogue() -> Catalogue:
    """The catalogue as shipped; nothing in it changes."""
    return load(files("resolverd.data").joinpath("catalogue.toml").read_text("utf-8"))


def enabled_lists(settings: Settings, known: Catalogue | None = None) -> tuple[ListSpec, ...]:
    """The lists to be asked. Raises ConfigError with every fault of the ``[lists.NAME]`` tables."""
    return configure(known or catalogue(), settings.checks.preset, settings.list_tables(), read_key, use=settings.dnsbl.use)
