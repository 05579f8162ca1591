"""Overrides: what they may say, which one decides, how they are kept, and what they do to a verdict."""

import asyncio
import logging
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mailcases import CLIENT, REVERSE, TIMEOUT, World, a, asked, attempt, judged, listed, ptr
from stores import NOW, database
from virtualtime import VirtualClock, virtual

from resolverd import bounds
from resolverd.failures import StoreError
from resolverd.mail.findings import ANYTHING, GREYLISTING, Action, Effect, GreylistOutcome, Topic
from resolverd.mail.lookups import ListLookup
from resolverd.metrics import Counters
from resolverd.overrides.matching import OverrideIndex, OverrideMatch, Role, Subjects, decide, decide_for_lists
from resolverd.overrides.records import decode, encode, encode_key
from resolverd.overrides.rules import BadOverride, Override, OverrideKey, key_of, recipient_of, subject_of, too_wide
from resolverd.overrides.store import FOREVER, TABLE, Full, NewOverride, OverrideStore
from resolverd.policy.checks import PRESETS, build
from resolverd.policy.checks.overrides import OverridesCheck
from resolverd.state.base import Store
from resolverd.state.disk.opening import open_store
from resolverd.state.memory import MemoryStore
from tests.unit.policy.test_service import DELIVERY, GOOD, HOST, Internet, Setup

SUBJECTS = [
    ("192.0.2.1", "192.0.2.1", "address"),
    ("192.0.2.1/32", "192.0.2.1", "address"),
    ("::FFFF:192.0.2.1", "192.0.2.1", "address"),
    ("2001:DB8::1", "2001:db8::1", "address"),
    ("192.0.2.0/24", "192.0.2.0/24", "network"),
    ("::ffff:192.0.2.0/120", "192.0.2.0/24", "network"),
    ("2001:DB8::/32", "2001:db8::/32", "network"),
    ("Mail.Example.COM.", "mail.example.com", "domain"),
    (".example.com", "example.com", "domain"),
    ("example", "example", "domain"),
    ("bücher.example", "xn--bcher-kva.example", "domain"),
    ("*.Example.com", "example.com", "domain"),
    ("192.0.2", "192.0.2.0/24", "network"),
    ("192.0.2.", "192.0.2.0/24", "network"),
    ("192.0.2.*", "192.0.2.0/24", "network"),
    ("192.0.*.*", "192.0.0.0/16", "network"),
    ("10.*", "10.0.0.0/8", "network"),
    ("192.0.2.0/255.255.255.0", "192.0.2.0/24", "network"),
    ("192.0.2.0-192.0.2.127", "192.0.2.0/25", "network"),
    ("[192.0.2.1]", "192.0.2.1", "address"),
    ("[IPv6:2001:db8::1]", "2001:db8::1", "address"),
    ("[2001:DB8::]/32", "2001:db8::/32", "network"),
    ("<Bob@Example.com>", "bob@example.com", "sender"),
    ("1.2@example.com", "1.2@example.com", "sender"),
]


@pytest.mark.parametrize(("text", "canonical", "kind"), SUBJECTS)
def test_subjects(text, canonical, kind):
    assert subject_of(text) == canonical == subject_of(canonical)
    assert Override(OverrideKey("allow", canonical), 0).kind.value == kind


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "no host name; expected an IP address"),
        ("10", "say 10"),
        ("*", "everybody"),
        ("mail*.example.com", "wildcard"),
        ("192.0.*.1", "wildcard"),
        ("192.0.2.1-192.0.2.4", "several networks, each an override of its own: 192.0.2.1/32, 192.0.2.2/31, 192.0.2.4/32"),
        ("*@example.com", "write the domain alone"),
        ("192.0.2.7/24", "write 192.0.2.0/24"),
        ("0.0.0.0/0", "everybody"),
        ("::/0", "everybody"),
        ("1.2.3.4.5", "no host name"),
        ("1.2.3.4/33", "no network"),
        ("2001:db8::1%eth0", "nobody's"),
        ("@example.com", "write the domain alone"),
        ("bob@", "no mail address"),
        ("bo b@example.com", "no mail address"),
        ("bob@[192.0.2.1]", "no mail address"),
        ("exam ple.com", "no host name"),
        ("x" * 64 + ".example.com", "no host name"),
        ("a" * 400 + "@example.com", "no mail address"),
        ("bob\n@example.com", "no mail address"),
    ],
)
def test_what_is_no_subject_is_told(text, says):
    with pytest.raises(BadOverride, match=says):
        subject_of(text)


@pytest.mark.parametrize(
    ("action", "scope", "to", "says"),
    [
        ("forbid", "", "", "neither allow nor deny"),
        ("allow", "most", "", "all, lists, greylist, spf"),
        ("deny", "spf", "", "no scope"),
        ("deny", "", "an na@example.org", "mail address"),
        ("deny", "", "192.0.2.1", "recipient"),
        ("deny", "", "postmaster", "recipient"),
        ("deny", "", "*@example.org", "write the domain alone"),
    ],
)
def test_what_cannot_be_said_is_told(action, scope, to, says):
    with pytest.raises(BadOverride, match=says):
        key_of(action, "192.0.2.1", scope, to)


def test_recipients():
    texts = ("", "<Anna@Example.ORG>", "Example.org", "*.Example.org")
    assert [recipient_of(text) for text in texts] == ["", "anna@example.org", "example.org", "example.org"]


@pytest.mark.parametrize(
    ("subject", "says"),
    [
        ("com", "public suffix"), ("co.uk", "public suffix"), ("gov", "public suffix"), ("example.co.uk", ""), ("lan", ""),
        ("0.0.0.0/1", "wider than /8"), ("10.0.0.0/8", ""), ("2000::/3", "wider than /19"), ("2a00::/19", ""),
        ("bob@co.uk", ""), ("192.0.2.1", ""),
    ],
)  # fmt: skip
def test_what_reaches_too_many_is_told(subject, says):
    assert (says in too_wide(subject)) if says else not too_wide(subject)


# -- how they are kept


def test_golden_octets():
    override = Override(key_of("deny", "192.0.2.7"), 1_700_000_000, 1_700_003_600, "root", "spam", "ABC", 3, 1_700_000_100)
    assert encode_key(override.key) == b"deny all 192.0.2.7"
    octets = "01" "6553f100" "6553ff10" "00000003" "6553f164" "0004" "726f6f74" "0004" "7370616d" "0003" "414243"
    assert encode(override).hex() == octets
    assert decode(encode_key(override.key), encode(override)) == override
    assert encode_key(key_of("allow", "example.com", "lists", "anna@example.org")) == b"allow lists example.com anna@example.org"


keys = st.one_of(
    st.builds(key_of, st.just("deny"), st.sampled_from([text for text, _, _ in SUBJECTS]), st.just("")),
    st.builds(
        key_of,
        st.just("allow"),
        st.sampled_from([text for text, _, _ in SUBJECTS]),
        st.sampled_from(["all", "lists", "greylist", "spf"]),
        st.sampled_from(["", "anna@example.org", "example.org"]),
    ),
)
seconds = st.integers(0, 2**32 - 1)
notes = st.text(max_size=bounds.NOTE).filter(str.isprintable)
overrides = st.builds(Override, keys, seconds, seconds, notes, notes, notes, seconds, seconds)


@given(overrides)
def test_what_is_encoded_is_decoded(override):
    assert decode(encode_key(override.key), encode(override)) == override


@given(overrides, st.binary(max_size=60), st.binary(max_size=60))
def test_damage_is_no_override(override, key, octets):
    whole = encode(override)
    assert decode(encode_key(override.key), whole[:-1]) is None
    assert decode(encode_key(override.key), whole + b"x") is None
    assert decode(encode_key(override.key), b"\x02" + whole[1:]) is None
    decode(key, octets)


# -- which word counts

MAIL = Subjects(ip_address("192.0.2.7"), ("mail.example.com",), "bob@sender.example", "helo.example.net", "anna@example.org")

WORDS = [
    # the rules in the order in which they were made, and the one that decides (by number), if one does
    ([], None),
    (["deny 192.0.2.7"], 0),
    (["deny 192.0.2.8"], None),
    (["deny 192.0.2.0/24"], 0),
    (["deny 192.0.2.0/24", "allow 192.0.2.7"], 1),
    (["allow 192.0.2.0/24", "deny 192.0.2.0/25"], 1),
    (["deny 192.0.2.0/24", "allow example.com"], 1),
    (["allow example.com", "deny 192.0.2.7"], 1),
    (["allow com", "deny example.com"], 1),
    (["allow mail.example.com", "deny example.com"], 0),
    (["deny 192.0.2.7", "allow bob@sender.example"], 1),
    (["deny 192.0.2.7", "allow 192.0.2.7"], 1),
    (["allow 192.0.2.7", "deny 192.0.2.7"], 1),
    (["allow 192.0.2.7 all anna@example.org", "deny 192.0.2.7"], 0),
    (["allow 192.0.2.7 all bert@example.org", "deny 192.0.2.7"], 1),
    (["allow 192.0.2.7 all example.org", "deny 192.0.2.7 all anna@example.org"], 1),
    (["allow 192.0.2.7 lists", "deny 192.0.2.7"], 1),
    (["deny 192.0.2.7", "allow 192.0.2.7 lists"], 0),
    (["deny sender.example"], 0),
    (["deny example.net"], 0),
    (["allow sender.example"], None),
    (["allow example.net"], None),
    (["deny 192.0.2.7", "allow sender.example", "allow example.net"], 0),
    (["deny ample.com", "deny xample.com"], None),
]


def ruled(*lines: str) -> list[Override]:
    made = []
    for number, line in enumerate(lines):
        action, subject, *more = line.split()
        temporary = action == "defer"
        action = "deny" if temporary else action
        made.append(Override(key_of(action, subject, *more, temporary=temporary), 1000 + number))
    return made


@pytest.mark.parametrize(("lines", "decisive"), WORDS)
def test_the_word_that_counts(lines, decisive):
    rules = ruled(*lines)
    for order in (rules, rules[::-1]):
        found = decide(OverrideIndex(order).matches(MAIL, 2000))
        assert found == (None if decisive is None else rules[decisive])


def test_an_allowance_for_lists_counts_for_lists():
    (only,) = ruled("allow 192.0.2.7 lists")
    held = OverrideIndex([only]).matches(MAIL, 2000)
    assert (decide(held), decide_for_lists(held)) == (None, only)
    spf, helo = ruled("allow 192.0.2.7 spf", "allow example.net lists")
    assert decide_for_lists(OverrideIndex([spf, helo]).matches(MAIL, 2000)) is None


addresses = st.builds(lambda low: ip_address(0xC0000200 + low), st.integers(0, 15)) | st.builds(
    lambda low: ip_address((0x20010DB8 << 96) + low), st.integers(0, 15)
)
networks = st.builds(
    lambda address, length: str(ip_network((address, max(1, address.max_prefixlen - length)), strict=False)),
    addresses, st.integers(0, 5),
)  # fmt: skip


@given(st.lists(st.tuples(networks, st.integers(0, 4)), max_size=12), addresses, st.lists(st.integers(0, 11)))
def test_networks_are_found_as_by_looking_at_each(made, client, dropped):
    rules = {key_of("deny", text): Override(key_of("deny", text), 0, until) for text, until in made}
    index = OverrideIndex(rules.values())
    for number in dropped:
        if number < len(made):
            index.drop(key := key_of("deny", made[number][0]))
            rules.pop(key, None)
    expected = {key for key, rule in rules.items() if client in ip_network(key.subject) and rule.in_force(2)}
    found = index.matches(Subjects(client), 2)
    assert {each.override.key for each in found} == expected
    lengths = [ip_network(each.override.key.subject).prefixlen for each in found]
    assert lengths == sorted(lengths, reverse=True)
    assert len(index) == len(rules) == len(list(index))
    for key in list(rules):
        index.drop(key)
    assert (len(index), list(index), index.names_domains) == (0, [], False)


# -- the check

SUPPRESSED = [
    ("allow 192.0.2.7", {ANYTHING}),
    ("allow 192.0.2.7 lists", {Topic(source="lists")}),
    ("allow 192.0.2.7 greylist", {GREYLISTING}),
    ("allow 192.0.2.7 spf", {Topic(source="spf")}),
    ("allow mail.example.com spf", {Topic(source="spf")}),
    ("allow bob@sender.example greylist", {GREYLISTING}),
    ("allow sender.example", {Topic("sender")}),
    ("allow sender.example lists", {Topic("sender", "lists")}),
    ("allow sender.example spf", {Topic("sender", "spf")}),
    ("allow sender.example greylist", set()),
    ("allow example.net", {Topic("helo")}),
    ("allow example.net lists", {Topic("helo", "lists")}),
    ("allow example.net spf", set()),
    ("allow 192.0.2.8", set()),
]
SUBJECT = {"helo_name": "Helo.Example.NET", "sender": "Bob@Sender.example", "recipient": "Anna@example.org"}
NAMES = World({f"{REVERSE} PTR": ptr("mail.example.com"), "mail.example.com A": a(CLIENT)})


@pytest.mark.parametrize(("line", "suppresses"), SUPPRESSED)
def test_what_an_allowance_suppresses(line, suppresses):
    findings = judged(OverridesCheck(OverrideIndex(ruled(line))), attempt(**SUBJECT), NAMES)
    assert {each for finding in findings for each in finding.effect.suppresses} == suppresses
    assert [finding.code for finding in findings] == ["override_allow" if suppresses else "override_none"]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("deny 192.0.2.7", "554 5.7.1 Client host rejected (Access denied)"),
        ("deny example.com", "554 5.7.1 Client host rejected (Access denied)"),
        ("deny bob@sender.example", "554 5.7.1 Sender address rejected (Access denied)"),
        ("deny sender.example", "554 5.7.1 Sender address rejected (Access denied)"),
        ("deny example.net", "554 5.7.1 Helo command rejected (Access denied)"),
    ],
)
def test_what_is_denied_is_told_as_postfix_tells_it(line, said):
    (finding,) = judged(OverridesCheck(OverrideIndex(ruled(line))), attempt(**SUBJECT), NAMES)
    assert (finding.code, str(finding.reply), finding.effect) == ("override_deny", said, Effect(final=True))


@pytest.mark.parametrize(
    ("lines", "reply"),
    [
        (["defer 192.0.2.7"], 450),
        (["defer bob@sender.example"], 450),
        (["defer example.com"], 450),
        (["defer 192.0.2.7", "deny 192.0.2.7"], 554),
        (["deny 192.0.2.0/24", "defer 192.0.2.7"], 554),
        (["allow 192.0.2.7", "defer 192.0.2.7"], 450),
        (["defer 192.0.2.7", "allow 192.0.2.7"], None),
        (["deny 192.0.2.0/24", "allow 192.0.2.7", "defer bob@sender.example"], 450),
    ],
)
def test_a_temporary_denial_puts_off_and_is_no_help_to_who_is_denied(lines, reply):
    """Of two on one subject the later counts, so the order of the lines is that of time."""
    findings = judged(OverridesCheck(OverrideIndex(ruled(*lines))), attempt(**SUBJECT), NAMES)
    assert [each.reply and each.reply.code for each in findings] == [reply]


def test_in_the_zones_a_temporary_denial_does_not_exist():
    """A listing refuses for good, and the bounce of a ban is what it is there to avoid."""
    held = OverrideIndex(ruled("allow 192.0.2.0/24", "defer 192.0.2.7")).matches(Subjects(ip_address(CLIENT)), 2)
    assert decide(held).key.temporary
    assert decide_for_lists(held).key.action == "allow"


@pytest.mark.parametrize(
    ("lines", "asks"),
    [
        ([], 0),
        (["allow 192.0.2.7", "deny bob@sender.example", "deny 192.0.0.0/16"], 0),
        (["allow example.com"], 2),
        (["allow example.com", "deny 192.0.2.7"], 0),
        (["allow example.com", "deny 192.0.2.0/24"], 2),
    ],
)
def test_names_are_looked_up_only_where_they_matter(lines, asks):
    check, subject = OverridesCheck(OverrideIndex(ruled(*lines))), attempt(**SUBJECT)
    assert len(asked(check, subject, NAMES)) == asks


@pytest.mark.parametrize("reply", [TIMEOUT, a("192.0.2.9")])
def test_a_name_that_is_not_proved_is_no_name(reply):
    world = World({f"{REVERSE} PTR": ptr("mail.example.com"), "mail.example.com A": reply})
    (finding,) = judged(OverridesCheck(OverrideIndex(ruled("allow example.com"))), attempt(**SUBJECT), world)
    assert finding.code == "override_none"


# -- in a verdict


def policy_with(*lines, internet=None, greylist=None, preset="tutorial"):
    index = OverrideIndex(ruled(*lines))
    hits: list[OverrideMatch] = []
    setup = Setup(
        internet, greylist, checks=lambda lists: build(PRESETS[preset], lists, overrides=index), hit=hits.extend
    )  # fmt: skip
    setup.hits = hits
    return setup


SPAM = {("zen", CLIENT): listed("zen", 6)}


@virtual
async def test_a_denied_client_costs_nobody_a_question():
    setup = policy_with(f"deny {CLIENT}")
    verdict = await setup.policy.verdict_on(attempt(**DELIVERY), record=True)
    assert verdict.action is Action.REJECT
    assert str(verdict.reply).startswith("554 5.7.1 Client host rejected (Access denied); ref ")
    assert setup.internet.asked == []
    assert [each.override.key.subject for each in setup.hits] == [CLIENT]


@virtual
async def test_a_ban_is_put_off_whatever_the_lists_say_and_costs_nobody_a_question():
    setup = policy_with(f"defer {CLIENT}", internet=Internet(GOOD, SPAM))
    verdict = await setup.policy.verdict_on(attempt(**DELIVERY), record=True)
    assert (verdict.action, verdict.reply.code) == (Action.DEFER, 450)
    assert setup.internet.asked == []
    assert verdict.greylist is None


@virtual
async def test_who_only_looks_is_not_counted():
    setup = policy_with(f"deny {CLIENT}")
    assert (await setup.policy.verdict_on(attempt(**DELIVERY), record=False)).action is Action.REJECT
    assert setup.hits == []


@pytest.mark.parametrize("preset", ["tutorial", "scored"])
@pytest.mark.parametrize(
    ("line", "action"),
    [
        (f"allow {CLIENT}", Action.ACCEPT),
        (f"allow {CLIENT} lists", Action.ACCEPT),
        ("allow 192.0.2.0/24", Action.ACCEPT),
        ("allow example.com", Action.ACCEPT),
        ("allow joe@example.com", Action.ACCEPT),
        (f"allow {CLIENT} spf", Action.REJECT),
        (f"allow {CLIENT} all other@example.org", Action.REJECT),
        (f"allow {CLIENT} all ann@example.org", Action.ACCEPT),
        ("allow example.net", Action.REJECT),
    ],
)
@virtual
async def test_an_allowed_client_passes_though_listed(preset, line, action):
    setup = policy_with(line, internet=Internet(GOOD, SPAM), preset=preset)
    assert (await setup.policy.verdict_on(attempt(**DELIVERY), record=True)).action is action
    assert setup.hits or action is Action.REJECT


@virtual
async def test_a_name_that_comes_late_still_lifts_what_lists_have_said_before():
    setup = policy_with("allow example.com", internet=Internet(GOOD, SPAM, delays={f"{HOST} A": 1.5}))
    assert (await setup.policy.verdict_on(attempt(**DELIVERY), record=True)).action is Action.ACCEPT


@pytest.mark.parametrize(
    ("line", "called"), [("allow 192.0.2.7 greylist", 0), ("allow 192.0.2.7", 0), ("allow 192.0.2.7 lists", 1)]
)
@virtual
async def test_who_need_not_wait_does_not(line, called):
    setup = policy_with(line, greylist=GreylistOutcome("new", 300, 0, "new"))
    verdict = await setup.policy.verdict_on(attempt(**DELIVERY), record=True)
    assert (len(setup.greylist.calls), verdict.action) == (called, Action.GREYLIST if called else Action.ACCEPT)


@virtual
async def test_postmaster_hears_of_everybody():
    setup = policy_with(f"deny {CLIENT}")
    verdict = await setup.policy.verdict_on(attempt(**{**DELIVERY, "recipient": "postmaster@example.org"}), record=True)
    assert verdict.action is Action.ACCEPT


@virtual
async def test_lists_are_not_asked_about_whom_they_cannot_touch():
    internet = Internet(GOOD, SPAM, rtt=0.01, silent=[ListLookup("zen", ip_address(CLIENT))])
    setup = policy_with(f"allow {CLIENT}", internet=internet)
    verdict = await setup.policy.verdict_on(attempt(**DELIVERY), record=True)
    assert (verdict.action, verdict.ms < 100) == (Action.ACCEPT, True)


# -- the book: over every store


@pytest.fixture(params=["memory", "disk"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    opened: Store = MemoryStore() if request.param == "memory" else await open_store(tmp_path / "var", Counters())
    yield opened
    await opened.close()


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def monotonic(self) -> float:
        return self.now

    def wall(self) -> float:
        return self.now


def book(store: Store) -> tuple[OverrideStore, Clock]:
    clock = Clock()
    return OverrideStore(store, clock, Counters()), clock


def facts(book: OverrideStore) -> list[tuple[str, str, int]]:
    return [(each.override.key.action, each.override.key.subject, each.override.until) for each in book.views()]


async def test_what_is_said_is_there_at_once_and_after_a_restart(store: Store) -> None:
    first, clock = book(store)
    await first.load()
    said = await first.set(NewOverride(key_of("deny", "192.0.2.7"), 3600, "root", "spam", "ID1"))
    await first.set(NewOverride(key_of("allow", "example.com", "lists", "anna@example.org")))
    assert said == Override(key_of("deny", "192.0.2.7"), int(NOW), int(NOW) + 3600, "root", "spam", "ID1")
    again, _ = book(store)
    await again.load()
    assert again.views() == first.views()
    assert len(again.index.matches(Subjects(ip_address("192.0.2.7")), clock.now)) == 1


async def test_saying_it_again_is_harmless_and_starts_anew(store: Store) -> None:
    first, clock = book(store)
    for _ in range(3):
        await first.set(NewOverride(key_of("deny", "192.0.2.7"), 3600))
        clock.now += 100
    assert facts(first) == [("deny", "192.0.2.7", int(NOW) + 200 + 3600)]
    assert [entry.key async for entry in store.scan(TABLE, clock.now)] == [b"deny all 192.0.2.7"]


@pytest.mark.parametrize(
    ("before", "after", "owner", "until"),
    [
        (None, 3600, "root", 0),
        (7200, 3600, "root", 7200),
        (3600, 7200, "root", 7200),
        (3600, None, "root", 0),
        (None, 3600, "anna", 3600),
        (7200, 3600, "anna", 3600),
    ],
)
async def test_a_ban_for_an_hour_never_shortens_somebody_elses(before, after, owner, until) -> None:
    first, _ = book(MemoryStore())
    await first.set(NewOverride(key_of("deny", "192.0.2.7"), before, "anna"))
    said = await first.set(NewOverride(key_of("deny", "192.0.2.7"), after, owner))
    assert said.until == (int(NOW) + until if until else 0)
    assert said.owner == ("anna" if until == (before or 0) else owner)


async def test_the_later_word_counts_within_a_second_too() -> None:
    first, clock = book(MemoryStore())
    for action in ("allow", "deny", "allow", "deny"):
        await first.set(NewOverride(key_of(action, "192.0.2.7")))
        found = decide(first.index.matches(MAIL, clock.now))
        assert found is not None
        assert found.key.action == action
    assert [each.overruled for each in first.views()] == [True, False]


async def test_a_ban_gives_an_older_allowance_back_when_it_ends(store: Store) -> None:
    first, clock = book(store)
    await first.set(NewOverride(key_of("allow", "192.0.2.7")))
    clock.now += 1
    await first.set(NewOverride(key_of("deny", "192.0.2.7"), 60))
    assert facts(first) == [("allow", "192.0.2.7", 0), ("deny", "192.0.2.7", int(clock.now) + 60)]
    clock.now += 60
    assert facts(first) == [("allow", "192.0.2.7", 0)]
    await first.expire()
    assert len(first.index) == 1


async def test_what_is_taken_back_is_gone_for_good(store: Store) -> None:
    first, clock = book(store)
    await first.set(NewOverride(key_of("deny", "192.0.2.7")))
    assert await first.forget([key_of("deny", "192.0.2.7"), key_of("allow", "192.0.2.7")]) == 1
    again, _ = book(store)
    await again.load()
    assert facts(first) == facts(again) == []
    assert await store.get(TABLE, b"deny all 192.0.2.7", clock.now) is None


async def test_hits_are_counted_and_kept(store: Store) -> None:
    first, clock = book(store)
    said = await first.set(NewOverride(key_of("deny", "192.0.2.7")))
    clock.now += 5
    first.count_hits([OverrideMatch(said, Role.CLIENT)])
    first.count_hits([OverrideMatch(said, Role.CLIENT)])
    await first.expire()
    again, _ = book(store)
    await again.load()
    (shown,) = again.views()
    assert (shown.override.hits, shown.override.last) == (2, int(NOW) + 5)
    assert (await first.set(NewOverride(key_of("deny", "192.0.2.7")))).hits == 2
    first.count_hits([OverrideMatch(Override(key_of("deny", "192.0.2.8"), 0), Role.CLIENT)])
    assert len(first.index) == 1


async def test_hits_are_added_up_by_hosts_and_bring_nothing_back(store: Store) -> None:
    hosts = [book(store)[0] for _ in range(3)]
    said = [await hosts[0].set(NewOverride(key_of("deny", f"192.0.2.{number}"))) for number in (7, 8)]
    for host in hosts:
        await host.load()
        for _ in range(2):
            host.count_hits([OverrideMatch(each, Role.CLIENT) for each in said])
    assert await hosts[0].forget([said[1].key]) == 1
    for host in hosts:
        await host.expire()
        await host.expire()
    again, _ = book(store)
    await again.load()
    (view,) = again.views()
    assert (view.override.key, view.override.hits) == (said[0].key, 6)
    assert not any(host._counted for host in hosts)


async def test_hits_wait_for_a_store_that_fails() -> None:
    class Failing(MemoryStore):
        fails = False

        async def cas(self, *given: object) -> bool:
            if self.fails:
                raise StoreError("full")
            return await super().cas(*given)  # type: ignore[arg-type]

    store = Failing()
    first, clock = book(store)
    said = await first.set(NewOverride(key_of("deny", "192.0.2.7")))
    for store.fails in (True, False, False):
        first.count_hits([OverrideMatch(said, Role.CLIENT)])
        await first.expire()
    stored = decode(b"deny all 192.0.2.7", await store.get(TABLE, b"deny all 192.0.2.7", clock.now) or b"")
    assert stored is not None
    assert stored.hits == 3


async def test_hits_bring_nothing_back_that_is_taken_back_while_they_are_written() -> None:
    class TakenBack(MemoryStore):
        asked = False

        async def get(self, table: str, key: bytes, now: float) -> bytes | None:
            value = await super().get(table, key, now)
            if not self.asked:
                self.asked = True
                self.delete(table, key)
            return value

    store = TakenBack()
    first, clock = book(store)
    said = await first.set(NewOverride(key_of("deny", "192.0.2.7")))
    first.count_hits([OverrideMatch(said, Role.CLIENT)])
    await first.expire()
    await first.expire()
    assert await store.get(TABLE, b"deny all 192.0.2.7", clock.now) is None
    assert not first._counted


@pytest.fixture
async def watched(store: Store) -> AsyncIterator[tuple[OverrideStore, OverrideStore, Clock]]:
    """Two hosts of one store, which look after its changes."""
    (first, clock), (second, _) = book(store), book(store)
    second._clock = clock
    running = [asyncio.create_task(each.run()) for each in (first, second)]
    await asyncio.gather(first.ready(5), second.ready(5))
    yield first, second, clock
    for each in running:
        each.cancel()
    await asyncio.gather(*running, return_exceptions=True)


async def seen(store: Store, condition: Callable[[], bool]) -> None:
    """Until it is so; each round waits for the store's thread."""
    for _ in range(2000):
        if condition():
            return
        await store.tables()
        await asyncio.sleep(0)
    raise AssertionError


async def test_what_another_host_says_counts_here(
    store: Store, watched: tuple[OverrideStore, OverrideStore, Clock]
) -> None:
    first, second, clock = watched
    begun = second.generation.number
    await first.set(NewOverride(key_of("deny", "192.0.2.7"), 3600, "root", "spam", "ID1"))
    await seen(store, lambda: second.views() == first.views() != [])
    assert second.generation.number > begun
    assert decide(second.index.matches(MAIL, clock.now)) is not None
    await second.set(NewOverride(key_of("deny", "192.0.2.7"), 60, "root"))
    await seen(store, lambda: facts(first) == [("deny", "192.0.2.7", int(NOW) + 60)])
    await first.forget([key_of("deny", "192.0.2.7")])
    await seen(store, lambda: not second.views())
    assert second.index.get(key_of("deny", "192.0.2.7")) is None


async def test_what_is_loaded_into_the_store_counts_without_a_reload(
    store: Store, watched: tuple[OverrideStore, OverrideStore, Clock]
) -> None:
    first, second, _ = watched
    count = bounds.STORE_CHANGES + 200
    for number in range(count):
        override = Override(key_of("deny", f"10.0.{number >> 8}.{number & 255}"), int(NOW))
        store.put(TABLE, encode_key(override.key), encode(override), FOREVER)
    await seen(store, lambda: len(first.index) == len(second.index) == count)
    for number in range(count):
        store.delete(TABLE, encode_key(key_of("deny", f"10.0.{number >> 8}.{number & 255}")))
    await seen(store, lambda: len(first.index) == len(second.index) == 0)


async def test_a_record_that_is_damaged_meanwhile_counts_no_more(
    store: Store, watched: tuple[OverrideStore, OverrideStore, Clock]
) -> None:
    first, second, _ = watched
    await first.set(NewOverride(key_of("deny", "192.0.2.7")))
    await seen(store, lambda: len(second.index) == 1)
    store.put(TABLE, b"deny all 192.0.2.7", b"rubbish", FOREVER)
    store.put(TABLE, b"rubbish", b"rubbish", FOREVER)
    store.delete(TABLE, b"rubbish")
    await seen(store, lambda: len(first.index) == len(second.index) == 0)


async def test_what_is_counted_meanwhile_is_not_forgotten_for_what_is_stored(
    store: Store, watched: tuple[OverrideStore, OverrideStore, Clock]
) -> None:
    first, second, _ = watched
    said = await first.set(NewOverride(key_of("deny", "192.0.2.7")))
    await seen(store, lambda: len(second.index) == 1)
    begun = second.generation.number
    for _ in range(3):
        second.count_hits([OverrideMatch(said, Role.CLIENT)])
    first.count_hits([OverrideMatch(said, Role.CLIENT)])
    await first.expire()
    for _ in range(5):
        await store.tables()
        await asyncio.sleep(0)
    assert [view.override.hits for view in second.views()] == [3]
    assert second.generation.number == begun, "what is counted decides nothing"
    await second.expire()
    await seen(store, lambda: [view.override.hits for view in first.views()] == [4])


async def test_every_change_is_in_the_audit_log(caplog: pytest.LogCaptureFixture) -> None:
    first, clock = book(MemoryStore())
    with caplog.at_level(logging.INFO, "resolverd.audit"):
        await first.set(NewOverride(key_of("deny", "192.0.2.7"), 60, "root", "spam run", "ID1"))
        clock.now += 61
        await first.expire()
        await first.set(NewOverride(key_of("allow", "example.com", "lists", "anna@example.org"), owner="anna"))
        await first.forget([key_of("allow", "example.com", "lists", "anna@example.org")], "eve")
    told = [record.later(False) for record in caplog.records if record.name == "resolverd.audit"]
    assert [(each["audit"], each["subject"], each["owner"]) for each in told] == [
        ("deny", "192.0.2.7", "root"), ("expired", "192.0.2.7", "root"), ("allow", "example.com", "anna"),
        ("forget", "example.com", "eve"),
    ]  # fmt: skip
    assert (told[0]["note"], told[0]["from_id"], told[0]["until"]) == ("spam run", "ID1", int(NOW) + 60)
    assert (told[2]["scope"], told[2]["to"], told[2]["until"]) == ("lists", "anna@example.org", "")


async def test_a_ban_survives_a_restart_beside_a_denial_for_good(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    first, _ = book(store)
    with caplog.at_level(logging.INFO, "resolverd.audit"):
        for temporary in (True, False):
            owner = "fail2ban" if temporary else "anna"
            await first.set(NewOverride(key_of("deny", "192.0.2.7", temporary=temporary), owner=owner))
    told = [record.later(False) for record in caplog.records if record.name == "resolverd.audit"]
    assert [(each["audit"], each["temporary"]) for each in told] == [("deny", "yes"), ("deny", "")]
    again, _ = book(store)
    await again.load()
    kept = {(each.override.owner, each.override.key.temporary) for each in again.views()}
    assert kept == {("fail2ban", True), ("anna", False)}


async def test_damaged_records_do_not_count_and_are_told(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    first, _ = book(store)
    await first.set(NewOverride(key_of("deny", "192.0.2.7")))
    store.put(TABLE, b"deny all 192.0.2.8", b"rubbish", FOREVER)
    store.put(TABLE, b"rubbish", b"", FOREVER)
    again, _ = book(store)
    await again.load()
    assert facts(again) == [("deny", "192.0.2.7", 0)]
    assert sum("cannot be read" in each for each in caplog.messages) == 2
    for number in range(2 * bounds.WARNED_OF):
        store.put(TABLE, b"rubbish %d" % number, b"", FOREVER)
    await again.load()
    assert sum("cannot be read" in each for each in caplog.messages) == bounds.WARNED_OF, "others may write as many as they like"


async def test_there_are_only_so_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "OVERRIDES", 5)
    first, _ = book(MemoryStore())
    for number in range(5):
        await first.set(NewOverride(key_of("deny", f"192.0.2.{number}")))
    with pytest.raises(Full):
        await first.set(NewOverride(key_of("deny", "192.0.2.77")))
    await first.set(NewOverride(key_of("deny", "192.0.2.1"), 60))
    assert len(first.views()) == 5


class Broken(MemoryStore):
    works = False

    def put(self, table: str, key: bytes, value: bytes, expires: float) -> None:
        if not self.works:
            raise StoreError("out of order")
        super().put(table, key, value, expires)

    def scan(self, table: str, now: float, start: bytes = b"") -> AsyncIterator[object]:
        if not self.works:
            raise StoreError("out of order")
        return super().scan(table, now, start)


async def test_without_a_store_nothing_is_in_force_until_it_is_back() -> None:
    broken = Broken()
    broken.works = True
    before, _ = book(broken)
    await before.set(NewOverride(key_of("deny", "192.0.2.7")))
    broken.works = False
    first, _ = book(broken)
    await first.load()
    assert facts(first) == []
    with pytest.raises(StoreError):
        await first.set(NewOverride(key_of("deny", "192.0.2.8")))
    assert facts(first) == []
    broken.works = True
    await first.expire()
    assert facts(first) == [("deny", "192.0.2.7", 0)]


async def test_they_are_shown_in_order() -> None:
    first, _ = book(MemoryStore())
    subjects = ["example.com", "192.0.2.10", "192.0.2.9", "mail.example.com", "2001:db8::/32", "example.net", "b@example.com"]
    for subject in subjects:
        await first.set(NewOverride(key_of("deny", subject)))
    order = [subject for _, subject, _ in facts(first)]
    assert sorted(order) == sorted(subjects)
    assert order.index("192.0.2.9") + 1 == order.index("192.0.2.10")
    assert order.index("example.com") + 1 == order.index("mail.example.com")


async def test_the_file_holds_what_the_format_says(tmp_path: Path) -> None:
    opened = await open_store(tmp_path / "var", Counters())
    first, _ = book(opened)
    said = await first.set(NewOverride(key_of("deny", "192.0.2.7"), 3600, "root"))
    await opened.close()
    with closing(sqlite3.connect(database(tmp_path / "var"))) as connection, connection:
        rows = dict(connection.execute("SELECT key, value FROM Cache").fetchall())
    assert rows[b"overrides\0deny all 192.0.2.7"][8:] == encode(said)


@virtual
async def test_time_is_the_walls() -> None:
    clock = VirtualClock()
    first = OverrideStore(MemoryStore(), clock, Counters())
    await first.set(NewOverride(key_of("deny", "192.0.2.7"), 60))
    clock.set_wall(clock.wall() + 59)
    assert len(first.views()) == 1
    clock.set_wall(clock.wall() + 1)
    assert first.views() == []


@virtual
async def test_each_recipient_of_a_message_has_the_word_that_is_his() -> None:
    lines = ("allow 192.0.2.7 all ann@example.org", "deny joe@example.com all eve@example.org")
    setup = policy_with(*lines, internet=Internet(GOOD, SPAM))
    for recipient, action in (("bob", Action.REJECT), ("ann", Action.ACCEPT), ("eve", Action.REJECT), ("ann", Action.ACCEPT)):
        verdict = await setup.policy.verdict_on(attempt(**{**DELIVERY, "recipient": f"{recipient}@example.org"}), record=True)
        assert verdict.action is action
    assert len(setup.hits) == 3
