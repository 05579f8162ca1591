"""What a configuration says to mail, put together without a daemon (`ops.replay`)."""

import socket
from collections.abc import Iterable

import click

from resolverd.app import named_files
from resolverd.app.policy import greylist_rules, verdict_rules
from resolverd.config import Settings, enabled_lists
from resolverd.config.lists import catalogue
from resolverd.config.settings import ListTable
from resolverd.dnsbl.spec import ListSpec
from resolverd.failures import ConfigError, ConfigFault
from resolverd.ops.replay.compare import Variant
from resolverd.ops.replay.judge import Configuration
from resolverd.overrides.matching import OverrideIndex
from resolverd.policy import checks
from resolverd.spelling import did_you_mean
from resolverd.values import replace


class Configurations:
    """One configuration, and the same with other lists. `faults`: of files that it names."""

    def __init__(self, settings: Settings, overrides: OverrideIndex) -> None:
        """Raises ConfigError."""
        self._settings = settings
        self._overrides = overrides
        self._external = named_files.read(settings)
        self.faults: tuple[ConfigFault, ...] = self._external.faults
        self.lists = enabled_lists(settings) if settings.dnsbl.enabled else ()

    def with_lists(self, lists: Iterable[ListSpec]) -> Configuration:
        """The configuration, asking these lists."""
        settings, asked = self._settings, tuple(lists)
        made = checks.build(
            settings.checks.rules(),
            asked,
            options=settings.checks.options(),
            maps=self._external.maps.found,
            overrides=self._overrides,
            local=self._external.local.domains,
            hostname=socket.gethostname(),
        )
        return Configuration(made, {spec.shown: spec for spec in asked}, verdict_rules(settings), greylist_rules(settings))

    def without(self, name: str) -> tuple[ListSpec, ...]:
        """The lists without one. Raises UsageError."""
        asked = [spec.id for spec in self.lists]
        if name not in asked:
            raise click.UsageError(f"--drop {name}: not one of the lists that are asked{did_you_mean(name, asked)}")
        return tuple(spec for spec in self.lists if spec.id != name)

    def added(self, name: str) -> tuple[ListSpec, ...]:
        """The lists with one more, as it would be if it were enabled. Raises UsageError."""
        if any(spec.id == name for spec in self.lists):
            raise click.UsageError(f"--add {name}: it is asked already")
        settings, known = self._settings, {*catalogue().entries, *self._settings.lists}
        if name not in known:
            raise click.UsageError(f"--add {name}: no list of this name is known{did_you_mean(name, sorted(known))}")
        table = replace(settings.lists.get(name, ListTable()), enabled=True)
        try:
            found = enabled_lists(replace(settings, lists={**settings.lists, name: table}))
        except ConfigError as error:
            raise click.UsageError(f"--add {name}: {'; '.join(map(str, error.faults))}") from None
        if not any(spec.id == name for spec in found):
            raise click.UsageError(f"--add {name}: this configuration does not ask it (dnsbl.use, or its key)")
        return found

    def variants(self, added: Iterable[str], dropped: Iterable[str]) -> tuple[list[Variant], Configuration]:
        """Each list more or less by itself, and the configuration with all of that. Raises UsageError."""
        more, less = {name: self.added(name) for name in added}, {name: self.without(name) for name in dropped}
        variants = [
            Variant(what, name, self.with_lists(lists))
            for what, found in (("add", more), ("drop", less))
            for name, lists in found.items()
        ]
        if len(variants) == 1:
            return variants, variants[0].configuration
        everything = {spec.id: spec for lists in (self.lists, *more.values()) for spec in lists}
        return variants, self.with_lists(spec for name, spec in everything.items() if name not in less)
