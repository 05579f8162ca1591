"""Values that match nobody, so that what they were written for does not happen."""

from collections.abc import Collection, Iterator
from ipaddress import ip_address
from typing import Final

from resolverd.config.review.reach import listeners, upstreams, zone_of
from resolverd.config.review.warning import ConfigWarning
from resolverd.config.settings import Settings
from resolverd.dnsbl.names import is_public
from resolverd.mail.domains import is_suffix
from resolverd.mail.findings import Consequence
from resolverd.resolver.local.builtin import builtin_names
from resolverd.wire.names import from_text, is_subdomain, lower

_UNMATCHED: Final = "unmatched"


def policies(settings: Settings) -> Iterator[ConfigWarning]:
    """The first ``[[policy.for]]`` that names a recipient holds: one behind it that names nobody else, or changes nothing."""
    before: list[str] = []
    for at, each in enumerate(settings.policy.recipients):
        key = f"policy.for[{at}]"
        if each.mode is None and each.greylist is None:
            text = "changes nothing for its recipients: it has neither mode nor greylist"
            yield ConfigWarning("policy-for-empty", key, text, ("[[policy.for]]", 'mode = "observe"', "# or: greylist = false"))
        elif each.recipients and all(_is_held(pattern, before) for pattern in each.recipients):
            text = "never holds, as entries before it name all of its recipients, and the first one counts"
            yield ConfigWarning("policy-for-shadowed", key, text, ("# write it before the wider ones",))
        before += each.recipients


def clients(settings: Settings) -> Iterator[ConfigWarning]:
    """Who may ask and finds no address to ask at; and an address at which nobody may ask."""
    hosts = {key: ip_address(where.host) for key, where in listeners(settings)}
    if hosts and all(host.is_loopback for host in hosts.values()):
        for at, network in enumerate(settings.dns.allow):
            if not network.is_loopback and network.prefixlen > 0:
                text = f"{network} cannot ask: dns.listen has loopback addresses only"
                fix = ("# add to dns.listen (or to resolverd.socket) the address at which they ask",)
                yield ConfigWarning(_UNMATCHED, f"dns.allow[{at}]", text, fix)
    elif all(network.is_loopback for network in settings.dns.allow):
        for key, host in hosts.items():
            if not host.is_loopback and not host.is_unspecified:
                text = f"nobody may ask at {host}, not even this machine: dns.allow has loopback addresses only"
                fix = (f"# add to dns.allow who may, at least {host}",)
                yield ConfigWarning(_UNMATCHED, key, text, fix)


def below_origin(settings: Settings) -> Iterator[ConfigWarning]:
    """A forward or stub zone within the combined zone."""
    origin = lower(from_text(settings.zone.origin))
    for key, table in upstreams(settings):
        if is_subdomain(zone_of(table), origin):
            text = f"{table.zone} is never asked there: it is within zone.origin, which is answered here"
            yield ConfigWarning(_UNMATCHED, f"{key}.zone", text, (f"# delete {key}, or choose another zone.origin",))


def families(settings: Settings) -> Iterator[ConfigWarning]:
    """Servers and own addresses of an address family that is off."""
    off = {version for version, on in ((4, settings.resolver.ipv4), (6, settings.resolver.ipv6)) if not on}
    for key, table in upstreams(settings):
        if table.servers and all(server.address.version in off for server in table.servers):
            version = table.servers[0].address.version
            text = f"no server of {table.zone} can be asked, with resolver.ipv{version} = false"
            yield ConfigWarning(_UNMATCHED, f"{key}.servers", text, ("[resolver]", f"ipv{version} = true"), grave=True)
    for at, address in enumerate(settings.resolver.outgoing_addresses):
        if address.version in off:
            text = f"nobody is asked from {address}, with resolver.ipv{address.version} = false"
            fix = ("[resolver]", f"ipv{address.version} = true")
            yield ConfigWarning(_UNMATCHED, f"resolver.outgoing_addresses[{at}]", text, fix)


def builtin_exceptions(settings: Settings) -> Iterator[ConfigWarning]:
    """Exceptions from the built-in zones that are none."""
    known = builtin_names()
    for at, name in enumerate(settings.resolver.builtin_except):
        wanted = lower(from_text(name))
        if not settings.resolver.builtin_zones:
            text = "excepts nothing, with resolver.builtin_zones = false"
        elif not any(is_subdomain(wanted, zone) or is_subdomain(zone, wanted) for zone in known):
            text = f"{name} is resolved anyway: no built-in zone has it"
        else:
            continue
        yield ConfigWarning(_UNMATCHED, f"resolver.builtin_except[{at}]", text, ("# delete it",))


def trust_anchors(settings: Settings) -> Iterator[ConfigWarning]:
    """Exceptions from a validation that is off."""
    if settings.resolver.negative_trust_anchors and not settings.resolver.dnssec:
        text = "excepts nothing, with resolver.dnssec = false"
        yield ConfigWarning(_UNMATCHED, "resolver.negative_trust_anchors", text, ("# delete it, or: dnssec = true",))


def spf_domains(settings: Settings) -> Iterator[ConfigWarning]:
    """Domains of forwarders that are nobody's: no host sends for a registry's suffix."""
    for key, _, options in settings.checks.tables():
        if key == "checks.spf":
            for at, name in enumerate(options.domain_allow):
                if is_suffix(name):
                    text = f"{name} is where domains are registered, and authorises no host: name the forwarder's own domain"
                    yield ConfigWarning(_UNMATCHED, f"{key}.domain_allow[{at}]", text, (f'domain_allow = ["forwarder.{name}"]',))


def watched_addresses(settings: Settings) -> Iterator[ConfigWarning]:
    """Own addresses that no public list is asked about."""
    for at, address in enumerate(settings.watch.addresses):
        if not is_public(address):
            text = f"{address} is no address of the internet, so no list is asked about it: name the one that others see"
            yield ConfigWarning(_UNMATCHED, f"watch.addresses[{at}]", text, ("[watch]", 'addresses = ["PUBLIC ADDRESS"]'))


def points(settings: Settings) -> Iterator[ConfigWarning]:
    """Thresholds that nothing adds up to: of no check the action is "score", but of some that take points away."""
    rules = settings.checks.rules().values()
    if any(each.consequence is Consequence.SCORE and (each.score is None or each.score > 0) for each in rules):
        return
    for key in ("reject_at", "greylist_at"):
        if getattr(settings.verdict, key) is not None:
            text = "counts for nothing: no check gives points, as their actions refuse (preset tutorial)"
            yield ConfigWarning(_UNMATCHED, f"verdict.{key}", text, ("[checks]", 'preset = "scored"'))


def _is_held(pattern: str, by: Collection[str]) -> bool:
    return any(_holds(other, pattern) for other in by)


def _holds(wide: str, narrow: str) -> bool:
    """Whether every recipient that `narrow` means is one that `wide` means (`mail.patterns.matches_recipient`)."""
    name, at, domain = wide.rpartition("@")
    its_name, its_at, its_domain = narrow.rpartition("@")
    if not at:
        return its_domain == domain or its_domain.endswith(f".{domain}")
    if not its_at:
        return False
    return domain in ("", its_domain) and (not name or name in (its_name, its_name.partition("+")[0]))
