"""Somebody on the way answers in everybody's place: his word is no knowledge, and no mail is refused for it."""

import asyncio
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import dns.flags
import pytest
from mailcases import CLIENT, attempt
from scriptednet import ROOT_SERVER, Handler, Message, Net, ScriptedResolver, addresses, rcode, reply_to
from virtualtime import virtual

from resolverd import bounds
from resolverd.config.settings import Forward, Stub
from resolverd.mail.findings import Finding
from resolverd.mail.lookups import Absent, DnsLookup, LookupReply, Question, Records
from resolverd.policy import checks
from resolverd.policy.check import NO_AUTHORITY
from resolverd.policy.lookups import reply_of as as_checks_see_it
from resolverd.policy.lookups import run_lookups
from resolverd.policy.runs import CheckRuns
from resolverd.resolver.priming import Priming
from resolverd.wire.ask import Ask, Failed, Server
from resolverd.wire.names import from_text

OWN = "45.9.9.9"
"""The address that a liar gives for every name."""


def liar(
    rcode: str = "NOERROR", *, aa: bool = False, ra: bool = True, soa: str = "", data: bool = False
) -> Handler:
    """Answers every question the same, whatever it is about."""

    def handler(query: Message, ask: Ask) -> Message:
        name, rtype = query.question[0].name.to_text(), query.question[0].rdtype.name
        own = {"A": OWN, "PTR": "portal.hotel.", "MX": "0 .", "TXT": '"v=spf1 -all"'}
        answer = f"{name} 60 {rtype} {own[rtype]}" if data and rtype in own else ""
        reply = reply_to(query, answer, f"{soa or '.'} 60 SOA a. b. 1 2 3 4 60" if soa else "", rcode=rcode, aa=aa)
        if ra:
            reply.flags |= dns.flags.RA
        return reply

    return handler


LIARS = {
    "denies": liar("NXDOMAIN"),
    "denies with the root's SOA": liar("NXDOMAIN", soa="."),
    "denies as an authority": liar("NXDOMAIN", aa=True),
    "denies as an authority, no RA": liar("NXDOMAIN", aa=True, ra=False),
    "denies with nothing set": liar("NXDOMAIN", ra=False),
    "empty": liar(),
    "empty as an authority": liar(aa=True),
    "its own data": liar(data=True),
    "its own data as an authority": liar(data=True, aa=True),
    "its own data, nothing set": liar(data=True, ra=False),
    "refuses": liar("REFUSED"),
}


class _Servers(dict[str, Handler]):
    """All servers; `liar`, if there is one, in the place of each."""

    liar: Handler | None = None

    def get(self, address: str, default: Any = None) -> Any:
        return self.liar or super().get(address, default)


class Intercepted(Net):
    """A net with a mail sender's zones in it, in which `liar`, if there is one, answers in the place of all others."""

    def __init__(self) -> None:
        super().__init__()
        self.servers = _Servers(self.servers)
        self.root.add("@ NS k.root-servers.net.")
        self.zone("192.in-addr.arpa", {"ns.arpa-servers": "45.1.0.1"}, "7.2.0 300 PTR mail.sender.")
        self.root.add("arpa-servers. NS ns.arpa-servers.\nns.arpa-servers. A 45.1.0.1")
        self.sender = self.zone("sender", {"ns.sender": "45.1.0.2"}, SENDER)

    @property
    def liar(self) -> Handler | None:
        """Who answers in the place of all."""
        return self.servers.liar

    @liar.setter
    def liar(self, liar: Handler | None) -> None:
        self.servers.liar = liar


SENDER = f"""@ 300 MX 10 mail.sender.
@ 300 TXT "v=spf1 a:mail.sender -all"
mail 300 A {CLIENT}
"""


async def findings(resolver: ScriptedResolver) -> list[Finding]:
    """What all checks that ask for names find of an honest client."""
    names = ("ptr", "fcrdns", "helo", "sender_domain", "spf")
    all_checks = checks.build({name: checks.rules_for("tutorial", name, action="reject") for name in names}, ())
    sender = attempt(helo_name="mail.sender", sender="user@sender")

    async def ask(question: Question, of_sender: bool) -> LookupReply:
        assert isinstance(question, DnsLookup)
        end = resolver.clock.monotonic() + 4
        return as_checks_see_it(await resolver.parts.resolve.resolve(question.name, question.rtype, deadline=end), question.rtype)

    runs = CheckRuns(sender, all_checks, {})
    await run_lookups(runs, ask, resolver.clock, resolver.clock.monotonic() + 8)
    return runs.judge()


def definite(found: list[Finding]) -> list[str]:
    """The codes of what speaks against the client for certain."""
    return [each.code for each in found if each.consequence is not None and not each.code.endswith(("_unknown", "_temperror"))]


@pytest.mark.parametrize("name", LIARS)
@virtual
async def test_who_answers_for_everybody_is_not_believed_from_the_start(name: str, tmp_path: Path) -> None:
    net = Intercepted()
    net.liar = LIARS[name]
    resolver = ScriptedResolver(net, tmp_path, priming=True)
    for question in ("www.sender A", "sender MX", "7.2.0.192.in-addr.arpa PTR", "nowhere A", ". NS"):
        assert rcode(await resolver.ask(*question.split())) == "SERVFAIL", question
    assert not definite(await findings(resolver))
    assert len(resolver.parts.rrsets) == 0
    answer, steps, _ = await resolver.parts.mesh.own.trace(from_text("www.sender"), 1)
    assert answer.is_failure
    assert steps, "a trace shows what is said to whom"
    # Nor is anything left of it when he has gone.
    net.liar = None
    await asyncio.sleep(61)
    assert addresses(await resolver.ask("mail.sender")) == [CLIENT]
    assert not [each for each in await findings(resolver) if each.consequence is not None]


@pytest.mark.parametrize("name", LIARS)
@virtual
async def test_who_begins_to_answer_for_everybody_is_noticed(name: str, tmp_path: Path) -> None:
    net = Intercepted()
    resolver = ScriptedResolver(net, tmp_path, priming=True, serve_stale=0.0)
    priming = Priming(resolver.parts.mesh, True, forwards=False)
    running = asyncio.gather(priming.watch(), priming.prime())
    assert addresses(await resolver.ask("mail.sender")) == [CLIENT]
    assert not definite(await findings(resolver))
    assert priming.readiness.ready
    await asyncio.sleep(400)  # the records have ended, the delegations have not
    net.liar = LIARS[name]
    for _ in range(3):
        assert not definite(await findings(resolver))
        assert rcode(await resolver.ask("mail.sender")) == "SERVFAIL"
        await asyncio.sleep(100)
    if name != "refuses":
        assert priming.readiness == (False, "somebody else answers in place of the root servers")
    net.liar = None
    await asyncio.sleep(11)
    assert priming.readiness.ready
    assert addresses(await resolver.ask("mail.sender")) == [CLIENT]
    running.cancel()


@pytest.mark.parametrize("name", LIARS)
@virtual
async def test_a_forwarder_that_knows_no_root_makes_nothing_definite(name: str, tmp_path: Path) -> None:
    net = Intercepted()
    net.liar = LIARS[name]
    resolver = ScriptedResolver(net, tmp_path, priming=True, forward=(Forward(".", (Server(ip_address("45.3.0.1")),)),))
    priming = Priming(resolver.parts.mesh, True, forwards=True)
    running = asyncio.gather(priming.watch(), priming.prime())
    await asyncio.sleep(0.5)
    assert not priming.readiness.ready
    assert not definite(await findings(resolver))
    assert len(resolver.parts.rrsets) == 0
    running.cancel()


@virtual
async def test_a_stub_zone_is_its_admins_word_while_the_root_answers(tmp_path: Path) -> None:
    # No AA, RA set: a resolver where an authority was meant. Who names it wants it; a stranger in its place is noticed.
    net = Intercepted()
    local = Server(ip_address("45.3.0.2"))
    net.serve("45.3.0.2", lambda query, ask: _recursive(reply_to(query, f"{query.question[0].name} 60 A 45.3.0.3", aa=False)))
    resolver = ScriptedResolver(net, tmp_path, priming=True, stub=(Stub("local", (local,)),))
    assert addresses(await resolver.ask("host.local")) == ["45.3.0.3"]
    answer = await resolver.parts.resolve.resolve(from_text("host.local"), 1)
    assert answer.definite
    net.liar = LIARS["denies"]
    assert rcode(await resolver.ask("www.sender")) == "SERVFAIL"
    answer = await resolver.parts.resolve.resolve(from_text("other.local"), 1)
    assert not answer.definite


def _recursive(reply: Message) -> Message:
    reply.flags |= dns.flags.RA
    return reply


@virtual
async def test_servers_that_always_look_strange_cost_one_look_a_minute(tmp_path: Path) -> None:
    # RA beside AA, as servers do that recurse for others as well; and denials without SOA.
    net = Intercepted()

    def handler(query: Message, ask: Ask) -> Message:
        name = query.question[0].name
        if name.labels[0] == b"www":
            return _recursive(reply_to(query, f"{name} 60 A 45.1.0.9"))
        return _recursive(reply_to(query, rcode="NXDOMAIN" if len(name.labels) > 2 else "NOERROR"))

    net.root.add("odd. NS ns.odd.\nns.odd. A 45.1.0.3")
    net.serve("45.1.0.3", handler)
    resolver = ScriptedResolver(net, tmp_path, priming=True)
    began = resolver.clock.monotonic()
    for number in range(70):
        assert addresses(await resolver.ask(f"www.{number}.odd")) == ["45.1.0.9"]
        assert rcode(await resolver.ask(f"x{number}.odd")) == "NXDOMAIN"
        answer = await resolver.parts.resolve.resolve(from_text(f"x{number}.odd"), 1)
        assert answer.definite
        await asyncio.sleep(3)
    looks = (resolver.clock.monotonic() - began) / bounds.ROOT_CHECK_TTL
    assert net.names(ROOT_SERVER).count((".", "NS")) <= looks + 2


@virtual
async def test_silence_of_the_root_takes_nobody_away(tmp_path: Path) -> None:
    # An outage of the root is no reason to lose zones that are known, strange or not; but nothing strange is evidence then.
    net = Intercepted()
    net.root.add("odd. NS ns.odd.\nns.odd. A 45.1.0.3")
    net.serve("45.1.0.3", lambda query, ask: _recursive(reply_to(query, f"{query.question[0].name} 60 A 45.1.0.9")))
    resolver = ScriptedResolver(net, tmp_path, priming=True)
    assert addresses(await resolver.ask("www.odd")) == ["45.1.0.9"]
    net.serve(ROOT_SERVER, lambda query, ask: Failed.TIMEOUT)
    await asyncio.sleep(100)
    assert addresses(await resolver.ask("www2.odd")) == ["45.1.0.9"]
    assert not (await resolver.parts.resolve.resolve(from_text("www2.odd"), 1)).definite


# -- what no authority has said, while nobody lies ---------------------------------------------------------------------------


@pytest.mark.parametrize(("ra", "code"), [(True, "NXDOMAIN"), (False, "NXDOMAIN"), (True, "NOERROR"), (False, "NOERROR")])
@virtual
async def test_what_no_authority_has_said_is_an_answer_and_no_evidence(ra: bool, code: str, tmp_path: Path) -> None:
    """A zone whose own servers lack AA: clients get what there is, as from Unbound; it speaks for a sender, never against one."""
    net = Intercepted()

    def handler(query: Message, ask: Ask) -> Message:
        name = query.question[0].name
        soa = "" if name.labels[0] == b"www" else "odd. 60 SOA a. b. 1 2 3 4 60"
        answer = f"{name} 60 A 45.1.0.9" if name.labels[0] == b"www" else ""
        reply = reply_to(query, answer, soa, rcode="NOERROR" if answer or len(name.labels) <= 2 else code, aa=False)
        return _recursive(reply) if ra else reply

    net.root.add("odd. NS ns.odd.\nns.odd. A 45.1.0.3")
    net.serve("45.1.0.3", handler)
    resolver = ScriptedResolver(net, tmp_path, priming=True)
    for _ in range(2):  # and once more from memory
        assert addresses(await resolver.ask("www.odd")) == ["45.1.0.9"]
        assert rcode(await resolver.ask("gone.odd")) == code
        found = as_checks_see_it(await resolver.parts.resolve.resolve(from_text("www.odd"), 1), 1)
        assert isinstance(found, Records)
        assert not found.definite
        assert as_checks_see_it(await resolver.parts.resolve.resolve(from_text("gone.odd"), 1), 1) == NO_AUTHORITY


@virtual
async def test_stale_data_is_no_evidence(tmp_path: Path) -> None:
    net = Intercepted()
    resolver = ScriptedResolver(net, tmp_path, priming=True)
    assert isinstance(as_checks_see_it(await resolver.parts.resolve.resolve(from_text("gone.sender"), 1), 1), Absent)
    net.serve("45.1.0.2", lambda query, ask: Failed.TIMEOUT)
    await asyncio.sleep(4000)
    assert rcode(await resolver.ask("gone.sender")) == "NXDOMAIN"
    assert as_checks_see_it(await resolver.parts.resolve.resolve(from_text("gone.sender"), 1), 1) == NO_AUTHORITY
