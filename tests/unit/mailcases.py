"""What the tables of cases for checks are written in: attempts, a world of replies, and the asking without a network."""

from collections.abc import Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from resolverd.dnsbl.codes import CodeTable
from resolverd.dnsbl.spec import DOMAIN, IP4, IP6, ListSpec
from resolverd.failures import Unknown, Why
from resolverd.mail.findings import Finding
from resolverd.mail.lookups import Absent, Clear, DnsLookup, Listed, ListLookup, LookupReply, Question, Records
from resolverd.mail.request import Attempt
from resolverd.overrides.postfix_maps import MapFile
from resolverd.policy.asking import Fold, follow, outcome_of
from resolverd.policy.check import Check, findings_of
from resolverd.policy.checks.access import AccessMaps, AccessOptions
from resolverd.wire import rdata
from resolverd.wire.codes import type_from_text
from resolverd.wire.names import from_text, lower

NX = Absent(nxdomain=True, ttl=60)
NODATA = Absent(nxdomain=False, ttl=60)
TIMEOUT = Unknown(Why.TIMEOUT)
SERVFAIL = Unknown(Why.FAILED, "SERVFAIL")
REFUSED = Unknown(Why.REFUSED)
UNKNOWNS = tuple(Unknown(why) for why in Why)

CLIENT = "192.0.2.7"
CLIENT6 = "2001:db8::7"
REVERSE = "7.2.0.192.in-addr.arpa"
REVERSE6 = "7." + "0." * 23 + "8.b.d.0.1.0.0.2.ip6.arpa"


def attempt(**attributes: object) -> Attempt:
    """An attempt of 192.0.2.7 that gives no names."""
    attributes.setdefault("client_address", CLIENT)
    if isinstance(attributes["client_address"], str):
        attributes["client_address"] = ip_address(attributes["client_address"])
    return Attempt(**attributes)  # type: ignore[arg-type]


def a(*addresses: str) -> Records:
    return Records(tuple(ip_address(address).packed for address in addresses), 300)


def ptr(*names: str) -> Records:
    return Records(tuple(from_text(name) for name in names), 300)


def mx(*names: str) -> Records:
    return Records(tuple(b"\0\x0a" + from_text(name) for name in names), 300)


def txt(*texts: str) -> Records:
    """A TXT record a text, in strings as long as may be."""
    records = ([each[at : at + 255].encode("latin-1") for at in range(0, len(each), 255)] for each in texts)
    return Records(tuple(rdata.text(*strings) for strings in records), 300)


def dns(text: str) -> DnsLookup:
    """``mail.example.com A``"""
    name, rtype = text.split()
    return DnsLookup(lower(from_text(name)), type_from_text(rtype))


def spec(name: str, kinds: str = "ip4 ip6", *, weight: float = 3, number: int = 1) -> ListSpec:
    """A list called `name`, an allow list if its weight is negative."""
    return ListSpec(
        id=name,
        zone=from_text(f"{name}.test"),
        shown=f"{name}.test",
        number=number,
        kinds=frozenset(kinds.split()),
        purpose="allow" if weight < 0 else "block",
        weight=weight,
        codes=CodeTable(),
    )


def listed(name: str, weight: float = 3, *, trust: int = 0, link: str = "") -> Listed:
    return Listed(name, ("spam",), ("127.0.0.2",), weight, f"listed by {name}.test", link, 300, trust=trust)


def clear(name: str) -> Clear:
    return Clear(name, 300)


ZEN = spec("zen", weight=6, number=1)
PSBL = spec("psbl", IP4, weight=3, number=2)
DBL = spec("dbl", DOMAIN, weight=6, number=3)
SURBL = spec("surbl", DOMAIN, weight=3, number=4)
ALLOW = spec("allow", weight=-2, number=5)
SIX = spec("six", IP6, weight=2, number=6)
LISTS = (ZEN, PSBL, DBL, SURBL, ALLOW, SIX)


class World:
    """Answers by question; whatever is not named does not exist, whatever is on no list is clear."""

    def __init__(
        self,
        records: Mapping[str, LookupReply] | None = None,
        lists: Mapping[tuple[str, str], LookupReply] | None = None,
    ):
        self.replies: dict[Question, LookupReply] = {dns(text): reply for text, reply in (records or {}).items()}
        self.lists = dict(lists or {})

    def reply(self, question: Question) -> LookupReply:
        if isinstance(question, ListLookup):
            return self.lists.get((question.list_id, str(question.subject)), clear(question.list_id))
        return self.replies.get(question, NX)


def asks(check: Check, subject: Attempt, replies: Mapping[Question, LookupReply]) -> list[Question]:
    """What a check has asked and still asks, these being the replies."""
    progress = follow(check.run(subject), replies)
    lookups = progress.outcome.lookups if isinstance(progress.outcome, Fold) else ()
    return list(dict.fromkeys((*progress.asked, *lookups)))


def judge(check: Check, subject: Attempt, replies: Mapping[Question, LookupReply]) -> list[Finding]:
    """What it says, these being all replies."""
    return findings_of(outcome_of(check.run(subject), replies), replies)


def asked(check: Check, subject: Attempt, world: World) -> dict[Question, LookupReply]:
    """Everything a check asks until it wants no more, one answer at a time in the order asked."""
    replies: dict[Question, LookupReply] = {}
    for _ in range(200):
        open_questions = [question for question in asks(check, subject, replies) if question not in replies]
        if not open_questions:
            return replies
        replies[open_questions[0]] = world.reply(open_questions[0])
    raise AssertionError("the check never stops asking")


def judged(check: Check, subject: Attempt, world: World) -> list[Finding]:
    return judge(check, subject, asked(check, subject, world))


def codes(findings: list[Finding]) -> list[str]:
    return [finding.code for finding in findings]


def with_maps(access: AccessMaps | None) -> dict[str, Any]:
    """What `checks.build` takes for these access maps."""
    client, helo = (tuple(MapFile("hash", Path(each.name)) for each in maps) for maps in access or ((), ()))
    maps = zip((*client, *helo), (*access.client, *access.helo) if access else (), strict=True)
    return {"options": {"access": AccessOptions(client, helo)}, "maps": dict(maps)}
