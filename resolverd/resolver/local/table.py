"""Whose name is it: the local zones, and the closest of them for a name."""

from collections.abc import Iterable, Iterator

from resolverd import bounds
from resolverd.resolver.local.local_zone import LocalZone
from resolverd.resolver.local.zone import LocalAnswer
from resolverd.values import replace
from resolverd.wire import codes, rdata
from resolverd.wire.answer import Answer, servfail
from resolverd.wire.names import Name, lower
from resolverd.wire.rrset import RRset


class LocalZones:
    """The local zones. Never changed: a reload makes another one.

    `delegated_away`: zones that the configuration has asked of others (stub, forward); what is at or below one of them and not
    in a deeper local zone is not ours.
    """

    def __init__(self, zones: Iterable[LocalZone] = (), delegated_away: Iterable[Name] = ()):
        self._zones = {zone.origin: zone for zone in zones}
        self.delegated_away = frozenset(delegated_away)

    def __len__(self) -> int:
        return len(self._zones)

    def __iter__(self) -> Iterator[LocalZone]:
        return iter(self._zones.values())

    def find(self, name: Name) -> LocalZone | None:
        """The closest zone at or above `name` (lower case)."""
        if not self._zones:
            return None
        while True:
            zone = self._zones.get(name)
            if zone is not None:
                return zone
            if name in self.delegated_away or not name[0]:
                return None
            name = name[1 + name[0] :]

    def ask(self, name: Name, rtype: int) -> LocalAnswer | None:
        """What the local zones say of `name` (lower case), aliases followed as long as they stay in them; None if it is nobody's.

        `continue_at` is then the name that others are asked for: behind an alias, or the name itself where it is delegated.
        """
        zone = self.find(name)
        if zone is None:
            return None
        chain: tuple[RRset, ...] = ()
        while zone is not None:
            said = zone.ask(name, rtype)
            if said.continue_at is None:
                return LocalAnswer(joined(chain, said.answer))
            if said.continue_at == name and not said.answer.answer:
                # Delegated: who has come by an alias has the alias, who asked for the name itself the referral.
                return LocalAnswer(joined(chain, Answer(codes.NOERROR, aa=True)) if chain else said.answer, name)
            chain += said.answer.answer
            if len(chain) > bounds.MAX_CNAMES:
                return LocalAnswer(joined(chain, servfail(codes.EDE_OTHER, "aliases without end")))
            name = said.continue_at
            zone = self.find(name)
        return LocalAnswer(Answer(codes.NOERROR, chain, aa=True), name)

    def delegations(self) -> Iterator[tuple[RRset, tuple[RRset, ...]]]:
        """Every delegation: its NS records, and the addresses of those servers that local zones know."""
        for zone in self:
            for ns in zone.zone.delegations():
                targets = [lower(rdata.target(codes.NS, data)) for data in ns.rdatas]
                yield ns, tuple(each for target in targets for each in self._addresses(zone, target))

    def _addresses(self, zone: LocalZone, name: Name) -> list[RRset]:
        glue = zone.zone.addresses(name)
        if not glue and (other := self.find(name)) is not None:
            glue = other.zone.addresses(name)
        return glue


def joined(chain: tuple[RRset, ...], answer: Answer) -> Answer:
    """The answer behind aliases; whose name was asked says whether it is authoritative (RFC 1035 §4.1.1)."""
    return replace(answer, answer=(*chain, *answer.answer), aa=True) if chain else answer
