"""The signed internet, as data: root, top-level domains, sound zones of every make, and a zone for each flaw.

    .       NSEC, RSASHA256        com    NSEC3 with opt-out, as the real one     net    NSEC
    org     NSEC3 without opt-out  info   not signed

All servers are NSD. `even` and `odd` are two companies; a zone that is sound on one and broken on the other is served by both.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from dns.rdtypes.ANY.DS import DS

from tests.lab.model import World, Zone, host, is_below
from tests.lab.signed.flaws import BOGUS, FLAWS, INSECURE, SECURE, Flaw, Security
from tests.lab.signed.mutations import TEMPLATES, TLD
from tests.lab.signed.signer import Nsec3, Signed, Signing, sign
from tests.lab.world import ROOT_SERVERS

MUTATOR = "mutator"
"""The program on whose addresses answers are spoilt (`mutator`)."""

HOSTS = [
    *ROOT_SERVERS,
    host("a.gtld-servers.net", "45.1.0.1", "gtld"),
    host("b.gtld-servers.net", "45.1.0.2", "gtld"),
    host("ns1.even-hosting.net", "45.10.0.1", "even"),
    host("ns2.even-hosting.net", "45.10.0.2", "even"),
    host("ns1.odd-hosting.net", "45.11.0.1", "odd"),
    host("ns2.odd-hosting.net", "45.11.0.2", "odd"),
    host("ns1.spoilt-hosting.net", "45.12.0.1", MUTATOR),
]
GTLD = ("a.gtld-servers.net", "b.gtld-servers.net")
EVEN = ("ns1.even-hosting.net", "ns2.even-hosting.net")
ODD = ("ns1.odd-hosting.net", "ns2.odd-hosting.net")
SPOILT = ("ns1.spoilt-hosting.net",)
BOTH = ("ns1.even-hosting.net", "ns1.odd-hosting.net")

SCAFFOLD = (".", "com", "net", "org", "even-hosting.net", "odd-hosting.net")
"""Zones of the internet without which there is no way to the others."""

CONTENTS = """\
@ A 45.20.0.1
@ MX 10 mail
@ MX 20 mail.p256.com.
@ TXT "v=spf1 mx -all"
@ CAA 0 issue "ca.example.net"
www A 45.20.0.2
www A 45.20.0.3
www AAAA 2a00:45:20::2
mail A 45.20.0.4
_25._tcp.mail TLSA 3 1 1 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef
large TXT "one of them" "and more"
large TXT "two of them, and this one is quite a bit longer than the first"
alias CNAME www
alias2 CNAME alias
dangling CNAME nobody
to-com CNAME www.p256.com.
to-org CNAME www.p256.org.
to-plain CNAME www.plain.info.
to-nobody CNAME nobody.p256.net.
to-bogus CNAME www.expired.net.
tree DNAME forest
a.forest A 45.20.0.5
b.forest TXT "a tree"
away DNAME forest.p256.org.
off DNAME plain.info.
*.wild A 45.20.0.6
*.wild TXT "anybody"
known.wild A 45.20.0.7
*.aliases CNAME www
*.exits CNAME www.plain.info.
a.b.c.deep A 45.20.0.8
*.under.deep MX 5 mail
x.*.middle TXT "an asterisk in the middle is a wildcard nobody meets"
"""
"""What stands in every sound zone."""

FLAWED = """\
@ A 45.20.0.1
@ MX 10 mail
www A 45.20.0.2
www A 45.20.0.3
mail A 45.20.0.4
alias CNAME www
dangling CNAME nobody
to-com CNAME www.p256.com.
tree DNAME forest
a.forest A 45.20.0.5
*.wild A 45.20.0.6
known.wild A 45.20.0.7
*.aliases CNAME www
b.c.deep A 45.20.0.8
"""
"""What stands in every zone with a flaw."""

TINY = "www A 45.20.0.9\n"


@dataclass(frozen=True, slots=True)
class Made:
    """A zone, and how it is signed; `truth` as in `flaws`."""

    zone: Zone
    flaw: Flaw
    broken_at: str = ""
    """The program that serves it broken; "": all that serve it."""

    @property
    def truth(self) -> tuple[Security | None, Security | None]:
        return self.flaw.truth


@dataclass(slots=True)
class Internet:
    """Zones and hosts; `grow` adds, `files` signs."""

    zones: dict[str, Made] = field(default_factory=dict)

    def grow(
        self,
        name: str,
        flaw: Flaw,
        records: str = CONTENTS,
        servers: tuple[str, ...] = EVEN,
        *,
        broken_at: str = "",
        kind: str = "sound",
    ) -> None:
        """Add a zone."""
        self.zones[name] = Made(Zone(name, servers, records, kind), flaw, broken_at)

    @property
    def world(self) -> World:
        return World(HOSTS, [each.zone for each in self.zones.values()])

    def files(self) -> tuple[dict[str, dict[str, str]], list[DS]]:
        """Sign everything: the zone files of each program, and the root's DS records."""
        world = self.world
        programs: dict[str, dict[str, str]] = {program: {} for program in world.carried}
        said: dict[str, list[DS]] = {}
        carrying: dict[str, list[str]] = {}
        for program, zones in world.carried.items():
            for zone in zones:
                carrying.setdefault(zone.name, []).append(program)
        # Children first: their parents have their DS records.
        for name in sorted(self.zones, key=lambda name: (name != ".", name.count(".")), reverse=True):
            made = self.zones[name]
            text = world.zone_text(made.zone)
            if made.flaw.unsigned and made.flaw.ds is no_ds:
                for program in carrying[name]:
                    programs[program][name] = text
                continue
            below = {child.name: said.get(child.name, []) for child in world.children.get(name, ())}
            origin = "." if name == "." else f"{name}."
            signed = sign(text, origin, made.flaw.signing, below)
            sound = sign(text, origin, Signing(), below, signed.keys).text() if made.broken_at else ""
            said[name] = made.flaw.ds(signed)
            made.flaw.spoil(signed)
            broken = text if made.flaw.unsigned else signed.text()
            for program in carrying[name]:
                programs[program][name] = sound if made.broken_at and program != made.broken_at else broken
        return programs, said["."]


def no_ds(_: Signed) -> list[DS]:
    """The parent says nothing."""
    return []


PLAIN = Flaw((INSECURE, INSECURE), ds=no_ds, unsigned=True)


def _sound(signing: Signing) -> Flaw:
    # Opt-out proves no more than that there is no signed name: no AD (RFC 5155 §9.2).
    opt_out = signing.nsec3 is not None and signing.nsec3.opt_out
    return Flaw((SECURE, INSECURE if opt_out else SECURE), signing=signing)


SIGNINGS: Mapping[str, Signing] = {
    "p256": Signing(),
    "p384": Signing("ECDSAP384SHA384"),
    "ed25519": Signing("ED25519"),
    "ed448": Signing("ED448"),
    "rsa256": Signing("RSASHA256"),
    "rsa512": Signing("RSASHA512"),
    "rsa1": Signing("RSASHA1"),
    "rsa1-nsec3": Signing("RSASHA1NSEC3SHA1", Nsec3(5, b"\x01\x02")),
    "hashed": Signing(nsec3=Nsec3()),
    "hashed-opt-out": Signing(nsec3=Nsec3(opt_out=True)),
    "hashed-50": Signing("ED25519", Nsec3(50, b"\xab\xcd")),
    "hashed-150": Signing(nsec3=Nsec3(150, b"\xab")),
    "hashed-long-salt": Signing(nsec3=Nsec3(1, bytes(range(60)))),
}
"""Sound zones below com, net and org."""

TOO_MANY = {"hashed-151": Signing(nsec3=Nsec3(151, b"\xab")), "hashed-2500": Signing(nsec3=Nsec3(2500))}
"""Above 150 iterations denials prove nothing but that the zone is insecure (RFC 9276 §3.2), what is there is secure."""


def internet() -> Internet:
    """Make the internet of the lab."""
    net = Internet()
    net.grow(".", _sound(Signing("RSASHA256")), "", tuple(each.name for each in ROOT_SERVERS))
    net.grow("com", _sound(Signing(nsec3=Nsec3(opt_out=True))), "", GTLD)
    net.grow("net", _sound(Signing("RSASHA256")), "", GTLD)
    net.grow("org", _sound(Signing(nsec3=Nsec3(5, b"\x5a"))), "", GTLD)
    net.grow("info", PLAIN, "", GTLD)
    net.grow("even-hosting.net", _sound(Signing()), TINY)
    net.grow("odd-hosting.net", PLAIN, TINY, ODD)
    for tld in ("com", "net", "org"):
        for name, signing in SIGNINGS.items():
            net.grow(f"{name}.{tld}", _sound(signing))
        net.grow(f"plain.{tld}", PLAIN, servers=ODD, kind="plain")
        for name, signing in TOO_MANY.items():
            net.grow(f"{name}.{tld}", Flaw((SECURE, INSECURE), signing=signing), kind="iterations")
    net.grow("plain.info", PLAIN, servers=ODD, kind="plain")
    net.grow("island.info", FLAWS["island"], kind="island")
    net.grow("empty.net", _sound(Signing()), "", kind="empty")
    net.grow("empty.org", _sound(Signing(nsec3=Nsec3(1))), "", kind="empty")
    _below(net)
    for name, flaw in FLAWS.items():
        net.grow(f"{name}.net", flaw, FLAWED, kind=name)
    for name in ("expired", "www-garbled", "wrong-digest", "island", "never-signed", "stripped", "unknown-algorithm"):
        for tld in ("com", "org"):
            net.grow(f"{name}.{tld}", FLAWS[name], FLAWED, kind=name)
    for name in (
        "www-garbled",
        "www-unsigned",
        "expired",
        "stripped",
        "without-denials",
        "never-signed",
        "chain-leaps",
        "without-keys",
        "keys-signed-by-zsk",
        "all-by-a-stranger",
    ):
        # Bogus here, sound there: a validator asks the other server (RFC 4035 §4.7 and Unbound's val-max-restart).
        flaw = FLAWS[name]._replace(truth=(SECURE, SECURE))
        net.grow(f"once-{name}.net", flaw, FLAWED, BOTH, broken_at="odd", kind=f"{name} on one of two servers")
    return net


def _below(net: Internet) -> None:
    """Zones below zones: on the same servers and on others, secure and not, below sound and broken ones."""
    for parent in ("p256.net", "hashed.org", "hashed-opt-out.com"):
        net.grow(f"safe.{parent}", _sound(Signing()), kind="below")
        net.grow(f"safe-elsewhere.{parent}", _sound(Signing("ED25519", Nsec3(1))), records=FLAWED, servers=ODD, kind="below")
        net.grow(f"insecure.{parent}", PLAIN, kind="plain below")
        net.grow(f"insecure-elsewhere.{parent}", PLAIN, records=FLAWED, servers=ODD, kind="plain below")
        net.grow(f"deep.down.in.{parent}", _sound(Signing()), records=FLAWED, servers=ODD, kind="below")
        net.grow(f"plain.down.in.{parent}", PLAIN, records=FLAWED, servers=ODD, kind="plain below")
        net.grow(f"twice.safe.{parent}", _sound(Signing(keys=1)), records=FLAWED, servers=ODD, kind="below")
        net.grow(f"island.insecure.{parent}", FLAWS["island"], kind="island")
    bogus = Flaw((BOGUS, BOGUS), signing=Signing())
    for parent in ("expired.net", "stripped.net", "wrong-digest.net"):
        net.grow(f"below.{parent}", bogus, records=FLAWED, servers=ODD, kind="below a broken zone")
        net.grow(f"plain.{parent}", PLAIN._replace(truth=(BOGUS, BOGUS)), records=FLAWED, servers=ODD, kind="below a broken zone")
    # The proof that a zone is insecure is what is missing.
    net.grow(
        "plain.without-denials.net",
        PLAIN._replace(truth=(BOGUS, BOGUS)),
        records=FLAWED,
        servers=ODD,
        kind="denial of DS missing",
    )
    net.grow(
        "plain.without-denials-nsec3.net",
        PLAIN._replace(truth=(BOGUS, BOGUS)),
        records=FLAWED,
        servers=ODD,
        kind="denial of DS missing",
    )
    net.grow(
        "plain.denials-expired.net",
        PLAIN._replace(truth=(BOGUS, BOGUS)),
        records=FLAWED,
        servers=ODD,
        kind="denial of DS missing",
    )
    net.grow("plain.unknown-algorithm.net", PLAIN, records=FLAWED, servers=ODD, kind="below an insecure zone")
    net.grow(
        "safe.unknown-algorithm.net",
        _sound(Signing())._replace(truth=(INSECURE, INSECURE)),
        servers=ODD,
        kind="below an insecure zone",
    )
    # Above 150 iterations even a delegation that is there may be denied by nobody (RFC 9276 §3.2).
    net.grow("safe.hashed-151.net", _sound(Signing()), records=FLAWED, servers=ODD, kind="below many iterations")
    net.grow("plain.hashed-151.net", PLAIN, records=FLAWED, servers=ODD, kind="below many iterations")


def enclosing(net: Internet, name: str) -> Made:
    """Give the zone that a name is in."""
    return net.zones[max((zone for zone in net.zones if is_below(name, zone)), key=lambda zone: (zone != ".", len(zone)))]


def spoilt_zones(net: Internet) -> None:
    """Add the zones of every mutation (`mutations`): their answers are spoilt on the way."""
    net.grow(TLD, _sound(Signing()), "", GTLD)
    net.grow("spoilt-hosting.net", PLAIN, "", ODD)
    for name, template in TEMPLATES.items():
        for number in range(template.cases):
            zone = f"{name}-{number}.{TLD}"
            net.grow(zone, _sound(Signing(nsec3=template.nsec3, keys=1)), template.records, SPOILT, kind=name)
            if template.child:
                secure, _, away = template.child.partition(" ")
                flaw = PLAIN if secure == "plain" else _sound(Signing(keys=1))
                net.grow(f"child.{zone}", flaw, TINY, ODD if away else SPOILT, kind=name)
