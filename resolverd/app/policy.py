"""Puts the mail side together: the zones made of lists, checks, verdict rules, greylisting."""

import secrets
import socket
from base64 import b32encode
from collections.abc import Callable
from functools import partial
from typing import Final

from resolverd.app.named_files import External
from resolverd.clients.history import ClientHistory
from resolverd.clock import Clock
from resolverd.config import Settings
from resolverd.dnsbl.engine import Engine
from resolverd.generation import Generation
from resolverd.greylist.decide import GreylistRules
from resolverd.greylist.service import Greylister
from resolverd.metrics import Counters
from resolverd.overrides.store import OverrideStore
from resolverd.policy import checks
from resolverd.policy.headers import HeaderQueue
from resolverd.policy.service import PolicyService
from resolverd.policy.verdict import Mode, RecipientPolicy, VerdictRules
from resolverd.policy.verdicts import VerdictStore
from resolverd.resolver.ports import Resolver
from resolverd.state.base import Store
from resolverd.telemetry.feed import Feed
from resolverd.wire.names import from_text, lower
from resolverd.zones.client_zones import ClientZones
from resolverd.zones.guard import GuardTable
from resolverd.zones.lists import ListZones, ZoneRules
from resolverd.zones.override_lookup import OverrideLookup

_ALPHABET: Final = bytes.maketrans(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", b"ABCDEFGHJKLMNPQRSTUVWXYZ23456789")
"""From base32's letters (RFC 4648) to ours, which look like no digit."""
_ID_LENGTH: Final = 10
"""50 bits: nobody guesses a reference, and with it somebody's mail; everybody can read it out on the telephone."""
_OCTETS: Final = 25 * 64
"""Asked of the system at a time, for 256 references."""


class _Ids:
    """Gives references, of random octets that the system is asked for a page at a time."""

    def __init__(self) -> None:
        self._letters = ""
        self._at = 0

    def new(self) -> str:
        """A fresh reference."""
        if self._at == len(self._letters):
            self._letters, self._at = b32encode(secrets.token_bytes(_OCTETS)).translate(_ALPHABET).decode(), 0
        begin = self._at
        self._at += _ID_LENGTH
        return self._letters[begin : self._at]


new_id: Final = _Ids().new
"""Gives a fresh reference."""


def policy_service(
    settings: Settings,
    engine: Engine,
    resolver: Resolver,
    store: Store,
    clock: Clock,
    counters: Counters,
    online: Callable[[], bool],
    headers: HeaderQueue,
    verdicts: VerdictStore,
    book: OverrideStore,
    lists: Generation,
    external: External,
    history: ClientHistory,
    feed: Feed,
) -> PolicyService:
    """The policy service as configured, over an engine that asks the configured lists.

    `online`: names can be resolved. `verdicts` keeps what it says. `book`: the overrides. `lists`: the generation of lists and
    names. `external`: the admin's maps, allow files and domains. `history`: that of clients. `feed` tells of
    verdicts as they are given.
    """
    greylister = Greylister(store, clock, greylist_rules(settings), counters, external.allow_files.allowed, external.shipped)
    hostname = socket.gethostname()  # not getfqdn: it would ask the nameserver that we are about to be
    return PolicyService(
        partial(
            checks.build,
            settings.checks.rules(),
            options=settings.checks.options(),
            maps=external.maps.found,
            overrides=book.index,
            local=external.local.domains,
            hostname=hostname,
        ),
        engine,
        resolver,
        greylister,
        clock,
        verdict_rules(settings),
        counters,
        new_id,
        verdicts,
        online=online,
        headers=headers,
        hit=book.count_hits,
        overrides_ready=book.ready,
        overrides_loaded=book.is_ready,
        note=history.note,
        publish=feed.verdict,
        generation=Generation(lists, book.generation),
        hostname=hostname,
    )


def list_zones(
    settings: Settings,
    guard: GuardTable,
    engine: Engine,
    clock: Clock,
    lookup: OverrideLookup,
    clients: ClientZones,
    overrides: OverrideStore,
) -> ListZones:
    """The combined zone, and the guarded ones if configured."""
    rules = ZoneRules(settings.listed_at(), settings.dnsbl.deadline)
    origin = lower(from_text(settings.zone.origin))
    guarded = guard if settings.zone.guard else None
    return ListZones(origin, engine, rules, clock, guard=guarded, overrides=lookup, clients=clients, ready=overrides.ready)


def verdict_rules(settings: Settings) -> VerdictRules:
    """The rules of verdicts as configured."""
    wanted = settings.verdict
    base = VerdictRules()
    return VerdictRules(
        mode=Mode(wanted.mode),
        reject_at=base.reject_at if wanted.reject_at is None else wanted.reject_at,
        greylist_at=base.greylist_at if wanted.greylist_at is None else wanted.greylist_at,
        greylist=settings.greylist.enabled,
        trusted_networks=settings.policy.trusted_networks,
        exempt_recipients=settings.checks.exempt_recipients,
        policies=tuple(
            RecipientPolicy(each.recipients, Mode(each.mode) if each.mode else None, each.greylist)
            for each in settings.policy.recipients
        ),
        deadline=wanted.deadline,
        list_deadline=settings.dnsbl.deadline,
    )


def greylist_rules(settings: Settings) -> GreylistRules:
    """The rules of greylisting as configured."""
    wanted = settings.greylist
    always, growth = ("always", 0.0) if settings.checks.preset == "tutorial" else ("suspicious", 0.25)
    return GreylistRules(
        enabled=wanted.enabled,
        delay=int(wanted.delay),
        retry_window=int(wanted.retry_window),
        max_age=int(wanted.max_age),
        auto_allow_after=wanted.auto_allow_after,
        ipv4_prefix=wanted.ipv4_prefix,
        ipv6_prefix=wanted.ipv6_prefix,
        when=wanted.when or always,
        key=wanted.key,
        delay_per_point=growth if wanted.delay_per_point is None else wanted.delay_per_point,
    )
