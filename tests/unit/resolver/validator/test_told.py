"""Why a name is bogus, told: the chain of trust in a trace, a line in the log, the EDE's text; and no key of a list with it."""

import logging
from pathlib import Path

import pytest
from scriptednet import ScriptedResolver
from signednet import SignedNet, ask
from signing import DAY, key
from virtualtime import virtual

from resolverd import bounds
from resolverd.resolver.bogus_log import BogusLog
from resolverd.resolver.iterator.budget import TrustLink
from resolverd.wire import codes
from resolverd.wire.names import from_text, to_text
from resolverd.wire.redact import Redactor
from resolverd.wire.rrset import Security


async def links(resolver: ScriptedResolver, name: str) -> tuple[Security, list[TrustLink]]:
    answer, _, found = await resolver.parts.mesh.own.trace(from_text(name), codes.A)
    return answer.security, found


def shown(found: list[TrustLink]) -> list[tuple[str, str, str]]:
    return [(to_text(each.zone), each.security.name.lower(), each.text) for each in found]


@virtual
async def test_the_chain_of_trust_zone_by_zone(tmp_path: Path) -> None:
    net = SignedNet(tmp_path)
    org = net.signed("org", {"ns.org": "45.1.0.1"}, number=1)
    net.signed("good.org", {"ns.good.org": "45.1.0.2"}, "www A 193.0.0.1", parent=org, number=2)
    net.zone("plain.org", {"ns.plain.org": "45.1.0.3"}, "www A 193.0.0.2", parent=org)
    ended = {"number": 3, "begins": -9 * DAY, "ends": -2 * DAY}
    late = net.signed("late.org", {"ns.late.org": "45.1.0.4"}, "www A 193.0.0.3", parent=org, **ended)
    other = net.signed("other.org", {"ns.other.org": "45.1.0.5"}, "www A 193.0.0.4", parent=org, number=4)
    other.key = key(13, 99)
    resolver = net.resolver()
    for _ in range(2):  # nothing is remembered of it
        security, found = await links(resolver, "www.good.org")
        assert security is Security.SECURE
        assert shown(found) == [(".", "secure", ""), ("org.", "secure", ""), ("good.org.", "secure", "")]
        tag = f"{org.key.tag} ECDSAP256SHA256"
        assert (found[1].ds, found[1].keys) == ((f"{tag} digest 2",), (f"{tag} SEP",))
    security, found = await links(resolver, "www.plain.org")
    assert security is Security.INSECURE
    assert shown(found)[2:] == [("plain.org.", "insecure", "plain.org.: a delegation without DS")]
    security, found = await links(resolver, "www.late.org")
    assert security is Security.BOGUS
    why = f"late.org. DNSKEY: signature by key {late.key.tag} (ECDSAP256SHA256) expired 2 days ago"
    assert shown(found)[2:] == [("late.org.", "bogus", why)]
    assert found[2].keys == (f"{late.key.tag} ECDSAP256SHA256 SEP",)
    security, found = await links(resolver, "www.other.org")
    assert (security, found[2].security) == (Security.BOGUS, Security.BOGUS)
    resolver.parts.set_negative({from_text("late.org"): "known to be late"})
    security, found = await links(resolver, "www.late.org")
    assert (security, shown(found)) == (
        Security.INSECURE, [("late.org.", "insecure", "negative trust anchor late.org. (known to be late)")],
    )  # fmt: skip


def broken(folder: Path) -> SignedNet:
    net = SignedNet(folder)
    net.signed("shop", {"ns.shop": "45.1.0.1"}, "* A 193.0.0.1", number=1).key = key(13, 99)
    return net


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [each.getMessage() for each in caplog.records if "is bogus" in each.getMessage()]


@virtual
async def test_a_line_a_name_and_the_same_words_to_the_client(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    resolver = broken(tmp_path).resolver()
    for _ in range(3):
        reply = await ask(resolver, "www.shop")
        resolver.parts.flush()
    [line] = told(caplog)
    [error] = [each for each in reply.options if int(each.otype) == 15]
    assert error.text.startswith("www.shop.: shop. DNSKEY: ")
    assert line == f"www.shop. A is bogus (EDE {int(error.code)}): {error.text}"
    assert [each.levelno for each in caplog.records if each.getMessage() == line] == [logging.WARNING]


@virtual
async def test_a_flood_of_bogus_names_does_not_fill_the_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    resolver = broken(tmp_path).resolver()
    for number in range(2 * bounds.BOGUS_LINES):
        await ask(resolver, f"{number}.shop")
    lines = told(caplog)
    assert len(lines) == bounds.BOGUS_LINES
    assert [line for line in lines if line.endswith("; more of them are counted and not logged for a while")] == lines[-1:]
    assert resolver.stack.counters.get("bogus_answers") == 2 * bounds.BOGUS_LINES


def test_what_is_logged_is_bounded() -> None:
    log = BogusLog()
    names = [from_text(f"{number}.shop") for number in range(bounds.BOGUS_LINES + 1)]
    assert [log.tell(each, 0.0).is_told for each in names] == [True] * bounds.BOGUS_LINES + [False]
    assert not log.tell(names[0], bounds.BOGUS_PAUSE).is_told
    assert log.tell(names[-1], bounds.BOGUS_PAUSE).is_told
    assert log.tell(names[0], bounds.BOGUS_NAME_PAUSE).is_told
    for number in range(bounds.BOGUS_NAMES + 5):
        log.tell(from_text(f"x{number}"), 1000.0 + number * bounds.BOGUS_PAUSE)
    assert len(log._names) == bounds.BOGUS_NAMES


@virtual
async def test_the_key_in_a_lists_name_is_never_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    net = broken(tmp_path)
    resolver = net.resolver()
    parts = resolver.parts
    assert parts.trust is not None
    shop = frozenset({from_text("shop")})
    parts.configure(parts._settings, shop, shop, parts._hints, parts.trust.anchors)
    reply = await ask(resolver, "2.0.0.127.secretkey.shop")
    assert reply.rcode() == codes.SERVFAIL
    assert "secretkey" not in reply.to_text().replace("2.0.0.127.secretkey.shop. IN A", "")
    assert told(caplog)
    assert not [line for line in told(caplog) if "secretkey" in line]
    assert Redactor(shop).text(from_text("2.0.0.127.secretkey.shop")) in told(caplog)[0]
