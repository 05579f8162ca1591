"""Every key of config.toml with its type and default; config.toml itself is the manual.

Durations are in seconds, sizes in octets. ``None`` means "as the preset has it", "those shipped", or "not set".
"""

from collections.abc import Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, TypeAlias, get_type_hints

from msgspec import UNSET, Struct, UnsetType, defstruct, field

from resolverd.config import endpoints, types
from resolverd.dnsbl.quota import Allowance
from resolverd.mail.patterns import IPNetwork
from resolverd.policy.check import CheckRules, Declaration
from resolverd.policy.checks import DECLARATIONS, rules_for
from resolverd.policy.verdict import VerdictRules
from resolverd.servers.access import Opening

AT_START: Final = (
    "dns.listen", "dns.tls.listen", "policy.listen", "http.listen", "resolver.outgoing_addresses", "store.url", "store.prefix",
    "store.ca", "store.directory", "cache.persist",
)  # fmt: skip
"""Keys that are acted on at the start alone: sockets, and what stands behind them."""

_Mode: TypeAlias = Literal["enforce", "observe"]

_DO_NOT_QUERY = (
    # not on the internet: IANA's special-purpose registries (RFC 6890), multicast (RFC 5771, RFC 4291)
    "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
    "192.0.2.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
    "::/128", "::1/128", "::ffff:0.0.0.0/96", "64:ff9b:1::/48", "100::/64", "2001:db8::/32", "fc00::/7", "fe80::/10", "ff00::/8",
)  # fmt: skip


def _networks(*texts: str) -> tuple[IPNetwork, ...]:
    return tuple(map(endpoints.network, texts))


class DnsTls(Struct, frozen=True):
    """``[dns] tls``: DNS over TLS for clients."""

    listen: tuple[types.ListenText, ...]
    certificate: types.PathText
    key: types.PathText


class DnsSettings(Struct, frozen=True):
    """``[dns]``: the DNS service."""

    listen: tuple[types.ListenText, ...] = (endpoints.Listen("127.0.0.1", 5335), endpoints.Listen("::1", 5335))
    allow: tuple[types.NetworkText, ...] = _networks("127.0.0.0/8", "::1/128")
    minimal_responses: bool = True
    client_rate: types.RateText = Allowance(200, 1.0)
    tls: DnsTls | None = None


class Forward(Struct, frozen=True):
    """``[[resolver.forward]]``: a zone asked of other resolvers, in clear or by TLS."""

    zone: types.Domain
    servers: tuple[types.ServerText, ...]


class Stub(Struct, frozen=True):
    """``[[resolver.stub]]``: a zone asked of these authoritative servers."""

    zone: types.Domain
    servers: tuple[types.ServerText, ...]


class ResolverSettings(Struct, frozen=True):
    """``[resolver]``: how names are resolved."""

    root_hints: types.PathText | None = None
    trust_anchors: types.PathText | None = None
    dnssec: bool = True
    qname_minimisation: bool = True
    qname_minimisation_type: types.RRType = "A"
    case_randomisation: bool = True
    edns_size: Annotated[int, types.whole(512, 4096)] = 1232
    harden_glue: bool = True
    query_deadline: Annotated[float, types.between("100ms", "8s")] = 4.0
    do_not_query: tuple[types.NetworkText, ...] = _networks(*_DO_NOT_QUERY)
    ipv4: bool = True
    ipv6: bool = True
    outgoing_addresses: tuple[types.AddressText, ...] = ()
    priming: bool = True
    key_tag_signalling: bool = True
    prefetch_server_addresses: bool = True
    negative_trust_anchors: tuple[types.Domain, ...] = ()
    sentinel: bool = True
    aggressive_nsec: bool = True
    rfc5011: bool = True
    allow_sha1: bool = True
    min_rsa_bits: Annotated[int, types.whole(512, 4096)] = 1024
    builtin_zones: bool = True
    builtin_except: tuple[types.Domain, ...] = ()
    forward: tuple[Forward, ...] = ()
    stub: tuple[Stub, ...] = ()


class CacheSettings(Struct, frozen=True):
    """``[cache]``: what is remembered of the DNS, and for how long."""

    size: Annotated[int, types.at_least("1MiB")] = 64 * 2**20
    min_ttl: Annotated[float, types.between("0s", "1h")] = 0.0
    max_ttl: Annotated[float, types.between("1s", "7d")] = 86400.0
    negative_max_ttl: Annotated[float, types.between("0s", "1d")] = 3600.0
    serve_stale: Annotated[float, types.between("0s", "7d")] = 86400.0
    prefetch: bool = True
    persist: bool = True


class StoreSettings(Struct, frozen=True):
    """``[store]``: where greylist and other state are kept: on this host, or in a server that several hosts share."""

    url: types.StoreText = endpoints.StoreUrl("disk", Path("var"))
    password: types.SecretText | None = None
    prefix: types.Prefix = "resolverd"
    ca: types.PathText | None = None
    directory: types.PathText | None = None


class ZonesSettings(Struct, frozen=True):
    """``[zones]``: local zone files."""

    dir: types.PathText = Path("zones")


class DnsblSettings(Struct, frozen=True):
    """``[dnsbl]``: how lists are asked."""

    enabled: bool = True
    strategy: Literal["fast", "frugal"] = "fast"
    deadline: Annotated[float, types.between("100ms", "8s")] = 2.0
    use: Literal["own-mail", "service"] = "own-mail"


class ZoneSettings(Struct, frozen=True):
    """``[zone]``: the combined zone."""

    origin: types.Domain = "rbl.internal"
    listed_at: types.Threshold | None = None
    guard: bool = True


class ListTable(Struct, frozen=True):
    """``[lists.NAME]``: what overrides the catalogue's entry, or an own list. Strings are read by the catalogue."""

    enabled: bool | UnsetType = UNSET
    weight: types.Points | UnsetType = UNSET
    quota: str | UnsetType = UNSET
    rate: str | UnsetType = UNSET
    key: types.SecretText | UnsetType = UNSET
    zone: types.Domain | UnsetType = UNSET
    kinds: tuple[Literal["ip4", "ip6", "domain", "hash"], ...] | UnsetType = UNSET
    purpose: Literal["block", "allow"] | UnsetType = UNSET
    number: Annotated[int, types.whole(1, 250)] | UnsetType = UNSET
    codes: Mapping[str, Any] | UnsetType = UNSET
    errors: Mapping[str, Any] | UnsetType = UNSET
    link: str | UnsetType = UNSET
    registered_domain: bool | UnsetType = UNSET
    registered: bool | UnsetType = UNSET

    def plain(self) -> dict[str, object]:
        """The keys that are set, as a plain mapping; `key` is a Secret."""
        return {name: value for name in self.__struct_fields__ if (value := getattr(self, name)) is not UNSET}


class CheckSettings(Struct, frozen=True):
    """``[checks.NAME]``: what one check's finding does, weighs and says."""

    action: types.ConsequenceText | None = None
    score: types.Points | None = None
    code: types.SmtpCode | None = None


def _table(check: Declaration) -> type[Struct]:
    """The table of a check: what all have, and its own options."""
    hints = get_type_hints(check.options, include_extras=True)
    own = [(each.name, types.option_type(hints[each.name]), each.default) for each in fields(check.options)]
    bases = (Struct,) if check.presets is None else (CheckSettings,)
    return defstruct(check.name, own, bases=bases, namespace={"__doc__": check.options.__doc__}, frozen=True)


_TABLES: Final[dict[str, Any]] = {
    check.name if check.table is None else check.table: check
    for check in sorted(DECLARATIONS.values(), key=lambda check: check.presets is None)
    if check.table != ""
}


class _Checks(Struct, frozen=True):
    """``[checks]``: what is looked at in a client. Each check has a table of its own, as it declares it."""

    preset: Literal["tutorial", "scored"] = "tutorial"
    exempt_recipients: tuple[types.Recipient, ...] = ("postmaster@", "abuse@")

    def rules(self) -> dict[str, CheckRules]:
        """The rules of each check that follows any."""
        own = {check.name: getattr(self, key) for key, check in _TABLES.items() if check.presets is not None}
        return {
            name: rules_for(self.preset, name, action=each.action, score=each.score, code=each.code) for name, each in own.items()
        }

    def tables(self) -> Iterator[tuple[str, Declaration, Any]]:
        """The key of each check's table, the check, and its options as it declares them."""
        for key, check in _TABLES.items():
            table = getattr(self, key)
            own = {each.name: getattr(table, each.name) for each in fields(check.options)}
            yield f"checks.{key}", check, check.options(**own)

    def options(self) -> dict[str, Any]:
        """The options of each check that has any."""
        return {check.name: options for _, check, options in self.tables()}


if TYPE_CHECKING:
    Checks = _Checks
else:
    Checks = defstruct("Checks", [(key, kind, kind()) for key, check in _TABLES.items() for kind in (_table(check),)],
                       bases=(_Checks,), namespace={"__doc__": _Checks.__doc__}, frozen=True)  # fmt: skip


class VerdictSettings(Struct, frozen=True):
    """``[verdict]``: what findings add up to."""

    mode: _Mode = "enforce"
    reject_at: types.Points | None = None
    greylist_at: types.Points | None = None
    deadline: Annotated[float, types.between("100ms", "7s")] = 4.0


class GreylistSettings(Struct, frozen=True):
    """``[greylist]``: Postgrey's settings, with Postgrey's defaults but for the key: pools of hosts count as one."""

    enabled: bool = True
    delay: Annotated[float, types.between("0s", "1d")] = 300.0
    delay_per_point: types.Points | None = None
    retry_window: types.Duration = 2 * 86400.0
    max_age: types.Duration = 35 * 86400.0
    auto_allow_after: Annotated[int, types.whole(0, 1_000_000)] = 5
    ipv4_prefix: Annotated[int, types.whole(8, 32)] = 24
    ipv6_prefix: Annotated[int, types.whole(16, 128)] = 64
    when: Literal["always", "suspicious"] | None = None
    key: Literal["network", "organisation"] = "organisation"
    allow_clients: tuple[types.PathText, ...] = ()
    allow_recipients: tuple[types.PathText, ...] = ()
    shipped_allow_list: bool = True


class PolicyFor(Struct, frozen=True):
    """``[[policy.for]]``: what differs for some recipients."""

    recipients: tuple[types.Recipient, ...]
    mode: _Mode | None = None
    greylist: bool | None = None


class PolicySettings(Struct, frozen=True):
    """``[policy]``: the Postfix policy service."""

    listen: tuple[types.ListenOrUnix, ...] = (endpoints.Listen("127.0.0.1", 10023),)
    trusted_networks: tuple[types.NetworkText, ...] = _networks("127.0.0.0/8", "::1/128")
    local_domains: tuple[types.LocalDomain, ...] = ()
    recipients: tuple[PolicyFor, ...] = field(default=(), name="for")


class HttpSettings(Struct, frozen=True):
    """``[http]``: the HTTP service."""

    listen: types.ListenText = endpoints.Listen("127.0.0.1", 8053)
    hosts: tuple[types.HostText, ...] = ()
    token: types.SecretText | None = None
    open: tuple[Opening, ...] = ("verdict", "lookup", "lists")


class AlertsSettings(Struct, frozen=True):
    """``[alerts]``: who is told of trouble."""

    mail: tuple[types.MailAddress, ...] = ()
    webhook: types.WebhookText | None = None


class WatchSettings(Struct, frozen=True):
    """``[watch]``: own addresses, looked up in all lists."""

    addresses: tuple[types.AddressText, ...] = ()


class LogSettings(Struct, frozen=True):
    """``[log]``: what is said, and how."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["postgrey", "logfmt", "json"] = "postgrey"
    ident: types.Ident = "resolverd"
    privacy: Literal["off", "hash"] = "off"
    target: Literal["stderr", "syslog:mail"] = "stderr"
    ref_in_reply: bool = True


class Settings(Struct, frozen=True):
    """A whole configuration."""

    dns: DnsSettings = DnsSettings()
    resolver: ResolverSettings = ResolverSettings()
    cache: CacheSettings = CacheSettings()
    store: StoreSettings = StoreSettings()
    zones: ZonesSettings = ZonesSettings()
    dnsbl: DnsblSettings = DnsblSettings()
    zone: ZoneSettings = ZoneSettings()
    lists: Mapping[str, ListTable] = field(default_factory=dict)
    checks: Checks = Checks()
    verdict: VerdictSettings = VerdictSettings()
    greylist: GreylistSettings = GreylistSettings()
    policy: PolicySettings = PolicySettings()
    http: HttpSettings = HttpSettings()
    alerts: AlertsSettings = AlertsSettings()
    watch: WatchSettings = WatchSettings()
    log: LogSettings = LogSettings()

    def list_tables(self) -> dict[str, dict[str, object]]:
        """``[lists.NAME]`` as plain mappings, for the catalogue."""
        return {name: table.plain() for name, table in self.lists.items()}

    def listed_at(self) -> float | None:
        """Points at which the combined zone lists, None for any listing."""
        at = self.zone.listed_at
        if at is None:
            return None if self.checks.preset == "tutorial" else VerdictRules().reject_at
        return None if at == "any" else float(at)

    def state_directory(self) -> Path | None:
        """Where the token and the host's own store are; None if nothing is kept on disk."""
        return self.store.directory if self.store.url.kind == "shared" else self.store.url.directory

    def command_socket(self) -> Path | None:
        """The UNIX socket over which commands talk to the daemon; None where there is no state directory."""
        directory = self.state_directory()
        return directory / "resolverd.sock" if directory is not None else None
