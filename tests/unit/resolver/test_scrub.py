"""Taking out any one rule of what is believed makes a named scenario or test fail.

Each rule is named by the function it stands in, and taken out by replacing a piece of that function's source. The scenarios
pass as they are (`test_scenarios` plays them); here each has to notice its rule's absence.
"""

import asyncio
import inspect
import textwrap
from collections.abc import Callable
from pathlib import Path
from types import CodeType
from typing import Any, NamedTuple

import pytest
from virtualtime import VirtualClock, VirtualLoop

from resolverd import bounds
from resolverd.resolver.cache.delegations import DelegationCache
from resolverd.resolver.cache.rrsets import RRsetCache
from resolverd.resolver.iterator import lookup, response, scrub
from resolverd.resolver.iterator.delegation import DelegationPoints
from resolverd.resolver.iterator.iterate import Iterator
from resolverd.resolver.iterator.options import Options
from resolverd.resolver.iterator.query import ServerQuery
from resolverd.resolver.iterator.zone_query import ZoneQuery
from resolverd.values import replace
from resolverd.wire import codes
from resolverd.wire.message import Message
from resolverd.wire.names import from_text
from resolverd.wire.rrset import RRset
from tests.replay import dialect_d, rpl
from tests.unit.resolver import test_caches

SCENARIOS = Path(__file__).parents[2] / "scenarios"


class Rule(NamedTuple):
    """A rule: where it stands, the piece of source that is it, what stands there without it, and who notices."""

    where: Callable[..., Any]
    rule: str
    without: str
    notices: str | Callable[[], object]


NAME, OTHER = from_text("www.evil"), from_text("other.evil")


def message(**sections: tuple[RRset, ...]) -> Message:
    parts = {"answer": (), "authority": (), "additional": (), **sections}
    return Message(1, codes.QR | codes.AA, 0, NAME, codes.A, 1, parts["answer"], parts["authority"], parts["additional"], None)


def check_two_aliases_at_one_name() -> None:
    # RFC 2181 §10.1
    aliases = RRset(NAME, codes.CNAME, 300, (from_text("www.shop"), from_text("www.trap")))
    found, target = scrub.chain(message(answer=(aliases,)), NAME, codes.A, from_text("evil"), whole=False)
    assert (found, target) == ([replace(aliases, rdatas=aliases.rdatas[:1])], from_text("www.shop"))


def check_two_soas() -> None:
    soas = RRset(from_text("evil"), codes.SOA, 300, (b"\0\0" + b"\0" * 20, b"\0\0" + b"\1" * 20))
    assert scrub.denial(message(authority=(soas,)), NAME, from_text("evil")) == (None, ())


def check_glue_is_for_the_servers_named() -> None:
    glue = RRset(OTHER, codes.A, 300, (b"\6\6\6\6",))
    assert scrub.glue(message(additional=(glue,)), (NAME,), from_text("evil")) == ()


def check_glue_of_one_server_is_bounded() -> None:
    glue = RRset(NAME, codes.A, 300, tuple(bytes([45, 0, 0, each]) for each in range(50)))
    ((_, addresses),) = scrub.glue(message(additional=(glue,)), (NAME,), from_text("evil"))
    assert len(addresses) == bounds.MAX_ADDRESSES_PER_NS


def check_only_addresses_are_glue() -> None:
    assert scrub.glue(message(additional=(RRset(NAME, codes.TXT, 300, (b"\1\1\1\1",)),)), (NAME,), from_text("evil")) == ()


def check_two_dnames_at_one_name() -> None:
    dnames = RRset(from_text("evil"), codes.DNAME, 300, (from_text("shop"), from_text("trap")))
    assert scrub.chain(message(answer=(dnames,)), NAME, codes.A, from_text("evil"), whole=False) == ([], NAME)


def check_the_owner_of_a_dname_is_not_redirected() -> None:
    # RFC 6672 §2.3
    dname = RRset(NAME, codes.DNAME, 300, (from_text("trap"),))
    assert scrub.chain(message(answer=(dname,)), NAME, codes.A, from_text("evil"), whole=False) == ([], NAME)


def check_trust() -> None:
    test_caches.test_less_trusted_data_never_replaces_more_trusted_that_lives()


RULES = {
    # scrub: answers
    "a chain ends where the zone ends": Rule(
        scrub.chain, "if not is_subdomain(name, zone):", "if False:", "forwarder_outside_its_zone"
    ),
    "the first alias only": Rule(scrub.chain, "if name in seen or not whole:", "if name in seen:", "first_alias_only"),
    "a DNAME stands in the zone": Rule(scrub._alias, "and is_subdomain(owner, zone) ", "", "dname_from_outside"),
    "a DNAME stands above the name": Rule(scrub._alias, "name != owner and ", "", check_the_owner_of_a_dname_is_not_redirected),
    "a DNAME is one": Rule(scrub._alias, "and len(dname.rdatas) == 1", "", check_two_dnames_at_one_name),
    "a DNAME makes its own alias": Rule(scrub._alias, "for dname in dnames:", "for dname in ():", "dname_makes_its_own_alias"),
    "a DNAME's target is a name": Rule(scrub._alias, "if len(target) > MAX_NAME:", "if False:", "dname_too_long"),
    "one alias at a name": Rule(scrub._alias, "rdatas=cname.rdatas[:1]", "rdatas=cname.rdatas", check_two_aliases_at_one_name),
    # scrub: denials
    "an SOA stands in the zone": Rule(scrub.denial, "if not is_subdomain(owner, zone):", "if False:", "denial_soa_from_outside"),
    "an SOA stands above the name": Rule(scrub.denial, "and is_subdomain(name, owner) ", "", "denial_soa_from_aside"),
    "an SOA is one": Rule(scrub.denial, "and len(rrset.rdatas) == 1", "", check_two_soas),
    "a denial holds for the SOA's minimum": Rule(
        scrub.denial,
        "min(rrset.ttl, rdata.soa(rrset.rdatas[0]).minimum & 0x7FFFFFFF)",
        "rrset.ttl",
        "denial_for_the_soas_minimum",
    ),
    # scrub: referrals and glue
    "a referral leads down": Rule(scrub.referral, "owner != zone and ", "", "referral_to_itself"),
    "a referral stays in the zone": Rule(scrub.referral, "and is_subdomain(owner, zone) ", "", "referral_upwards"),
    "a referral stands above the name": Rule(scrub.referral, "and is_subdomain(name, owner)", "", "referral_aside"),
    "glue is in the delegating zone": Rule(scrub.glue, "and is_subdomain(owner, zone)", "", "glue_from_outside"),
    "glue is for the servers named": Rule(scrub.glue, "and owner in named ", "", check_glue_is_for_the_servers_named),
    "glue is addresses": Rule(scrub.glue, "rrset.rtype in (codes.A, codes.AAAA) and ", "", check_only_addresses_are_glue),
    "glue of one server is bounded": Rule(scrub.glue, "[: bounds.MAX_ADDRESSES_PER_NS]", "", check_glue_of_one_server_is_bounded),
    # classify
    "errors carry no data": Rule(
        response.classify,
        "if message.rcode not in (codes.NOERROR, codes.NXDOMAIN, codes.YXDOMAIN):",
        "if False:",
        "error_with_data",
    ),
    "somebody's cache is no authority": Rule(
        response.classify, "message.flags & (codes.AA | codes.RA) == codes.RA", "False", "recursive_server_last"
    ),
    "YXDOMAIN needs its DNAME": Rule(
        response._meaning, "if message.rcode == codes.YXDOMAIN and not leads_on:", "if False:", "yxdomain_without_reason"
    ),
    "an alias's denial is not its target's": Rule(
        response._meaning,
        "if chain and not (forwarded and is_subdomain(name, zone)):",
        "if False:",
        "alias_denial_is_not_the_targets",
    ),
    "upwards is no answer": Rule(
        response._meaning,
        "rrset.rtype == codes.NS and not is_subdomain(rrset.owner, zone)",
        "False",
        "referral_upwards_with_aa",
    ),
    "forwarders do not refer": Rule(response._meaning, "is not None and not forwarded", "is not None", "referral_of_a_forwarder"),
    # memory
    "an unsigned DNAME redirects one name": Rule(
        lookup.find, "and hit.rrset.security is Security.SECURE", "", "dname_unsigned_once"
    ),
    "glue is no answer": Rule(RRsetCache.get, "entry.trust >= trust", "True", test_caches.test_glue_is_no_answer),
    "glue is no server's own word": Rule(
        RRsetCache.rdatas, "entry.trust >= Trust.UNPROVEN", "True", test_caches.test_the_data_of_several_types_at_once
    ),
    "less trusted data waits": Rule(RRsetCache._store, "if old.trust > trust and now < old.expires:", "if False:", check_trust),
    "a lease is never prolonged": Rule(
        DelegationCache.put, "now < old.expires < delegation.expires", "False", test_caches.test_a_delegation_is_never_prolonged
    ),
    # iterate
    "a lease ends with the parent's": Rule(
        Iterator._descend,
        "min(budget.now + min(referral.ns.ttl, bounds.MAX_DELEGATION_TTL), dp.expires)",
        "budget.now + min(referral.ns.ttl, bounds.MAX_DELEGATION_TTL)",
        "lease_of_a_sub_domain",
    ),
    "a minimised name's denial is no knowledge": Rule(
        ServerQuery._accepted,
        "if minimised and not (isinstance(response, Negative) and response.nxdomain):",
        "if minimised:",
        "middle_name_denied",
    ),
    "large RRsets are forgotten": Rule(
        RRsetCache._store,
        "if size > bounds.MAX_KEPT_RRSET + bounds.MAX_KEPT_AUTHORITY:",
        "if False:",
        test_caches.test_what_is_too_large_is_forgotten,
    ),
    "some addresses are nobody's": Rule(
        Options.may_query, "address in self.exempt or", "True or", "glue_to_this_machine"
    ),
    "lists are asked in full": Rule(
        Options.is_list_name, "is_within(name, self.list_zones)", "False", "list_zone_not_minimised"
    ),
    # what helps the legitimate
    "the parent's glue is a last resort": Rule(
        DelegationPoints.parent_servers,
        "servers = list(dp.parent_glue)\n    for name in dp.names:",
        "servers = []\n    for name in ():",
        "parent_side_addresses",
    ),
    "what only the parent knows is asked of it": Rule(
        ZoneQuery._look_up,
        "zone if is_subdomain(name, zone) and zone != ROOT and not second_family else None",
        "None",
        "glue_left_out_by_the_parent",
    ),
    "somebody's cache is better than nothing": Rule(
        ZoneQuery._take, "self._last_resort or response.last_resort", "None", "recursive_server_only"
    ),
}


def without(rule: Rule) -> CodeType:
    """The function's code without the rule."""
    source = textwrap.dedent(inspect.getsource(rule.where))
    assert source.count(rule.rule) == 1, f"{rule.where.__qualname__} has changed: {rule.rule!r} is not there any more, or twice"
    # For the defaults of arguments; when it runs, the function's own globals are used: only its code is exchanged.
    names: dict[str, Any] = {**rule.where.__globals__}
    exec(compile("from __future__ import annotations\n" + source.replace(rule.rule, rule.without), "<mutant>", "exec"), names)  # noqa: S102
    code: CodeType = names[rule.where.__name__].__code__
    return code


def is_noticed(notices: str | Callable[[], object], folder: Path, seeds: int) -> bool:
    """Whether the scenario (asked either way, and of so many orders of servers) or the test fails."""
    if not isinstance(notices, str):
        try:
            notices()
        except AssertionError:
            return True
        return False
    path = SCENARIOS / f"{notices}.rpl"
    for minimise in dialect_d.Header(rpl.load(path).header).minimisations:
        for seed in range(seeds):
            with asyncio.Runner(loop_factory=VirtualLoop) as runner:
                faults, _ = runner.run(dialect_d.play(rpl.load(path), folder, VirtualClock(), minimise, seed))
            if faults:
                return True
    return False


@pytest.mark.parametrize("name", RULES)
def test_a_rule_that_is_missing_is_noticed(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rule = RULES[name]
    assert not is_noticed(rule.notices, tmp_path, 3), "it fails already"
    monkeypatch.setattr(rule.where, "__code__", without(rule))
    assert is_noticed(rule.notices, tmp_path, 20), f"nobody has noticed: {rule.rule}"


def test_every_function_of_scrub_has_a_rule_here() -> None:
    functions = {each for _, each in inspect.getmembers(scrub, inspect.isfunction) if each.__module__ == scrub.__name__}
    assert functions <= {rule.where for rule in RULES.values()}


def test_every_scenario_that_is_named_is_there() -> None:
    named = {rule.notices for rule in RULES.values() if isinstance(rule.notices, str)}
    assert named <= {path.stem for path in SCENARIOS.glob("*.rpl")}
