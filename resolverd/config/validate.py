"""What is to be said of a whole configuration: values that contradict each other."""

from collections.abc import Iterator

from resolverd.config.endpoints import Listen
from resolverd.config.settings import Forward, Settings, Stub
from resolverd.failures import ConfigFault


def validate(settings: Settings) -> Iterator[ConfigFault]:
    """What cannot be meant, each with the key to change."""
    yield from _times_and_scores(settings)
    yield from _checks(settings)
    yield from _addresses(settings)
    yield from _zones(settings)


def _checks(settings: Settings) -> Iterator[ConfigFault]:
    for key, check, options in settings.checks.tables():
        for name, text in check.faults(options):
            yield ConfigFault(f"{key}.{name}", text)


def _times_and_scores(settings: Settings) -> Iterator[ConfigFault]:
    cache, greylist, verdict = settings.cache, settings.greylist, settings.verdict
    if cache.min_ttl > cache.max_ttl:
        yield ConfigFault("cache.min_ttl", "is longer than cache.max_ttl")
    if greylist.retry_window <= greylist.delay:
        yield ConfigFault("greylist.retry_window", "must be longer than greylist.delay, or no retry ever passes")
    if greylist.max_age <= greylist.retry_window:
        yield ConfigFault("greylist.max_age", "must be longer than greylist.retry_window")
    if greylist.delay_per_point is not None and greylist.delay_per_point < 0:
        yield ConfigFault("greylist.delay_per_point", "must not be below 0: points speak against a client")
    for key in ("reject_at", "greylist_at"):
        value = getattr(verdict, key)
        if value is not None and value <= 0:
            yield ConfigFault(f"verdict.{key}", "must be above 0, or every client reaches it")
    if verdict.reject_at is not None and verdict.greylist_at is not None and verdict.greylist_at > verdict.reject_at:
        yield ConfigFault("verdict.greylist_at", "is above verdict.reject_at, so nothing would be greylisted")


def _addresses(settings: Settings) -> Iterator[ConfigFault]:
    if not settings.resolver.ipv4 and not settings.resolver.ipv6:
        yield ConfigFault("resolver.ipv6", "with ipv4 and ipv6 both off, no server can be asked")
    taken: dict[Listen, str] = {}
    listeners = [(f"dns.listen[{at}]", where) for at, where in enumerate(settings.dns.listen)]
    tls = settings.dns.tls
    if tls is not None:
        listeners += [(f"dns.tls.listen[{at}]", where) for at, where in enumerate(tls.listen)]
        if not tls.listen:
            yield ConfigFault("dns.tls.listen", "names no address; without DNS over TLS leave the whole of dns.tls out")
    listeners += [(f"policy.listen[{at}]", where) for at, where in enumerate(settings.policy.listen)]
    listeners.append(("http.listen", settings.http.listen))
    for key, where in listeners:
        if where.path is None and where.port == 0:
            continue
        if (other := taken.setdefault(where, key)) != key and key.partition("[")[0] != other.partition("[")[0]:
            yield ConfigFault(key, f"{where} is already taken by {other}")


def _zones(settings: Settings) -> Iterator[ConfigFault]:
    seen: dict[str, str] = {}
    upstreams: dict[str, tuple[Forward | Stub, ...]] = {"forward": settings.resolver.forward, "stub": settings.resolver.stub}
    for kind, tables in upstreams.items():
        for at, table in enumerate(tables):
            key = f"resolver.{kind}[{at}]"
            if not table.servers:
                yield ConfigFault(f"{key}.servers", "names no server")
            if (other := seen.setdefault(table.zone, key)) != key:
                yield ConfigFault(f"{key}.zone", f"{table.zone} is already in {other}")
    if settings.zone.origin == ".":
        yield ConfigFault("zone.origin", "the root cannot be the origin of the combined zone")
    for at, entry in enumerate(settings.policy.recipients):
        if not entry.recipients:
            yield ConfigFault(f"policy.for[{at}].recipients", "names no recipient")
