"""What was read of a machine, for findings to be made of."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from resolverd.config.endpoints import Listen
from resolverd.config.settings import Settings
from resolverd.ops.doctor import main_cf, resolv_conf, restrictions
from resolverd.ops.doctor.main_cf import Postfix
from resolverd.ops.doctor.resolv_conf import ResolvConf
from resolverd.ops.doctor.restrictions import Restriction, Smtpd

ANY_HOST: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}
"""Where one who listens everywhere is found from here."""
_LOCALHOST: Final = ("127.0.0.1", "::1")
_PORT = re.compile(r"[0-9]{1,5}")


@dataclass(frozen=True)
class Machine:
    """Texts of files, None where there is none; the configuration; and the daemon, None where none answers.

    `chroot_resolv` is that of Postfix's queue directory. `maps`: sources of the access maps that main.cf names, by path.
    `file_faults`: what is wrong with files that the configuration names. `lists`: GET /v1/lists. `not_ready`: why names
    cannot be resolved; `remarks`: what is wrong all the same (GET /readyz). `store_fault`, `shared_fault`: what is wrong with
    its own store, and with the server that it shares (GET /v1/status).
    """

    settings: Settings
    main: str | None = None
    master: str | None = None
    resolv: str | None = None
    chroot_resolv: str | None = None
    maps: Mapping[Path, str] = field(default_factory=dict)
    file_faults: tuple[str, ...] = ()
    daemon: bool = False
    lists: tuple[Mapping[str, Any], ...] = ()
    not_ready: str = ""
    remarks: tuple[str, ...] = ()
    store_fault: str = ""
    shared_fault: str = ""

    @cached_property
    def postfix(self) -> Postfix | None:
        """Its parameters and services."""
        return None if self.main is None else main_cf.read(self.main, self.master or "")

    @cached_property
    def smtpds(self) -> tuple[Smtpd, ...]:
        """The services that strangers reach."""
        return () if self.postfix is None else restrictions.read(self.postfix)

    @cached_property
    def resolver(self) -> ResolvConf | None:
        """The name servers of the machine."""
        return None if self.resolv is None else resolv_conf.read(self.resolv)

    @cached_property
    def chroot_resolver(self) -> ResolvConf | None:
        """The name servers of chrooted services."""
        return None if self.chroot_resolv is None else resolv_conf.read(self.chroot_resolv)

    @property
    def own_addresses(self) -> frozenset[str]:
        """Where the daemon answers on port 53."""
        on_port = (where.host for where in self.settings.dns.listen if where.port == 53)
        return frozenset(ANY_HOST.get(host, host) for host in on_port)

    @property
    def asks_us_alone(self) -> bool:
        """Whether every name server that Postfix asks is the daemon, so that lists are asked through its engine."""
        asked = [each for each in (self.resolver, self.chroot_resolver) if each is not None]
        return bool(asked) and all(set(each.servers) <= self.own_addresses for each in asked)

    def is_own(self, policy: Restriction) -> bool:
        """Whether a policy line asks this daemon."""
        return any(where in self._policy_endpoints for where in _endpoints(policy.argument))

    @cached_property
    def _policy_endpoints(self) -> frozenset[str]:
        return frozenset(text for where in self.settings.policy.listen for text in self._as_postfix_has_it(where))

    def _as_postfix_has_it(self, where: Listen) -> tuple[str, ...]:
        if where.path is None:
            return (f"inet:{Listen(ANY_HOST.get(where.host, where.host), where.port)}",)
        queue = Path(self.postfix.queue_directory if self.postfix is not None else "/var/spool/postfix")
        inside = (f"unix:{where.path.relative_to(queue)}",) if where.path.is_relative_to(queue) else ()
        return (f"unix:{where.path}", *inside)

    def own_policies(self, smtpd: Smtpd) -> list[Restriction]:
        """The lines of a service that ask this daemon for recipients."""
        return [each for each in smtpd.policies() if self.is_own(each) and each.stage not in ("data", "end_of_data")]


def _endpoints(argument: str) -> tuple[str, ...]:
    """A policy service's endpoint in each way that it may be meant."""
    kind, _, where = argument.partition(":")
    if kind != "inet":
        return (argument,)
    host, _, port = where.rpartition(":")
    if host in ("localhost", ""):
        return tuple(f"inet:{Listen(each, int(port))}" for each in _LOCALHOST) if _PORT.fullmatch(port) else (argument,)
    return (argument,)


def map_path(argument: str) -> Path:
    """The file of a map as main.cf names it: ``hash:FILE``, ``proxy:hash:FILE``."""
    return Path(argument.removeprefix("proxy:").partition(":")[2])
