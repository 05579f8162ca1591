"""The network edge in tests of lists: a resolver that answers from a script, with delays, and writes down what it was asked."""

import asyncio
from importlib.resources import files
from ipaddress import IPv4Address

from resolverd.dnsbl.catalogue import Catalogue, load
from resolverd.dnsbl.config import configure
from resolverd.wire import codes, rdata
from resolverd.wire.answer import Answer, servfail
from resolverd.wire.names import Name, from_text, to_text
from resolverd.wire.rrset import RRset

CATALOGUE = load(files("resolverd.data").joinpath("catalogue.toml").read_text("utf-8"))

TIMEOUT = servfail(codes.EDE_NO_REACHABLE_AUTHORITY)
SERVFAIL = servfail(codes.EDE_OTHER)
REFUSED = Answer(codes.REFUSED)


def specs(preset="tutorial", catalogue: Catalogue = CATALOGUE, **tables):
    """The enabled lists; tables as ``spamcop={...}``, underscores for hyphens."""
    named = {name.replace("_", "-"): table for name, table in tables.items()}
    return configure(catalogue, preset, named, lambda key: key)


def spec(name, **table):
    """One list of the catalogue, or an own one."""
    found = specs(**{name.replace("-", "_"): {"enabled": True, **table}})
    return next(each for each in found if each.id == name)


def a(*addresses, ttl=300):
    """An answer with A records; the owner does not matter."""
    return Answer(codes.NOERROR, (RRset(b"\0", codes.A, ttl, tuple(IPv4Address(each).packed for each in addresses)),))


def txt(*texts, ttl=300):
    return Answer(codes.NOERROR, (RRset(b"\0", codes.TXT, ttl, tuple(rdata.text(text.encode("latin-1")) for text in texts)),))


def denial(ttl=300, minimum=300, rcode=codes.NXDOMAIN):
    soa = rdata.Soa(b"\0", b"\0", 1, 2, 3, 4, minimum)
    return Answer(rcode, authority=(RRset(b"\0", codes.SOA, ttl, (soa.pack(),)),))


class ScriptedResolver:
    """`script` maps a name's text (no final dot), ``name TXT`` or a zone to an Answer, (delay, Answer) or an exception.

    The most special entry counts; what nobody has scripted does not exist. What is asked past caches is a test point or
    a witness: only a script of its very name lists it, unless the list is `wild`. `meter`: who is told of what leaves.
    """

    def __init__(self):
        self.script = {}
        self.asked = []
        self.probes = []
        self.wild = False
        self.meter = None

    async def resolve(
        self, name: Name, rtype: int, *, deadline: float, bypass_cache: bool = False, shared_budget: object = None
    ) -> Answer:
        text = to_text(name).removesuffix(".")
        if self.meter is not None and not self.meter.charge(name, name):
            return TIMEOUT
        if bypass_cache:
            self.probes.append(text)
            if not self.wild:
                return self.script.get(text, denial())
        if not bypass_cache:
            self.asked.append(text if rtype == codes.A else f"{text} {codes.type_text(rtype)}")
        found = self._find(text, rtype)
        delay, answer = found if isinstance(found, tuple) and not isinstance(found, Answer) else (0.0, found)
        patience = deadline - asyncio.get_running_loop().time()
        if delay > patience:
            await asyncio.sleep(max(0.0, patience))
            return TIMEOUT
        await asyncio.sleep(delay)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def _find(self, text, rtype):
        if rtype != codes.A:
            return self.script.get(f"{text} {codes.type_text(rtype)}", denial())
        while text:
            if text in self.script:
                return self.script[text]
            text = text.partition(".")[2]
        return denial()


def name(text: str) -> Name:
    return from_text(text)
