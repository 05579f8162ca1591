"""The fake internet of the lab, as data: who answers where, and what is in each zone.

Ordinary parts come first, then one zone for each thing that can be odd or broken in a delegation or in an answer.
Names of a zone's `kind` are what the comparison with Unbound counts by.
"""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path

from tests.lab.lists import LISTS
from tests.lab.model import CLOSED, SILENT, Host, World, Zone, host, is_below

ROOT_HINTS = Path(__file__).parents[2] / "resolverd" / "data" / "root.hints"


def _root_servers() -> list[Host]:
    """The thirteen, with the addresses that every resolver has in its hints file."""
    addresses: dict[str, list[str]] = {}
    for line in ROOT_HINTS.read_text().splitlines():
        fields = line.split()
        if len(fields) == 4 and fields[2] in ("A", "AAAA"):
            addresses.setdefault(fields[0].lower().rstrip("."), []).append(fields[3].lower())
    return [Host(name, tuple(each), "root") for name, each in addresses.items()]


ROOT_SERVERS = _root_servers()

HOSTS = [
    *ROOT_SERVERS,
    # registries
    host("a.gtld-servers.net", "45.1.0.1", "gtld"),
    host("b.gtld-servers.net", "45.1.0.2", "gtld"),
    host("a0.nic-registry.info", "45.2.0.1", "registry"),
    host("b0.nic-registry.org", "45.2.0.2", "registry"),
    host("a.in-addr-servers.arpa", "45.3.0.1", "arpa"),
    host("a.ip6-servers.arpa", "45.3.0.2", "arpa"),
    host("ns.arpa-operators.net", "45.3.0.3", "arpa"),
    host("ns1.address-registry.net", "45.4.0.1", "addresses"),
    host("ns2.address-registry.net", "45.4.0.2", "addresses"),
    # hosting: two companies, two programs
    host("ns1.tulip-hosting.net", "45.10.0.1", "tulip"),
    host("ns2.tulip-hosting.net", "45.10.0.2", "tulip"),
    host("ns1.heather-dns.org", "45.11.0.1", "heather"),
    host("ns2.heather-dns.org", "45.11.0.2", "heather"),
    # hosts that zones below have to themselves
    host("ns1.rose-garden.com", "45.10.1.1", "tulip"),
    host("ns1.oak-servers.net", "45.10.1.2", "tulip"),
    host("ns.self-hosted.com", "45.10.1.3", "tulip"),
    host("ns.glue-forgotten.com", "45.10.1.4", "tulip"),
    host("ns.loop-left.com", "45.10.1.5", "tulip"),
    host("ns.loop-right.net", "45.11.1.5", "heather"),
    host("ns.four-only.net", "45.10.1.6", "tulip", "4"),
    host("ns.six-only.net", "45.10.1.7", "tulip", "6"),
    host("ns1.moved-glue.com", "45.10.1.8", "tulip"),
    host("ns2.moved-glue.com", "45.10.1.9", "tulip"),
    *(host(f"ns{n}.crowded.org", f"45.10.2.{n}", "tulip") for n in range(1, 14)),
    # hosts where something is wrong
    host("ns.stranger-hosting.net", "45.12.0.1", "stranger"),
    # (one host a zone: resolvers back off from a dead address for all its zones at once)
    *(host(f"ns{n}.dark-hosting.net", f"45.66.0.{n}", SILENT, "4") for n in range(1, 6)),
    *(host(f"ns{n}.shut-hosting.net", f"45.55.0.{n}", CLOSED, "4") for n in range(1, 7)),
    Host("ns.never-registered.com", (), SILENT),
    # the lists: their operators' own zones, then one or two rbldnsd hosts each
    host("ns1.list-operators.net", "45.13.0.1", "operators"),
    host("ns2.list-operators.net", "45.13.0.2", "operators"),
    *(host(name, address, each.program) for each in LISTS for name, address in each.hosts),
]

TULIP = ("ns1.tulip-hosting.net", "ns2.tulip-hosting.net")
HEATHER = ("ns1.heather-dns.org", "ns2.heather-dns.org")
BOTH = ("ns1.tulip-hosting.net", "ns1.heather-dns.org")
OPERATORS = ("ns1.list-operators.net", "ns2.list-operators.net")

_PARTS = {
    "spamhaus.org": "*.sbl 60 A 127.255.255.254\n*.pbl 60 A 127.255.255.254\n*.sbl-xbl 60 A 127.255.255.255\n"
                    "*.unheard-of 60 A 127.255.255.252\n66.2.0.192.xbl 60 A 127.0.0.4\n",
    "uribl.com": "*.black 60 A 127.0.0.1\n*.grey 60 A 127.0.0.1\n",
    "surbl.org": "*.ws 60 A 127.0.0.1\n",
    "barracudacentral.org": "*.bb 60 A 192.0.2.1\n",
}
"""Parts of lists, in the operator's own zone: all but xbl tell everybody by an error code that they serve nobody."""
REGISTRY = ("a0.nic-registry.info", "b0.nic-registry.org")
ADDRESS_REGISTRY = ("ns1.address-registry.net", "ns2.address-registry.net")

REGISTRIES = [
    Zone(".", tuple(each.name for each in ROOT_SERVERS), ttl=86400, negative_ttl=3600),
    Zone("root-servers.net", tuple(each.name for each in ROOT_SERVERS[:4]), ttl=86400),
    Zone("com", ("a.gtld-servers.net", "b.gtld-servers.net"), ttl=86400),
    Zone("net", ("a.gtld-servers.net", "b.gtld-servers.net"), ttl=86400),
    Zone("gtld-servers.net", ("a.gtld-servers.net", "b.gtld-servers.net"), ttl=86400),
    Zone("org", REGISTRY, ttl=86400),
    Zone("info", REGISTRY, ttl=86400),
    Zone("nic-registry.info", REGISTRY),
    Zone("nic-registry.org", REGISTRY),
    Zone("arpa", ("ns.arpa-operators.net",), ttl=86400),
    Zone("in-addr.arpa", ("a.in-addr-servers.arpa",), ttl=86400),
    Zone("ip6.arpa", ("a.ip6-servers.arpa",), ttl=86400),
    Zone("in-addr-servers.arpa", ("a.in-addr-servers.arpa",)),
    Zone("ip6-servers.arpa", ("a.ip6-servers.arpa",)),
    Zone("arpa-operators.net", ("ns.arpa-operators.net",)),
    Zone("address-registry.net", ADDRESS_REGISTRY),
    *(Zone(f"{octet}.in-addr.arpa", ADDRESS_REGISTRY) for octet in (192, 198, 203)),
    Zone("1.0.0.2.ip6.arpa", ADDRESS_REGISTRY),
]

POINTERS = {
    "192.0.2.10": ("mail.honest-mail.com",),
    "192.0.2.11": ("mail2.honest-mail.com",),
    "192.0.2.20": ("mx.gardening-club.org",),
    "192.0.2.40": ("mail.soft-spoken.org",),
    "192.0.2.41": ("mail.anybody-may.com",),
    "192.0.2.43": ("mail.through-others.com",),
    "192.0.2.66": ("mail.spam-factory.net",),
    "192.0.2.67": ("host-67.spam-factory.net",),
    "192.0.2.68": ("host-68.spam-factory.net",),
    "192.0.2.69": ("host-69.spam-factory.net",),
    "192.0.2.70": ("mail.both-lists.org",),
    "192.0.2.80": ("mail.odd-name.net",),
    "192.0.2.90": ("nowhere.honest-mail.com",),      # a name that does not exist
    "192.0.2.91": ("mail.honest-mail.com",),         # a name with another address
    "198.51.100.10": ("out.friendly-news.com",),
    "198.51.100.11": ("out2.friendly-news.com",),
    "198.51.100.50": ("mx.trusted-bank.com",),
    "198.51.100.51": ("mx.trusted-bank.com", "mx2.trusted-bank.com"),
    "198.51.100.66": ("blast.casino-deals.net",),
    "198.51.100.67": ("pool.casino-deals.net",),
    "198.51.100.80": ("out.dripemail2.com",),
    "198.51.100.81": ("mx.mlsend.com",),
    "203.0.113.25": ("mx.our-company.org",),
    "203.0.113.50": ("mx3.trusted-bank.com",),
    "2001:db8:10::10": ("mail.honest-mail.com",),
    "2001:db8:25::25": ("mx.our-company.org",),
    "2001:db8:50::50": ("mx.trusted-bank.com",),
    "2001:db8:66::66": ("mail.spam-factory.net",),
    "2001:db8:66::81": ("mx.mlsend.com",),
    "2001:db8:90::90": ("nowhere.honest-mail.com",),
}
"""What each mail client is called by whoever runs its network. 192.0.2.98, 192.0.2.99 and 2001:db8:99::99 have no name; those
of 198.51.100.200 and 198.51.100.201 stand where nobody answers for them."""


def _pointers(zone: str) -> str:
    reverse = {ip_address(address).reverse_pointer: names for address, names in POINTERS.items()}
    return "".join(
        f"{owner}. PTR {name}.\n" for owner, names in reverse.items() if is_below(owner, zone) for name in names
    )


REVERSE = [
    Zone("2.0.192.in-addr.arpa", TULIP, kind="reverse",
         records=_pointers("2.0.192.in-addr.arpa") + "64 CNAME 64.64/30\n65 CNAME 65.64/30\n"),
    # RFC 2317: four addresses, delegated to those who use them
    Zone("64/30.2.0.192.in-addr.arpa", ("ns1.heather-dns.org",), kind="reverse",
         records="64 PTR small-office.honest-mail.com.\n65 PTR gw.honest-mail.com.\n"),
    Zone("100.51.198.in-addr.arpa", HEATHER, kind="reverse",
         records=_pointers("100.51.198.in-addr.arpa") + "*.dyn PTR unused.honest-mail.com.\n"),
    Zone("200.100.51.198.in-addr.arpa", ("ns6.shut-hosting.net",), kind="all servers closed"),
    Zone("201.100.51.198.in-addr.arpa", ("ns.stranger-hosting.net",), kind="all servers lame",
         lame=("ns.stranger-hosting.net",)),
    Zone("113.0.203.in-addr.arpa", BOTH, kind="reverse", records=_pointers("113.0.203.in-addr.arpa")),
    Zone("8.b.d.0.1.0.0.2.ip6.arpa", TULIP, kind="reverse", records=_pointers("8.b.d.0.1.0.0.2.ip6.arpa")),
]

MAIL = [
    Zone("our-company.org", BOTH, kind="mail", records="""
@    MX 10 mx
@    A 203.0.113.80
@    TXT "v=spf1 mx -all"
mx   A 203.0.113.25
mx   AAAA 2001:db8:25::25
www  CNAME @
"""),
    Zone("honest-mail.com", TULIP, kind="mail", records="""
@      MX 10 mail
@      MX 20 mail2
@      A 192.0.2.12
@      TXT "v=spf1 ip4:192.0.2.10 ip4:192.0.2.11 ip6:2001:db8:10::10 -all"
mail   A 192.0.2.10
mail   AAAA 2001:db8:10::10
mail2  A 192.0.2.11
helo   MX 10 mail
web    A 192.0.2.12
gw     A 192.0.2.65
small-office A 192.0.2.64
_dmarc TXT "v=DMARC1; p=reject"
_submission._tcp SRV 0 1 587 mail
selector1._domainkey CNAME selector1.keys.friendly-news.com.
"""),
    Zone("gardening-club.org", ("ns1.heather-dns.org", "ns2.tulip-hosting.net"), kind="mail", records="""
@      MX 10 mx
@      MX 20 mail.honest-mail.com.
@      AAAA 2001:db8:20::1
mx     A 192.0.2.20
www    CNAME web.honest-mail.com.
"""),
    Zone("friendly-news.com", HEATHER, kind="mail", records="""
@      MX 5 out
out    A 198.51.100.10
out2   A 198.51.100.11
news   MX 0 .
selector1.keys TXT "v=DKIM1; k=rsa; p=MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQ" "second string of the same record"
"""),
    Zone("trusted-bank.com", BOTH, kind="mail", records="""
@      MX 10 mx
@      CAA 0 issue "ca.nic-registry.org"
mx     A 198.51.100.50
mx     A 198.51.100.51
mx     AAAA 2001:db8:50::50
mx2    A 198.51.100.51
mx3    A 203.0.113.50
_25._tcp.mx TLSA 3 1 1 0b9fa5a59eed715c26c1020c711b4f6ec42d58b0015e14337a39dad301c5afc3
"""),
    Zone("both-lists.org", TULIP, kind="mail", records="""
@      MX 10 mail
mail   A 192.0.2.70
"""),
    Zone("spam-factory.net", HEATHER, kind="mail", records="""
@      MX 10 mail
@      A 192.0.2.66
mail   A 192.0.2.66
mail   AAAA 2001:db8:66::66
host-67 A 192.0.2.67
host-68 A 192.0.2.68
host-69 A 192.0.2.69
"""),
    Zone("casino-deals.net", HEATHER, kind="mail", records="""
@      MX 10 blast
@      A 198.51.100.66
blast  A 198.51.100.66
pool   A 198.51.100.67
"""),
    Zone("odd-name.net", TULIP, kind="mail", records="""
@      A 192.0.2.80
mail   A 192.0.2.80
_under_score TXT "underscores are fine in names"
"""),
    Zone("dripemail2.com", TULIP, kind="mail", records="@ MX 10 out\nout A 198.51.100.80\n"),
    Zone("mlsend.com", HEATHER, kind="mail", records="@ MX 10 mx\nmx A 198.51.100.81\nmx AAAA 2001:db8:66::81\n"),
    Zone("soft-spoken.org", TULIP, kind="mail", records='@ MX 10 mail\n@ TXT "v=spf1 ip4:192.0.2.40 ~all"\nmail A 192.0.2.40\n'),
    Zone("anybody-may.com", TULIP, kind="mail", records='@ MX 10 mail\n@ TXT "v=spf1 +all"\nmail A 192.0.2.41\n'),
    Zone("misspelt.net", TULIP, kind="mail", records='@ MX 10 mail\n@ TXT "v=spf1 ipv4:192.0.2.42 -all"\nmail A 192.0.2.42\n'),
    Zone("through-others.com", HEATHER, kind="mail",
         records='@ MX 10 mail\n@ TXT "v=spf1 include:honest-mail.com -all"\nmail A 192.0.2.43\n'),
    Zone("never-sends.org", HEATHER, kind="mail", records='@ A 192.0.2.44\n@ TXT "v=spf1 -all"\n'),
    Zone("null-mx.com", TULIP, kind="mail", records="@ MX 0 .\n@ A 192.0.2.30\n"),
    Zone("only-address.net", TULIP, kind="mail", records="@ A 192.0.2.31\n"),
    Zone("no-mail.org", TULIP, kind="mail", records='@ TXT "neither MX nor address"\n'),
]

SERVICES = [
    Zone("tulip-hosting.net", TULIP, records="www A 45.10.0.80\n@ A 45.10.0.80\n"),
    Zone("heather-dns.org", HEATHER, records="www A 45.11.0.80\n@ MX 0 www\n"),
    Zone("stranger-hosting.net", TULIP, records="www A 45.12.0.80\n"),
    Zone("dark-hosting.net", TULIP),
    Zone("shut-hosting.net", TULIP),
    Zone("four-only.net", TULIP),
    Zone("six-only.net", TULIP),
    Zone("stranger.info", ("ns.stranger-hosting.net",), records="@ A 45.12.0.81\n"),
    Zone("list-operators.net", OPERATORS),
    *(Zone(name, OPERATORS, records="@ A 45.13.0.80\n@ MX 10 www\nwww A 45.13.0.80\n" + _PARTS.get(name, ""))
      for name in sorted({each.operator for each in LISTS})),
    *(Zone(each.zone, tuple(name for name, _ in each.hosts), loaded_elsewhere=True, kind="list") for each in LISTS),
]

_WWW = "@ A 45.20.0.1\nwww A 45.20.0.2\nwww AAAA 2a00:45:20::2\n@ MX 10 www\n"

DELEGATIONS = [
    Zone("self-hosted.com", ("ns.self-hosted.com",), _WWW, kind="glue in the zone"),
    Zone("rose-garden.com", ("ns1.rose-garden.com",), _WWW, kind="glue in the zone"),
    Zone("lily-pond.com", ("ns1.rose-garden.com",), _WWW, kind="glue of a sibling"),
    Zone("daisy-field.com", ("ns1.rose-garden.com", "ns.self-hosted.com"), _WWW, kind="glue of a sibling"),
    Zone("without-glue.com", HEATHER, _WWW, kind="no glue"),
    Zone("without-glue.org", TULIP, _WWW, kind="no glue"),
    Zone("oak-servers.net", ("ns2.heather-dns.org",), _WWW, kind="no glue"),
    Zone("far-from-home.com", ("ns1.oak-servers.net",), _WWW, kind="no glue twice"),
    Zone("far-from-home.org", ("ns1.oak-servers.net",), _WWW, kind="no glue twice"),
    Zone("crowded.org", tuple(f"ns{n}.crowded.org" for n in range(1, 14)), _WWW, kind="many servers"),
    Zone("speaks-four.org", ("ns.four-only.net",), _WWW, kind="servers of one family"),
    Zone("speaks-six.org", ("ns.six-only.net",), _WWW, kind="servers of one family"),
    Zone("deep.org", TULIP, _WWW, kind="deep"),
    Zone("one.deep.org", HEATHER, _WWW, kind="deep"),
    Zone("two.one.deep.org", TULIP, _WWW, kind="deep"),
    Zone("three.two.one.deep.org", HEATHER, _WWW, kind="deep"),
    Zone("four.three.two.one.deep.org", TULIP, _WWW, kind="deep"),
    Zone("family.net", TULIP, _WWW, kind="parent and child on one server"),
    Zone("child.family.net", TULIP, _WWW, kind="parent and child on one server"),
    Zone("a.b.c.family.net", TULIP, _WWW, kind="parent and child on one server"),
    Zone("moved-out.org", HEATHER, _WWW, kind="parent and child differ", delegated_to=BOTH),
    Zone("moved-in.org", BOTH, _WWW, kind="parent and child differ", delegated_to=TULIP),
    Zone("moved-glue.com", ("ns1.moved-glue.com", "ns2.moved-glue.com"), _WWW, kind="parent and child differ",
         glue_differs={"ns2.moved-glue.com": ("45.66.0.7",)}),
]

BROKEN = [
    Zone("half-lame.com", ("ns.stranger-hosting.net", *TULIP), _WWW, kind="one server lame",
         lame=("ns.stranger-hosting.net",)),
    Zone("half-lame.org", ("ns1.heather-dns.org", "ns.stranger-hosting.net"), _WWW, kind="one server lame",
         lame=("ns.stranger-hosting.net",)),
    Zone("all-lame.com", ("ns.stranger-hosting.net",), _WWW, kind="all servers lame",
         lame=("ns.stranger-hosting.net",)),
    # a referral up, or to itself, from a server that has the parent zone
    Zone("half-referred.net", ("a.gtld-servers.net", *TULIP), _WWW, kind="one server refers to itself",
         lame=("a.gtld-servers.net",)),
    Zone("all-referred.net", ("a.gtld-servers.net", "b.gtld-servers.net"), _WWW, kind="all servers refer to themselves",
         lame=("a.gtld-servers.net", "b.gtld-servers.net")),
    Zone("half-silent.com", ("ns1.dark-hosting.net", *TULIP), _WWW, kind="one server silent"),
    Zone("half-silent.org", ("ns2.dark-hosting.net", "ns3.dark-hosting.net", "ns1.heather-dns.org"), _WWW,
         kind="one server silent"),
    Zone("all-silent.com", ("ns4.dark-hosting.net",), _WWW, kind="all servers silent"),
    Zone("all-silent.net", ("ns5.dark-hosting.net",), _WWW, kind="all servers silent"),
    Zone("half-closed.com", ("ns1.shut-hosting.net", *HEATHER), _WWW, kind="one server closed"),
    Zone("half-closed.net", ("ns2.shut-hosting.net", "ns3.shut-hosting.net", "ns1.tulip-hosting.net"), _WWW,
         kind="one server closed"),
    Zone("all-closed.com", ("ns4.shut-hosting.net",), _WWW, kind="all servers closed"),
    Zone("all-closed.net", ("ns5.shut-hosting.net",), _WWW, kind="all servers closed"),
    Zone("half-unnamed.com", ("ns.never-registered.com", *TULIP), _WWW, kind="a server without address"),
    Zone("all-unnamed.com", ("ns.never-registered.com",), _WWW, kind="no server has an address"),
    Zone("glue-forgotten.com", ("ns.glue-forgotten.com",), _WWW, kind="no server has an address", glue=False),
    Zone("loop-left.com", ("ns.loop-right.net",), _WWW, kind="delegations in a circle"),
    Zone("loop-right.net", ("ns.loop-left.com",), _WWW, kind="delegations in a circle"),
]

_LONG_LABEL = "l" * 63

ANSWERS = [
    Zone("aliases.com", TULIP, kind="CNAME", records="""
target  A 45.20.1.1
target  AAAA 2a00:45:20:1::1
target  TXT "at the end of the chain"
target  MX 10 target
""" + "\n".join(f"c{n} CNAME {f'c{n - 1}' if n > 1 else 'target'}" for n in range(1, 9)) + """
to-nothing   CNAME missing
to-nodata    CNAME only-text
only-text    TXT "no address here"
to-wildcard  CNAME any.thing.wild.wildcards.net.
to-lame      CNAME www.all-lame.com.
to-org       CNAME hop1.aliases.org.
out-and-nxd  CNAME missing.aliases.org.
out-and-nod  CNAME only-text.aliases.org.
mx-alias     MX 10 c2
"""),
    Zone("aliases.org", HEATHER, kind="CNAME", records="""
hop1  CNAME hop2.aliases.net.
hop3  CNAME target.aliases.com.
only-text TXT "no address here either"
"""),
    Zone("aliases.net", BOTH, kind="CNAME", records="""
hop2  CNAME hop3.aliases.org.
ping  CNAME pong
pong  CNAME ping
self  CNAME self
"""),
    Zone("renamed.net", HEATHER, kind="DNAME", records="""
@      A 45.20.2.1
old    DNAME new.renamed.net.
away   DNAME wild.wildcards.net.
host.new A 45.20.2.2
deep.host.new TXT "found below a DNAME"
"""),
    Zone("wildcards.net", TULIP, kind="wildcard", records="""
*.wild          A 45.20.3.1
*.wild          TXT "wild"
exact.wild      A 45.20.3.2
a.ent.wild      A 45.20.3.3
*.alias         CNAME exact.wild
*.mail          MX 10 exact.wild
host.mail       A 45.20.3.4
*.nested.wild   AAAA 2a00:45:20:3::5
"""),
    Zone("hollow.org", HEATHER, kind="empty non-terminal", records="""
a.b.c.d   A 45.20.4.1
_tcp.x    TXT "one below an empty name"
x.y.z     MX 10 a.b.c.d
"""),
    Zone("types.com", TULIP, kind="other types", records="""
_sip._udp   SRV 10 60 5060 sip
_sip._udp   SRV 20 60 5060 sip2
sip         A 45.20.5.1
sip2        A 45.20.5.2
caa         CAA 128 issuewild "ca.nic-registry.org; account=7"
naptr       NAPTR 100 50 "s" "SIP+D2U" "" _sip._udp.types.com.
sshfp       SSHFP 4 2 123456789abcdef67890123456789abcdef67890123456789abcdef123456789
loc         LOC 52 22 23.000 N 4 53 32.000 E -2.00m 0.00m 10000m 10m
hinfo       HINFO "RFC8482" ""
rp          RP hostmaster.types.com. only.types.com.
unknown     TYPE65280 \\# 4 0a000001
svc         HTTPS 1 . alpn=h2
empty-txt   TXT ""
byte-txt    TXT "\\000\\255 quote \\" and backslash \\\\"
"""),
    Zone("names.org", HEATHER, kind="unusual names", records=f"""
MiXeD.CaSe      A 45.20.6.1
{_LONG_LABEL}   A 45.20.6.2
{'.'.join([_LONG_LABEL] * 3)} A 45.20.6.3
xn--bcher-kva   A 45.20.6.4
_a._b           TXT "underscored"
with\\046dot    A 45.20.6.5
with\\032space  A 45.20.6.6
\\255\\000bytes A 45.20.6.7
1.2.3.4         A 45.20.6.8
"""),
    Zone("large.com", TULIP, kind="truncated", records="\n".join([
        *(f"many A 45.21.0.{n + 1}" for n in range(150)),
        *(f"manysix AAAA 2a00:45:21::{n + 1:x}" for n in range(90)),
        *(f"mails MX {n} mail{n}.large.com." for n in range(80)),
        "text TXT " + " ".join(f'"{chr(97 + n) * 250}"' for n in range(12)),
        "alias CNAME many",
        *(f"medium A 45.21.9.{n + 1}" for n in range(50)),
        "mail1 A 45.21.8.1",
    ])),
    Zone("times.net", HEATHER, kind="TTL", negative_ttl=7, records="""
zero    0       A 45.20.7.1
short   5       A 45.20.7.2
week    604800  A 45.20.7.3
huge    2147483647 A 45.20.7.4
chain   30      CNAME longer
longer  3000    A 45.20.7.5
"""),
    Zone("neighbours.org", TULIP, kind="sections", records="""
@    MX 10 mx1
@    MX 20 mx2.rose-garden.com.
mx1  A 45.20.8.1
mx1  AAAA 2a00:45:20:8::1
"""),
]

WORLD = World(HOSTS, [*REGISTRIES, *REVERSE, *MAIL, *SERVICES, *DELEGATIONS, *BROKEN, *ANSWERS])
