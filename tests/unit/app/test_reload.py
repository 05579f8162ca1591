"""Reading the configuration again: every key takes effect or is said to need a start; all of it or nothing, one by one."""

import asyncio
import json
import logging
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from enum import Enum
from functools import partial
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from pathlib import Path
from types import FunctionType, MethodType
from typing import Any

import pytest
from msgspec import Struct

from resolverd.app.serve import _Daemon, _log_by
from resolverd.app.service import Service
from resolverd.config import parse
from resolverd.config.settings import ListTable, Settings
from resolverd.dnsbl.spec import ListSpec
from resolverd.failures import ReloadResult
from resolverd.pseudonyms import Pseudonyms
from resolverd.resolver.local.zone import AuthZone

OWN = {
    "lists.own.zone": "list.example", "lists.own.kinds": ["ip4"], "lists.own.number": 200, "lists.own.weight": 0,
    "lists.own.codes": {"127.0.0.2": "one"},
}  # fmt: skip
BASE: dict[str, Any] = {
    "dns.listen": ["127.0.0.1:0"], "policy.listen": ["127.0.0.1:0"], "http.listen": "127.0.0.1:0", "store.url": "memory:",
    "resolver.priming": False, "resolver.forward": [{"zone": ".", "servers": ["127.0.0.1:9"]}], "checks.spf.header": "none",
    **OWN,
}  # fmt: skip
"""Nobody is asked for anything: the forwarder is deaf."""

OTHER: dict[str, Any] = {
    "dns.listen": ["127.0.0.2:0"],
    "dns.allow": ["127.0.0.0/8", "192.0.2.0/24"],
    "dns.minimal_responses": False,
    "dns.client_rate": "50/1s",
    "dns.tls": {"listen": ["127.0.0.2:0"], "certificate": "missing", "key": "missing"},
    "resolver.root_hints": "other.hints",
    "resolver.trust_anchors": "anchors",
    "resolver.dnssec": False,
    "resolver.qname_minimisation": False,
    "resolver.qname_minimisation_type": "NS",
    "resolver.case_randomisation": False,
    "resolver.edns_size": 1400,
    "resolver.harden_glue": False,
    "resolver.query_deadline": "3s",
    "resolver.do_not_query": ["192.0.2.0/24"],
    "resolver.ipv4": False,
    "resolver.ipv6": False,
    "resolver.outgoing_addresses": ["127.0.0.1"],
    "resolver.priming": True,
    "resolver.key_tag_signalling": False,
    "resolver.prefetch_server_addresses": False,
    "resolver.negative_trust_anchors": ["example.org"],
    "resolver.sentinel": False,
    "resolver.aggressive_nsec": False,
    "resolver.rfc5011": False,
    "resolver.allow_sha1": False,
    "resolver.min_rsa_bits": 2048,
    "resolver.builtin_zones": False,
    "resolver.builtin_except": ["test"],
    "resolver.forward": [{"zone": ".", "servers": ["127.0.0.2:9"]}],
    "resolver.stub": [{"zone": "corp.example", "servers": ["127.0.0.2:9"]}],
    "cache.size": "32MiB",
    "cache.min_ttl": "1s",
    "cache.max_ttl": "1h",
    "cache.negative_max_ttl": "60s",
    "cache.serve_stale": "1h",
    "cache.prefetch": False,
    "cache.persist": False,
    "store.url": "disk:other",
    "store.password": {"env": "RESOLVERD_TEST_KEY"},
    "store.prefix": "other",
    "store.ca": "ca.pem",
    "store.directory": "other",
    "zones.dir": "other-zones",
    "dnsbl.enabled": False,
    "dnsbl.strategy": "frugal",
    "dnsbl.deadline": "1s",
    "dnsbl.use": "service",
    "zone.origin": "other.internal",
    "zone.listed_at": 3,
    "zone.guard": False,
    "lists.own.enabled": False,
    "lists.own.weight": 2,
    "lists.own.quota": "100/1d",
    "lists.own.rate": "10/1s",
    "lists.own.key": {"env": "RESOLVERD_TEST_KEY"},
    "lists.own.zone": "other.example",
    "lists.own.kinds": ["ip4", "ip6"],
    "lists.own.purpose": "allow",
    "lists.own.number": 201,
    "lists.own.codes": {"127.0.0.2": "two"},
    "lists.own.errors": {"127.0.0.1": "blocked"},
    "lists.own.link": "https://list.example/",
    "lists.own.registered_domain": True,
    "lists.own.registered": True,
    "checks.preset": "scored",
    "checks.exempt_recipients": ["postmaster@"],
    "checks.spf.helo": False,
    "checks.spf.permerror": "warn",
    "checks.spf.temperror": "warn",
    "checks.spf.never_sends": "warn",
    "checks.spf.header": "received-spf",
    "checks.spf.skip_addresses": ["192.0.2.0/24"],
    "checks.spf.domain_allow": ["example.org"],
    "checks.rhsbl.names": ["helo"],
    "checks.overrides.client_access": ["texthash:access"],
    "checks.overrides.helo_access": ["texthash:access"],
    "verdict.mode": "observe",
    "verdict.reject_at": 9,
    "verdict.greylist_at": 2,
    "verdict.deadline": "3s",
    "greylist.enabled": False,
    "greylist.delay": "60s",
    "greylist.delay_per_point": 0.5,
    "greylist.retry_window": "1d",
    "greylist.max_age": "10d",
    "greylist.auto_allow_after": 7,
    "greylist.ipv4_prefix": 28,
    "greylist.ipv6_prefix": 56,
    "greylist.when": "suspicious",
    "greylist.key": "network",
    "greylist.allow_clients": ["clients"],
    "greylist.allow_recipients": ["recipients"],
    "greylist.shipped_allow_list": False,
    "policy.listen": ["127.0.0.2:0"],
    "policy.trusted_networks": ["192.0.2.0/24"],
    "policy.local_domains": ["example.org"],
    "policy.for": [{"recipients": ["a@example.org"], "mode": "observe"}],
    "http.listen": "127.0.0.2:0",
    "http.hosts": ["resolverd.example.org"],
    "http.token": {"env": "RESOLVERD_TEST_KEY"},
    "http.open": ["verdict"],
    "watch.addresses": ["192.0.2.1"],
    "alerts.mail": ["root"],
    "alerts.webhook": "https://chat.example.com/hook",
    "log.level": "debug",
    "log.format": "json",
    "log.ident": "other",
    "log.ref_in_reply": False,
    "log.privacy": "hash",
    "log.target": "syslog:mail",
    **{f"checks.{name}.action": "warn" for name in
       ("ptr", "fcrdns", "helo", "sender_domain", "spf", "dnsbl", "rhsbl", "dnswl")},
    **{f"checks.{name}.score": 4.5 for name in ("ptr", "fcrdns", "helo", "sender_domain", "spf", "dnsbl", "rhsbl", "dnswl")},
    **{f"checks.{name}.code": 551 for name in ("ptr", "fcrdns", "helo", "sender_domain", "spf", "dnsbl", "rhsbl", "dnswl")},
}  # fmt: skip
"""Every key, with a value that it does not have in `BASE`."""


def keys(section: Struct, above: tuple[str, ...] = ()) -> Iterator[str]:
    """Every key of the settings, by its path in the file."""
    for field, name in zip(section.__struct_fields__, section.__struct_encode_fields__, strict=True):
        value = getattr(section, field)
        if isinstance(value, Struct):
            yield from keys(value, (*above, name))
        elif (*above, name) == ("lists",):
            yield from (f"lists.own.{each}" for each in ListTable.__struct_fields__)
        else:
            yield ".".join((*above, name))


def toml(value: Any) -> str:
    """A value as TOML has it."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{json.dumps(name)} = {toml(each)}" for name, each in value.items()) + "}"
    return "[" + ", ".join(map(toml, value)) + "]" if isinstance(value, list) else json.dumps(value)


def text(values: Mapping[str, Any]) -> str:
    return "".join(f"{key} = {toml(value)}\n" for key, value in values.items())


_PASSED_OVER = frozenset({
    "Counters", "Generation", "Plan", "Catalogue", "Settings", "Driver", "OutsideNetwork", "MemoryStore", "Supervisor",
    "Reloader", "InfraCache", "VerdictCache", "_Chance", "_unprimed", "_primed", "_failed", "_offline",
})  # fmt: skip
"""Classes and attributes that are no part of a configuration, or change by themselves."""
_LEAVES = (str, bytes, int, float, bool, type(None), Enum, Path, IPv4Address, IPv6Address, IPv4Network, IPv6Network)


def walk(thing: Any, path: str, seen: set[int]) -> Iterator[tuple[str, str]]:
    """What an object of ours is made of, down to plain values, by path; the settings themselves are passed over."""
    if isinstance(thing, _LEAVES):
        yield path, repr(thing)
        return
    kind = type(thing)
    if id(thing) in seen or isinstance(thing, FunctionType | MethodType) or kind.__name__ in _PASSED_OVER:
        return
    seen.add(id(thing))
    if isinstance(thing, Mapping):
        for key, value in thing.items():
            yield from walk(value, f"{path}[{key!r}]", seen)
    elif isinstance(thing, set | frozenset):
        yield path, repr(sorted(map(repr, thing)))
    elif isinstance(thing, tuple | list):
        yield f"{path}#", str(len(thing))
        for number, each in enumerate(thing):
            yield from walk(each, f"{path}[{number}]", seen)
    elif isinstance(thing, partial):
        yield from walk(thing.args, f"{path}.args", seen)
        yield from walk(thing.keywords, f"{path}.keywords", seen)
    elif kind is ListSpec and thing.id != "own":
        yield path, f"{thing.id} {thing.weight}"  # the catalogue's are what they are
    elif kind is AuthZone:
        yield path, f"{thing.origin!r} {len(thing)}"  # so are its records
    elif kind.__module__.startswith("resolverd."):
        names = [name for each in kind.__mro__ for name in getattr(each, "__slots__", ())]
        for name in (*names, *getattr(thing, "__dict__", ())):
            if name not in _PASSED_OVER and hasattr(thing, name):
                yield from walk(getattr(thing, name), f"{path}.{name}", seen)


class Running(_Daemon):
    """The whole daemon in this process; `body` is run until its end."""

    def __init__(self, folder: Path, body: Callable[["Running"], Any]) -> None:
        self.file = folder / "config.toml"
        self.folder = folder
        self.body = body
        self.values = dict(BASE)
        self.write()
        super().__init__(self._read(), self.file, Pseudonyms(b"", ()))
        _log_by(self._settings, self._pseudonyms)
        self.service: Service
        self.running: asyncio.Task[None]

    def write(self, **changes: Any) -> None:
        self.file.write_text(text({**self.values, **changes}))

    def _read(self) -> Settings:
        return parse(self.file.read_text(), self.folder)

    def _heed_signals(self, service: Service) -> asyncio.Event:
        self.service, ended = service, asyncio.Event()
        self.running = asyncio.create_task(self._run(ended))
        return ended

    async def _run(self, ended: asyncio.Event) -> None:
        supervisor, run = self.service.supervisor, self.service.supervisor.run
        for name in supervisor.states():
            supervisor.cancel(name)
        # Nothing happens by itself but what a reload waits for.
        supervisor.run = lambda name, work, once=False: run(name, work, once=True) if once else None
        try:
            await self.body(self)
        finally:
            ended.set()

    async def reload(self) -> ReloadResult:
        return await self.service._reloader.reload()

    def made_of(self) -> dict[str, str]:
        """What is in force, down to plain values."""
        logger = logging.getLogger("resolverd")
        formatter = logger.handlers[0].formatter
        calls = self.service.capabilities()
        things = {
            "responder": self.responder, "http": self.http._auth, "runtime": self.service.runtime,
            "zones": self.service._local_zones._files, "calls": (calls.own_addresses, calls.deadline), "level": logger.level,
            "anchors": (self.service._shared.anchor_watch._follows, self.service._shared.anchor_watch._signals),
            "alerts": self.service.runtime.settings.alerts, "log": formatter,
            "password": self._password,
            "form": formatter._render.__name__, "references": self.policy._references,
        }  # fmt: skip
        seen: set[int] = set()
        return {path: value for name, thing in things.items() for path, value in walk(thing, name, seen)}


@pytest.fixture
def running(loggers: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[Running], Any]], None]:
    """Runs the daemon with a body."""
    monkeypatch.setenv("RESOLVERD_TEST_KEY", "abcdefghijklmnopqrstuvwxyz")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("resolverd.app.serve.tune", lambda: None)
    (tmp_path / "other.hints").write_text(". 3600 NS a.example.\na.example. 3600 A 192.0.2.53\n")
    (tmp_path / "anchors").write_text("example.org. DS 12345 13 2 " + "0123456789abcdef" * 4 + "\n")
    (tmp_path / "access").write_text("192.0.2.1 REJECT\n")
    (tmp_path / "clients").write_text("mail.example.org\n")
    (tmp_path / "recipients").write_text("a@example.org\n")

    def run(body: Callable[[Running], Any]) -> None:
        async def whole() -> None:
            daemon = Running(tmp_path, body)
            async with asyncio.timeout(120):
                await daemon.run()
            await daemon.running

        asyncio.run(whole())

    return run


def test_every_key_takes_effect_or_is_said_to_need_a_start(running: Callable[[Callable[[Running], Any]], None]) -> None:
    async def body(daemon: Running) -> None:
        every = set(keys(Settings()))
        assert every == OTHER.keys(), "a key has no value to be changed to, or there is no such key"
        assert not (await daemon.reload()).faults
        before = daemon.made_of()
        assert not (await daemon.reload()).faults
        assert daemon.made_of() == before, "a reload without a change changes nothing"
        faulty, neither, both = [], [], []
        for key in sorted(every):
            daemon.write(**{key: OTHER[key]})
            outcome = await daemon.reload()
            faulty += outcome.faults
            takes_effect = daemon.made_of() != before
            # The daemon says itself what `config check` warns of: here nobody can ask who may.
            assert any(remark.startswith("dns.allow[1]: ") for remark in outcome.remarks) is (key == "dns.allow"), key
            needs_start = any(remark.startswith(f"{key} has changed") for remark in outcome.remarks)
            if not takes_effect and not needs_start:
                neither.append(key)
            if takes_effect and needs_start:
                both.append(key)
        daemon.write()
        await daemon.reload()
        # That we are registered with a list's operator changes what is warned of, nothing else.
        assert (faulty, neither, both) == ([], ["lists.own.registered"], [])
        assert daemon.made_of() == before, "and all of it changes back"

    running(body)


def test_a_faulty_configuration_changes_nothing(running: Callable[[Callable[[Running], Any]], None]) -> None:
    async def body(daemon: Running) -> None:
        before = daemon.made_of()
        daemon.write(**{"cache.size": "32MiB", "zone.origin": "other.internal", "greylist.delay": "soon"})
        assert [fault.path for fault in (await daemon.reload()).faults] == ["greylist.delay"]
        daemon.write(**{"zone.origin": "other.internal", "lists.own.codes": {}})
        assert (await daemon.reload()).faults
        daemon.file.write_text("this is no TOML")
        assert (await daemon.reload()).faults
        assert daemon.made_of() == before

    running(body)


def test_what_needs_a_start_is_said_until_it_is_taken_back(running: Callable[[Callable[[Running], Any]], None]) -> None:
    async def body(daemon: Running) -> None:
        def said(outcome: ReloadResult) -> list[str]:
            return [remark for remark in outcome.remarks if "next start" in remark]

        daemon.write(**{"dns.listen": ["127.0.0.2:0"]})
        for _ in range(2):
            outcome = await daemon.reload()
            assert said(outcome) == ["dns.listen has changed: that takes effect at the next start"]
            assert outcome.restart == ("dns.listen",)
        daemon.write()
        assert said(await daemon.reload()) == []

    running(body)


def test_a_secret_is_read_again(running: Callable[[Callable[[Running], Any]], None], monkeypatch: pytest.MonkeyPatch) -> None:
    async def body(daemon: Running) -> None:
        daemon.write(**{"http.token": {"env": "RESOLVERD_TEST_KEY"}, "lists.own.key": {"env": "RESOLVERD_TEST_KEY"}})
        await daemon.reload()
        before = daemon.made_of()
        monkeypatch.setenv("RESOLVERD_TEST_KEY", "zyxwvutsrqponmlkjihgfedcba")
        await daemon.reload()
        changed = {path.rpartition(".")[2] for path, value in daemon.made_of().items() if before.get(path) != value}
        assert {"_token", "zone"} <= changed

    running(body)


def test_reloads_come_one_after_the_other_and_who_waits_shares_one(running: Callable[[Callable[[Running], Any]], None]) -> None:
    async def body(daemon: Running) -> None:
        loop, entered, go_on = asyncio.get_running_loop(), asyncio.Event(), threading.Event()
        reader = daemon.service._reloader
        load, at_work, readings = daemon._load, 0, 0

        def slow() -> Settings:
            nonlocal at_work, readings
            at_work, readings = at_work + 1, readings + 1
            assert at_work == 1, "two at once"
            loop.call_soon_threadsafe(entered.set)
            assert go_on.wait(10)
            at_work -= 1
            return load()

        reader._load = slow
        first = asyncio.create_task(reader.reload())
        await entered.wait()
        daemon.write(**{"zone.origin": "other.internal"})
        others = [asyncio.create_task(reader.reload()) for _ in range(3)]
        await asyncio.sleep(0)
        go_on.set()
        outcomes = await asyncio.gather(first, *others)
        assert not any(outcome.faults for outcome in outcomes)
        assert readings == 2, "what was written since the first began is read once for all who ask"
        assert daemon.service.runtime.settings.zone.origin == "other.internal"

    running(body)


def test_a_file_that_hangs_costs_a_reload_and_nothing_else(
    running: Callable[[Callable[[Running], Any]], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def body(daemon: Running) -> None:
        before = daemon.made_of()
        pipe = daemon.file
        pipe.unlink()
        os.mkfifo(pipe)
        monkeypatch.setattr("resolverd.app.reload._READ_TIMEOUT", 0.1)
        hanging = pipe
        try:
            (fault,) = (await daemon.reload()).faults
            assert "hang" in fault.text
            assert daemon.made_of() == before
            monkeypatch.setattr("resolverd.app.reload._READ_TIMEOUT", 30.0)
            hanging = pipe.rename(daemon.folder / "pipe")
            daemon.write(**{"zone.origin": "other.internal"})
            assert not (await daemon.reload()).faults, "no later reload waits behind it"
            assert daemon.service.runtime.settings.zone.origin == "other.internal"
        finally:
            os.close(os.open(hanging, os.O_RDWR | os.O_NONBLOCK))  # whoever still reads it comes to its end

    running(body)
