"""Replay: verdicts that the policy service has given, judged once more from what is kept of them."""

from functools import cache
from ipaddress import ip_address, ip_network

import pytest
from mailcases import CLIENT, LISTS, REVERSE, ZEN, a, attempt, listed, ptr, txt
from mailcases import spec as mail_spec
from virtualtime import virtual

from resolverd.dnsbl.codes import CodeTable
from resolverd.dnsbl.tables import read_codes
from resolverd.failures import Unknown, Why
from resolverd.greylist.decide import GreylistRules
from resolverd.mail.findings import Consequence, GreylistOutcome
from resolverd.mail.lookups import ListLookup
from resolverd.ops.replay.compare import Comparison, Variant
from resolverd.ops.replay.judge import Configuration, Kept, judge, said_then
from resolverd.overrides.matching import OverrideIndex
from resolverd.overrides.rules import DENY, EVERYTHING, Override, key_of
from resolverd.policy.check import CheckRules
from resolverd.policy.checks import PRESETS, build
from resolverd.policy.checks.spf import SpfOptions
from resolverd.policy.local_domains import of_names
from resolverd.policy.verdict import Mode, RecipientPolicy, VerdictRules
from resolverd.policy.verdict_records import decode, encode, kept_attempt
from resolverd.values import replace
from tests.unit.policy.test_service import DELIVERY, GOOD, HOST, Internet, Setup

NOW = 1_800_000_000


def coded(spec, codes=None):
    """The list with the meaning of its codes."""
    faults = []
    table = codes or {"127.0.0.2": {"means": "spam", "trust": 2} if spec.allows else "spam"}
    read = read_codes(table, spec.allows, lambda *fault: faults.append(fault))
    assert faults == []
    return spec.__class__(**{
        name: getattr(spec, name) for name in spec.__dataclass_fields__ if name not in ("codes", "allows")
    }, codes=CodeTable(read))  # fmt: skip


SPECS = tuple(map(coded, LISTS))
SPF = {"header": "none"}
WEIGHTS = {spec.id: spec.weight for spec in SPECS}


def config(preset="tutorial", lists=SPECS, rules=(), options=None, overrides=None, local=(), greylist=None, **verdict):
    """A configuration; `rules` by check."""
    checks = build(
        {**PRESETS[preset], **dict(rules)}, lists, options={"spf": SpfOptions(**SPF), **(options or {})},
        overrides=OverrideIndex(overrides) if overrides is not None else None, local=of_names(local),
    )  # fmt: skip
    return Configuration(checks, {spec.shown: spec for spec in lists}, VerdictRules(**verdict), greylist or GreylistRules())


async def kept(internet=None, greylist=None, preset="tutorial", rules=None, **attributes):
    """A verdict as it comes back from the store."""
    internet = internet or Internet(GOOD)
    internet.specs = SPECS
    setup = Setup(internet, greylist, preset, **(rules or {}))
    verdict = await setup.verdict(**attributes)
    octets = encode(verdict, NOW - 60, None, kept_attempt(attempt(**(DELIVERY | attributes))))
    return Kept.of(decode(octets, NOW, as_kept=True), NOW)


def on(*pairs, **more):
    """An internet in which these lists (name, subject) list somebody."""
    lists = {(name, subject): listed(name, WEIGHTS[name], trust=2 if name == "allow" else 0) for name, subject in pairs}
    return Internet({**GOOD, **more.pop("records", {})}, lists, **more)


BOTH = (("zen", CLIENT), ("psbl", CLIENT))
SPF_FAILS = {"example.com TXT": txt(*(f"site-verification={number}" for number in range(9)), "v=spf1 -all")}
"""The record that counts is the last of ten, of which four are kept."""
CASES = {
    "good": lambda: kept(),
    "listed": lambda: kept(on(("zen", CLIENT))),
    "listed twice": lambda: kept(on(*BOTH)),
    "listed by psbl": lambda: kept(on(("psbl", CLIENT))),
    "sender listed": lambda: kept(on(("dbl", "example.com"))),
    "allow-listed": lambda: kept(on(("zen", CLIENT), ("allow", CLIENT))),
    "no name": lambda: kept(Internet({f"{HOST} A": a(CLIENT), "example.com MX": GOOD["example.com MX"]})),
    "mismatch": lambda: kept(Internet({**GOOD, f"{REVERSE} PTR": ptr("b.example"), "b.example A": a("192.0.2.9")})),
    "names unknown": lambda: kept(on(silent=[f"{REVERSE} PTR"])),
    "offline": lambda: kept(on(silent=[f"{REVERSE} PTR"]), rules={"online": lambda: False}),
    "list late": lambda: kept(on(silent=[ListLookup("zen", attempt().client_address)])),
    "allow list late": lambda: kept(on(("zen", CLIENT), silent=[ListLookup("allow", attempt().client_address)])),
    "list blocked": lambda: kept(Internet(GOOD, {("zen", CLIENT): Unknown(Why.BLOCKED, "answered its error code")})),
    "helo": lambda: kept(helo_name="friend"),
    "sender domain": lambda: kept(sender="joe@nowhere.example"),
    "spf": lambda: kept(Internet({**GOOD, **SPF_FAILS})),
    "many records": lambda: kept(Internet({**GOOD, "example.com TXT": txt(*(f"x={number}" for number in range(20)))})),
    "postmaster": lambda: kept(on(("zen", CLIENT)), recipient="postmaster@example.org"),
    "greylisted": lambda: kept(greylist=GreylistOutcome("new", missing=300, reason="new")),
    "passed": lambda: kept(greylist=GreylistOutcome("passed", delayed=400, reason="triplet found")),
    "null sender": lambda: kept(sender=""),
    "names given": lambda: kept(on(("zen", CLIENT)), client_name=HOST, reverse_client_name=HOST),
    "private": lambda: kept(client_address="10.0.0.7"),
    "six": lambda: kept(client_address="2001:db8::7"),
}  # fmt: skip


@cache
def everything():
    """All of them, made once."""
    found = {}

    @virtual
    async def make():
        found.update({name: await made() for name, made in CASES.items()})

    make()
    return found


def outcome(judged):
    return (judged.said.action, judged.said.code), judged.unknown


@pytest.mark.parametrize("name", CASES)
def test_the_same_configuration_says_the_same(name):
    found = everything()[name]
    then = said_then(found.verdict)
    assert outcome(judge(found, config(), NOW)) == ((then.action, then.code), ())


@pytest.mark.parametrize("name", CASES)
def test_and_so_does_the_other_preset(name, monkeypatch):
    @virtual
    async def run():
        setup = Setup.__init__
        monkeypatch.setattr(Setup, "__init__", lambda self, net, grey, *_, **more: setup(self, net, grey, "scored", **more))
        found = await CASES[name]()
        then = said_then(found.verdict)
        assert outcome(judge(found, config("scored"), NOW)) == ((then.action, then.code), ())

    run()


def replace_spec(spec, name, number):
    """The same list under another name."""
    return coded(mail_spec(name, " ".join(spec.kinds), weight=spec.weight, number=number))


def without(name):
    return tuple(spec for spec in SPECS if spec.id != name)


def changed(old, **codes):
    return tuple(coded(spec, codes["codes"]) if spec is old else spec for spec in SPECS)


BY_NAME = {spec.id: spec for spec in SPECS}
DENIED = Override(key_of(DENY, CLIENT, EVERYTHING), NOW - 5, 0, "admin", "", "")
REJECTS = {"listed", "listed twice", "names given"}
"""What zen refuses for good."""
LET = ("not_refused", 0)
PASS = {"good", "offline", "allow-listed", "postmaster", "passed", "list late", "list blocked", "many records", "null sender"}
OF_CLIENT = {name for name in CASES if name not in ("private", "six")}
SINGLE = {
    "no change": (config(), {}),
    "drop zen": (config(lists=without("zen")), {"listed": LET, "names given": LET, "allow list late": LET}),
    "drop psbl": (config(lists=without("psbl")), {"listed by psbl": LET}),
    "drop dbl": (config(lists=without("dbl")), {"sender listed": LET}),
    "drop the allow list": (
        config(lists=without("allow")), {"allow-listed": ("reject", 554), "allow list late": ("reject", 554)},
    ),
    "zen weighs nothing": (
        config(lists=changed(BY_NAME["zen"], codes={"127.0.0.2": {"means": "spam", "weight": 0}})),
        {"listed": LET, "names given": LET, "allow list late": LET},
    ),
    "another code of zen": (
        config(lists=changed(BY_NAME["zen"], codes={"127.0.0.3": "spam"})),
        {"listed": LET, "names given": LET, "allow list late": LET},
    ),
    "lists only warn": (
        config(rules={"dnsbl": CheckRules(Consequence.WARN)}),
        dict.fromkeys((*REJECTS, "listed by psbl", "allow list late"), LET),
    ),
    "lists put off": (
        config(rules={"dnsbl": CheckRules(Consequence.DEFER)}),
        dict.fromkeys((*REJECTS, "listed by psbl"), ("defer", 450)),
    ),
    "names are not looked at": (
        config(rules={"ptr": CheckRules(Consequence.OFF), "fcrdns": CheckRules(Consequence.OFF)}),
        {"no name": LET, "mismatch": LET, "names unknown": LET, "six": LET, "private": LET},
    ),
    "a code for HELO": (config(rules={"helo": CheckRules(code=550)}), {"helo": ("reject", 550)}),
    "a local domain": (config(local=["nowhere.example"]), {"sender domain": LET}),
    # Whether HELO's record fails as well was not asked any more.
    "SPF is only looked at": (config(rules={"spf": CheckRules(Consequence.TAG)}), {"spf": ("DNS TXT",)}),
    "another exempt recipient": (
        config(exempt_recipients=("abuse@",)), {"postmaster": ("reject", 554)},
    ),
    "a trusted network": (
        config(trusted_networks=(ip_network("192.0.2.0/24"),)),
        {name: ("accept", 0) for name in OF_CLIENT if name not in PASS},
    ),
    "a denial": (config(overrides=[DENIED]), {
        name: ("reject", 554) for name in OF_CLIENT if name not in (*REJECTS, "listed by psbl", "sender listed", "postmaster")
    }),
    "observe": (config(mode=Mode.OBSERVE), {
        name: ("accept", 0)
        for name in CASES if name not in PASS
    }),
    "no greylisting": (config(greylist=GreylistRules(enabled=False)), {"greylisted": ("accept", 0)}),
    "none for some": (
        config(policies=(RecipientPolicy(("example.org",), greylist=False),)),
        {"greylisted": ("accept", 0)},
    ),
    "greylisting for longer": (config(greylist=GreylistRules(delay=500)), {"passed": ("greylist", 0)}),
    "greylisting of the suspicious": (config(greylist=GreylistRules(when="suspicious")), {"greylisted": ("accept", 0)}),
}  # fmt: skip


@pytest.mark.parametrize("change", SINGLE)
def test_a_single_change_changes_what_it_should(change):
    new, expected = SINGLE[change]
    found = {}
    for name, verdict in everything().items():
        judged, then = judge(verdict, new, NOW), said_then(verdict.verdict)
        if judged.unknown:
            found[name] = judged.unknown
        elif (judged.said.action, judged.said.code) != (then.action, then.code):
            found[name] = (judged.said.action, judged.said.code)
    assert found == expected


# -- what is not known


@virtual
async def test_what_was_not_asked_is_unknown_and_named():
    found = await kept(rules={})
    added = (*SPECS, coded(replace_spec(ZEN, "other", 7)))
    judged = judge(found, config(lists=added), NOW)
    assert judged.unknown == ("list other",)
    # Where it would change nothing, it is not missed.
    found = await kept(on(("zen", CLIENT)))
    assert outcome(judge(found, config(lists=added), NOW)) == (("reject", 554), ())


@virtual
async def test_who_was_refused_without_greylisting_is_refused_no_more_and_the_rest_is_not_known():
    found = await kept(on(("zen", CLIENT)))
    judged = judge(found, config(lists=without("zen")), NOW)
    assert (judged.said.action, judged.unknown) == ("not_refused", ())
    # One whom greylisting had let be as nothing spoke against it: nobody knows what it would have said.
    passed = await kept(greylist=GreylistOutcome("skipped", reason="not suspicious"))
    assert judge(passed, config(), NOW).unknown == ("greylisting",)
    assert judge(passed, config(greylist=GreylistRules(when="suspicious")), NOW).unknown == ()


@virtual
async def test_of_hashed_names_and_old_records_nothing_is_guessed():
    found = await kept()
    assert "hashes" in judge(found._replace(attempt=found.attempt._replace(nameless=True)), config(), NOW).unknown[0]
    assert "earlier version" in judge(found._replace(attempt=None), config(), NOW).unknown[0]


@virtual
async def test_who_has_logged_in_is_never_judged():
    found = await kept(sasl_username="joe")
    assert outcome(judge(found, config(overrides=[DENIED]), NOW)) == (("accept", 0), ())


# -- many of them


async def compared(*found, new=None, variants=()):
    comparison = Comparison(config(), new or config(), variants, NOW)
    for each in found:
        comparison.add(each)
    return comparison.summary


@virtual
async def test_what_is_counted():
    listed_once, listed_twice = await CASES["listed"](), await CASES["listed twice"]()
    found = [await CASES["passed"](), listed_once, listed_twice, await CASES["good"](), await CASES["list blocked"]()]
    summary = await compared(*found)
    assert (summary.attempts, summary.same, summary.changed, summary.unknown) == (5, 5, 0, 0)
    assert (summary.then.refusals, summary.now.refusals, summary.changes) == (2, 2, [])
    zen = summary.lists["zen"]
    assert (zen.listed, zen.unique, zen.decisive, zen.asked) == (2, 1, 1, 4)
    assert summary.lists["psbl"].listed == 1
    # Who passed greylisting later, from that very network to that very recipient, may have been refused wrongly.
    assert (summary.then.candidates, zen.candidates) == (2, 1)


@virtual
async def test_a_refusal_of_who_was_let_in_before_is_no_candidate():
    summary = await compared(await CASES["listed"](), await CASES["passed"]())
    assert summary.then.candidates == 0


@virtual
async def test_each_list_more_or_less_is_compared_by_itself():
    dropped = [Variant("drop", name, config(lists=without(name))) for name in ("zen", "psbl")]
    both = config(lists=tuple(spec for spec in SPECS if spec.id not in ("zen", "psbl")))
    found = [await CASES[name]() for name in ("listed", "listed twice", "listed by psbl")]
    summary = await compared(*found, new=both, variants=dropped)
    assert summary.changed == 3
    assert summary.transitions == {("reject 554", "not refused"): 3}
    assert [(variant.list_id, before.refusals, after.refusals) for variant, before, after in summary.variants] == [
        ("zen", 3, 2), ("psbl", 3, 2),
    ]  # fmt: skip
    # What is dropped from the configuration is counted as well, for what it was worth beside the others.
    assert [summary.lists[name].listed for name in ("zen", "psbl")] == [2, 2]
    before, after = summary.variants[0][1:]
    assert before.questions - after.questions == 3


@virtual
async def test_changes_beyond_the_bound_are_counted(monkeypatch):
    monkeypatch.setattr("resolverd.bounds.REPLAY_TOLD", 2)
    summary = await compared(*[await CASES["listed"]()] * 3, new=config(lists=without("zen")))
    assert (summary.changed, len(summary.changes)) == (3, 2)


@virtual
async def test_what_is_not_known_is_counted_by_what_is_missing(monkeypatch):
    added = [coded(replace_spec(ZEN, f"other{number}", 7 + number)) for number in range(3)]
    summary = await compared(await CASES["good"](), new=config(lists=(*SPECS, *added)))
    assert summary.missing == {"list other0": 1, "list other1": 1, "list other2": 1}
    monkeypatch.setattr("resolverd.bounds.REPLAY_UNKNOWN", 1)
    summary = await compared(await CASES["good"](), new=config(lists=(*SPECS, *added)))
    assert summary.missing == {"list other0": 1, "others": 2}


@virtual
async def test_what_is_remembered_is_bounded(monkeypatch):
    monkeypatch.setattr("resolverd.bounds.REPLAY_REMEMBERED", 1)
    passed, refused = await CASES["passed"](), await CASES["listed"]()
    to_another = passed.attempt._replace(recipient="x@example.org")
    other = passed._replace(attempt=to_another, verdict=replace(passed.verdict, client=None))
    assert (await compared(passed, refused)).then.candidates == 1
    assert (await compared(passed, other, refused)).then.candidates == 1
    nobody = replace(other.verdict, client=ip_address("198.51.100.1"))
    assert (await compared(passed, other._replace(verdict=nobody), refused)).then.candidates == 0
