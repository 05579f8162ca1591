"""What one mail may cost others: its look-ups share a budget, a zone has one for each second, and no mail is refused for it."""

from collections import Counter
from functools import partial
from ipaddress import ip_address

import pytest
from scriptednet import Net, ScriptedResolver
from virtualtime import VirtualClock, virtual

from resolverd import bounds
from resolverd.dnsbl.engine import Engine
from resolverd.mail.findings import Action, GreylistOutcome
from resolverd.mail.request import Attempt
from resolverd.metrics import Counters
from resolverd.policy.checks import PRESETS, build
from resolverd.policy.lookup_budget import LookupBudget, LookupBudgets, ZoneRates
from resolverd.policy.runs import CheckRuns
from resolverd.policy.service import PolicyService
from resolverd.policy.verdict import VerdictRules
from resolverd.policy.verdicts import VerdictStore
from resolverd.resolver.iterator.budget import Exhausted, QueryBudget
from resolverd.state.memory import MemoryStore
from resolverd.wire import codes
from resolverd.wire.ask import Failed
from resolverd.wire.names import from_text, to_text

BUDGET = bounds.MAIL_CLIENT_QUERIES + bounds.MAIL_SENDER_QUERIES
VICTIM = ("198.51.9.1", "198.51.9.2")
ATTACKER = "198.51.8.1"
CLIENT = ip_address("198.51.7.7")
EXCHANGES = "\n".join(f"m{term} MX {n} h{term}x{n}.victim.example." for term in range(10) for n in range(10))
RECORD = '@ TXT "v=spf1 ' + " ".join(f"mx:m{term}.attacker.example" for term in range(9)) + ' -all"'
DELEGATIONS = "\n".join(f"z{term} NS n{term}x{n}.victim.example." for term in range(10) for n in range(10))
DELEGATED = '@ TXT "v=spf1 ' + " ".join(f"a:z{term}.attacker.example" for term in range(9)) + ' -all"'


class NoGreylist:
    async def read_up(self):
        return False

    async def consider(self, attempt, **kwargs):
        return GreylistOutcome("known")


def internet(victim="silent"):
    """A domain whose SPF record sends whoever checks it to ninety names of somebody else's, who answers or does not."""
    net = Net()
    example = net.zone("example", {"ns.example": "192.5.6.30"})
    records = f"{DELEGATED}\n{DELEGATIONS}" if victim == "delegated to" else f"{RECORD}\n{EXCHANGES}"
    attacker = f"{records}\n@ MX 1 attacker.example.\n@ A {ATTACKER}"
    net.zone("attacker.example", {"ns.attacker.example": ATTACKER}, attacker, example)
    servers = {f"ns{at}.victim.example": address for at, address in enumerate(VICTIM)}
    zone = net.zone("victim.example", servers, "mail A 198.51.9.9\n@ MX 1 mail.victim.example.\n* A 198.51.9.8", example)
    for address in {"silent": VICTIM, "half": VICTIM[:1]}.get(victim, ()):
        net.serve(address, lambda query, ask: Failed.TIMEOUT)
    return net, zone


def sent_to_victim(net):
    return sum(str(ask.server.address) in VICTIM for ask in net.asked)


def policy_of(resolver, preset="tutorial"):
    engine = Engine((), resolver.parts.resolve, resolver.clock, Counters())
    checks = partial(build, PRESETS[preset])
    refs = (f"REF{n}" for n in range(10_000))
    return PolicyService(
        checks, engine, resolver.parts.resolve, NoGreylist(), resolver.clock, VerdictRules(), Counters(), lambda: next(refs),
        VerdictStore(MemoryStore(), resolver.clock, Counters()),
    )  # fmt: skip


def mail(**more):
    given = {"client_name": "host.attacker.example", "reverse_client_name": "host.attacker.example",
             "helo_name": "attacker.example", "sender": "x@attacker.example", "recipient": "anna@example.org"}  # fmt: skip
    return Attempt(client_address=CLIENT, has_sender=True, **(given | more))


@pytest.mark.parametrize("victim", ["silent", "half", "answering", "delegated to"])
def test_one_mail_costs_a_third_party_no_more_than_its_budget(victim, tmp_path):
    @virtual
    async def run():
        net, _ = internet(victim)
        resolver = ScriptedResolver(net, tmp_path)
        verdict = await policy_of(resolver).verdict_on(mail(instance="1"), record=True)
        await resolver.settle()
        assert 10 < sent_to_victim(net) <= BUDGET
        assert len(net.asked) <= BUDGET
        assert verdict.action is Action.ACCEPT or verdict.reply.code < 500

    run()


@virtual
async def test_its_recipients_share_the_budget(tmp_path):
    net, _ = internet()
    resolver = ScriptedResolver(net, tmp_path)
    policy = policy_of(resolver)
    for recipient in range(20):
        await policy.verdict_on(mail(instance="1", recipient=f"r{recipient}@example.org"), record=True)
        await resolver.settle()
    assert len(net.asked) <= BUDGET


@virtual
async def test_many_mails_cost_a_zone_so_much_a_second(tmp_path):
    net, _ = internet("answering")
    resolver = ScriptedResolver(net, tmp_path)
    policy = policy_of(resolver)
    at = Counter()
    for n in range(30):
        domain = f"a{n}.attacker.example"
        zone = net.servers[ATTACKER]
        zone.add(f'a{n} TXT "v=spf1 ' + " ".join(f"a:n{n}x{term}.victim.example" for term in range(10)) + ' -all"')
        await policy.verdict_on(mail(sender=f"x@{domain}", helo_name="", instance=str(n)), record=True)
        at[int(resolver.clock.monotonic())] = sent_to_victim(net)
    assert sent_to_victim(net) <= bounds.MAIL_ZONE_RATE * (1 + len(at))


@virtual
async def test_who_is_spent_says_nothing_of_the_names(tmp_path):
    """A mail that has spent its budget on purpose spoils no name for the next one, nor for a client of the resolver."""
    net, _ = internet("answering")
    resolver = ScriptedResolver(net, tmp_path)
    rates = ZoneRates(resolver.clock)
    poor, rich = LookupBudget(rates, 0), LookupBudget(rates, BUDGET)
    name, deadline = from_text("mail.victim.example"), resolver.clock.monotonic() + 4
    resolve = partial(resolver.parts.resolve.resolve, name, codes.A)
    assert (await resolve(deadline=deadline, shared_budget=poor)).rcode == codes.SERVFAIL
    answer = await resolve(deadline=deadline, shared_budget=rich)
    assert answer.final(codes.A).rdatas == (ip_address("198.51.9.9").packed,)
    assert rich.left < BUDGET
    assert (await resolve(deadline=deadline, shared_budget=poor)).rcode == codes.NOERROR, "what is remembered costs nothing"


@virtual
async def test_whoever_waits_for_the_same_pays_as_well():
    rates = ZoneRates(VirtualClock())
    poor, rich = LookupBudget(rates, 1), LookupBudget(rates, BUDGET)
    budget = QueryBudget(0.0, shared_budget=poor)
    zone = from_text("victim.example")
    budget.charge(zone, zone)
    with pytest.raises(Exhausted):
        budget.charge(zone, zone)
    budget.share(rich)
    budget.charge(zone, zone)
    assert (poor.left, rich.left) == (0, BUDGET - 1)
    rich.left = 0
    budget.share(None)
    budget.charge(zone, zone)


@virtual
async def test_registries_and_the_reverse_tree_are_exempt_and_zones_are_forgotten():
    rates = ZoneRates(VirtualClock())
    for zone in (".", "com", "co.uk", "in-addr.arpa", "9.in-addr.arpa", "7.51.198.in-addr.arpa"):
        assert all(rates.allows(from_text(zone)) for _ in range(3 * bounds.MAIL_ZONE_RATE)), zone
    victim = from_text("victim.example")
    assert sum(rates.allows(victim) for _ in range(3 * bounds.MAIL_ZONE_RATE)) == bounds.MAIL_ZONE_RATE
    for zone in ("sub.victim.example", "deep.sub.victim.example"):
        assert not rates.allows(from_text(zone)), "its zones share it, and so do its names behind a forwarder"
    for zone in ("www.firm.co.uk", "firm.co.uk", "other.co.uk", "user.github.io", "beside.github.io"):
        assert rates.allows(from_text(zone))
    for n in range(2 * bounds.MAIL_DOMAINS):
        rates.allows(from_text(f"zone{n}.example"))
    assert len(rates) == bounds.MAIL_DOMAINS


@virtual
async def test_an_ordinary_mail_from_an_unknown_organisation_is_far_below(tmp_path):
    net, _ = internet("answering")
    resolver = ScriptedResolver(net, tmp_path)
    policy = policy_of(resolver)
    await policy.verdict_on(mail(sender="joe@victim.example", helo_name="mail.victim.example", instance="1"), record=True)
    assert len(net.asked) <= BUDGET / 4


@virtual
async def test_a_client_cannot_spend_what_it_takes_to_find_a_forged_sender_out(tmp_path):
    """HELO's record costs what it can; the bank's record says that the client may not send, and is read all the same."""
    net, _ = internet("answering")
    net.zone(
        "bank.example",
        {"ns.bank.example": "198.51.6.1"},
        '@ TXT "v=spf1 -all"\n@ MX 1 mail.bank.example.',
        net.servers["192.5.6.30"],
    )
    resolver = ScriptedResolver(net, tmp_path)
    verdict = await policy_of(resolver).verdict_on(mail(sender="teller@bank.example", instance="1"), record=True)
    assert verdict.action is Action.REJECT
    assert verdict.reply.enhanced == "5.7.23"
    assert len(net.asked) <= BUDGET


def test_each_question_has_its_payer():
    rates = ZoneRates(VirtualClock())
    budgets = LookupBudgets.full(rates)
    assert (budgets.client.left, budgets.sender.left) == (bounds.MAIL_CLIENT_QUERIES, bounds.MAIL_SENDER_QUERIES)
    subject = mail(sender="teller@bank.example")
    asked = {to_text(question.name) for question in CheckRuns(subject, build(PRESETS["tutorial"], ()), {}).of_sender()}
    assert asked == {"bank.example."}
