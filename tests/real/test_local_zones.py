"""Own lists answer as real rbldnsd does from the same files, follow their files, and keep what they had when one breaks."""

from __future__ import annotations

import random
import time
import urllib.request
from collections.abc import Callable, Iterator
from ipaddress import ip_address
from pathlib import Path

import dns.flags
import dns.message
import dns.query
import dns.rcode
import dns.rdatatype
import pytest

from tests.lab.daemon import Daemon, answers_dns, fresh, until
from tests.lab.lab import Lab
from tests.lab.namespace import LAB, Side
from tests.lab.resolverd import CONFIG, HTTP, get, resolverd

OURS, THEIRS = "127.0.0.1", "127.0.0.4"

HEAD = """$SOA 3600 ns.example.net hostmaster.example.net 7 10m 5m 1w 15m
$NS 2h ns1.example.net -ns2.example.net ns3.example.net
"""

IP4SET = HEAD + r"""
$TTL 1h
# comment
;comment
1.2.3.1
:127.0.0.3:listed, see $
1.2.3.4
  1.2.3.5 :4
1.2.3.6 :5:
1.2.3.7 own text about $
1.2.3.8 :127.0.0.9:own $ both $$ x
1.2.3.9 # comment
1.2.3.10;comment
1.2.3.11 text # no comment
$1 one $
$2 two $1
$1 another one
1.2.3.12 v $1 $2 $3 $= end
1.2.3.13 =eq $1
1.2.3.14 $5
$5 said later
1.2.3.15 :1.2:two octets
1.2.3.16 :127.0:none
1.2.3.17 :256:too much
1.2.3.18 :0:nothing
1.2.3.19 : 3 :blanks
1.2.3.20 :3 no colon
1.2.3.21 :3:#hash
1.2.3.22 """ + "x" * 250 + r"""$$$$ $ $
1.2.3.23 "quoted" \065 é
1.2.3.24 """ + "$" * 40 + r"""
01.002.3.0025
1.2.4
1.2.4.5 :7:specific
!1.2.4.6
! 1.2.4.7 text
1.2.5.0/25
1.2.5.7 :8:inner
1.2.5.7 :9:more inner
1.2.6.0/31 :8
10.0.0.0/8
10.1.0.0/16 :11:sixteen
10.1.2.0/24 :12:twenty-four
10.1.2.3 :13:thirty-two
10.1.3-10.1.4 :14:range
10.2.16-31 :15:suffix
10.3.0.5-9 :16:suffix of four
10.4.1.2/24 :17:host bits
10.5.300.1
10.6.1.1x
10.7.1.1:18:no blank
11/8 :19
13.1.1.1-13.1.1.0 :21:reversed
!10.1.2.4
10.1.2.4 :22:behind its exclusion
127.0.0.2 :2:a
127.0.0.2 :2:a
127.0.0.2 :3:b
0/0 :1:all
$MAXRANGE4 /24
14/16 :5
14.1.1/24 :5
$MAXRANGE4 /16
14.2/16 :5
$NONSENSE 1
$TTL 5x
"""

IP4TRIE = HEAD + """
:2:listed $
1.2.3.4
1.2.3.0/24 :3:twenty-four
1.2/16 :4
!1.2.3.8/29
1.2.3.9 :5:in the exclusion
1.2.3.4 :6:again
5.0.0.0-5.0.0.9
5.1.1.1/24 :7:host bits
5.2
0/0 :9:all
6.6.6.6 own text
7.7.7.7:8:no blank
!8.8.8.8
8.8.8.8 :5:after
255.255.255.255 :10:last
"""

IP6TRIE = HEAD + """
$= base $= for $
:2:listed
2001:db8::1
2001:db8:1::/48 :3:=48 $
2001:db8:1:2::/64 :4:
2001:db8:1:2 :5:again
2001:db8:2:3 :6:four words
!2001:db8:1:2::bad
::1 :7:loop
2001:db8:3::/33 :8:host bits
2001:db8:4:c000/52
2001:DB8:5::ABCD :9:upper case
2001:db8:6:: :10:compressed
2001:db8:7::1.2.3.4 :13:dotted
2001:db8:8 :14:three words
2001:db8:9:/48 :15
2001:db8:c::/129
2001:db8:d:1:2:3:4:5:6
2001:db8:e::12345
2001:db8:f:0:1:1:1:1 text
2001:db8:10::/44 :11
ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff :12
200c:1:2:3:4:5:6::
"""

DNSET = HEAD + r"""
:2:listed $
example.com
*.example.com :3:wild $
.both.com :4:both $
!ok.both.com
!.no.both.com
a.b.c.d.deep.com :5
UPPER.Com :6:up $
dup.com :7:a
dup.com :8:b
!dup2.com
dup2.com :9
.multi.com :10:m1
*.multi.com :11:m2
x.multi.com :12:m3
*.sub.multi.com :13:m4
trailing.com. :14:t $
under_score.com
esc\.aped.com :15:e $
bad..dots.com
*.*.com
.tld
x*y.com
space.com	text
user@mail.com :16:$
colon.com:4:v
hash.com#c
toolong""" + "long" * 20 + r""".com
4.3.2.1 :17:an address $
.
"""

BARE = "1.2.3.4\n"
"""No SOA, no NS."""

EXPIRED = "$TIMESTAMP 2005:01:01 2006:01:01\n" + HEAD + "1.2.3.4\n"
FRESH = "$TIMESTAMP 2005-01-01 2099:01:01:12\n" + HEAD + "1.2.3.4\n"

FIRST = HEAD + "$TTL 100\n1.2.3.4 :2:four\n5.6.7.8 :4\n1.2.3.5 :2:same\n"
SECOND = "$TTL 200\n$NS 9 ns.second\n1.2.3/24 :3:trie\n!5.6.7.8\n1.2.3.5 :2:same\n"
THIRD = "2001:db8::/32 :8\n::/0 :9:$\n"
FOURTH = "$SOA 5 d d 1 1 1 1 1\n4.3.2.1 :5:dn $\nexample.com :6:x\n.2.1 :7:w\n"

FILES = {
    "four.lists.org.ip4set": IP4SET,
    "trie.lists.org.ip4trie": IP4TRIE,
    "six.lists.org.ip6trie": IP6TRIE,
    "names.lists.org.dnset": DNSET,
    "bare.lists.org.ip4set": BARE,
    "expired.lists.org.ip4set": EXPIRED,
    "fresh.lists.org.ip4set": FRESH,
    "all.lists.org.ip4set": FIRST,
    "all.lists.org.ip4trie": SECOND,
    "all.lists.org.ip6trie": THIRD,
    "all.lists.org.dnset": FOURTH,
}


def reverse(*addresses: str) -> list[str]:
    """Addresses as lists want them."""
    return [ip_address(each).reverse_pointer.removesuffix(".in-addr.arpa").removesuffix(".ip6.arpa") for each in addresses]


ASKED = {
    "four.lists.org": [*reverse(
        *(f"1.2.3.{last}" for last in range(30)), "1.2.4.1", "1.2.4.5", "1.2.4.6", "1.2.4.7", "1.2.5.1", "1.2.5.7",
        "1.2.5.127", "1.2.5.128", "1.2.6.0", "1.2.6.1", "1.2.6.2", "10.0.2.1", "10.1.0.1", "10.1.2.1", "10.1.2.3", "10.1.2.4",
        "10.1.3.0",
        "10.1.4.255", "10.1.5.0", "10.2.15.255", "10.2.16.0", "10.2.31.255", "10.2.32.0", "10.3.0.4", "10.3.0.5", "10.3.0.9",
        "10.3.0.10", "10.4.1.3", "10.7.1.1", "11.0.0.5", "13.1.1.1", "127.0.0.2", "127.0.0.1", "14.0.0.1", "14.1.1.7", "14.2.0.1",
        "::ffff:1.2.3.4", "::ffff:9.9.9.9", "2001:db8::1",
    ), "04.3.2.1", "004.3.2.1", "0004.3.2.1", "300.3.2.1", "x.3.2.1", "5.4.3.2.1", "x", "*"],
    "trie.lists.org": [*reverse(
        "1.2.3.4", "1.2.3.5", "1.2.0.1", "1.2.3.9", "1.2.3.8", "1.2.3.15", "1.2.3.16", "5.0.0.5", "5.1.1.1", "5.2.2.1", "5.3.0.0",
        "6.6.6.6", "7.7.7.7", "8.8.8.8", "8.8.8.9", "0.0.0.0", "255.255.255.254", "255.255.255.255", "::ffff:1.2.3.4",
    ), "x", "1.1.1.1.1"],
    "six.lists.org": [*reverse(
        "2001:db8::1", "2001:db8::2", "2001:db8:1::5", "2001:db8:1:2::7", "2001:db8:1:2::bad", "2001:db8:1:2::bae",
        "2001:db8:2:3::9", "2001:db8:2:4::", "::1", "2001:db8:3::1", "2001:db8:4:c000::1", "2001:db8:4:cfff:ffff:ffff:ffff:ffff",
        "2001:db8:4:d000::", "2001:db8:5::abcd", "2001:db8:6::", "2001:db8:6::1", "2001:db8:7::102:304", "2001:db8:8:9::",
        "2001:db8:9::1", "2001:db8:d:1:2:3:4:5", "2001:db8:e::1", "2001:db8:f:0:1:1:1:1", "2001:db8:1f::1", "2001:db8:20::",
        "ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "::", "200c:1:2:3:4:5:6:0",
        "1.2.3.4",
    ), "x", reverse("2001:db8:5::abcd")[0].upper()],
    "names.lists.org": [
        "example.com", "x.example.com", "y.x.example.com", "*.example.com", "both.com", "q.both.com", "z.ok.both.com",
        "z.no.both.com", "a.b.c.d.deep.com", "x.a.b.c.d.deep.com", "upper.com", "UPPER.com", "dup.com", "dup2.com", "multi.com",
        "x.multi.com", "y.multi.com", "y.x.multi.com", "sub.multi.com", "q.sub.multi.com", "trailing.com", "under_score.com",
        "esc\\.aped.com", "bad.dots.com", "q.w.com", "q.*.com", "nothing.org", "tld", "x.tld", "x1y.com", "x*y.com", "space.com",
        "user\\@mail.com", "colon.com", "hash.com", "4.3.2.1", "no.both.com",
    ],
    "bare.lists.org": reverse("1.2.3.4", "1.2.3.5"),
    "expired.lists.org": reverse("1.2.3.4", "1.2.3.5"),
    "fresh.lists.org": reverse("1.2.3.4", "1.2.3.5"),
    "all.lists.org": [
        *reverse("1.2.3.4", "5.6.7.8", "1.2.3.5", "10.9.9.9", "2001:db8::1", "::ffff:1.2.3.4", "2a00:0:1:1:1:1:1:1", "::"),
        "example.com", "x.2.1", "2.1",
    ],
}  # fmt: skip

OWN_LIST = """
[lists.mine]
zone = "mine.lists.org"
kinds = ["ip4", "ip6"]
purpose = "block"
number = 101
codes = {"127.0.0.2" = "listed"}
"""
"""A list of our own for the verdicts, in a zone of our own."""

EMPTY_NON_TERMINALS = [
    "3.2.1.four.lists.org", "1.four.lists.org", "0.0.127.four.lists.org", "3.2.1.trie.lists.org", "255.trie.lists.org",
    "8.b.d.0.1.0.0.2.six.lists.org", "2.six.lists.org", "com.names.lists.org", "b.c.d.deep.com.names.lists.org",
    "deep.com.names.lists.org", "ok.both.com.names.lists.org", "1.all.lists.org", "9.9.9.9.all.lists.org",
]  # fmt: skip
"""Names that exist because others below them do: NODATA (RFC 8020 §2), where rbldnsd says NXDOMAIN (spamhaus/rbldnsd#17)
and hides all below from a resolver that minimises names. The last one is an IPv4 address and the beginning of IPv6 ones."""

NO_ENT = {"ok.both.com.names.lists.org"}
"""Excluded and without a name of its own below it: listings there come from a wildcard higher up, so it does not exist."""


def rbldnsd(side: Side, files: dict[str, str]) -> Daemon:
    """The real one, with the same files as datasets of the same zones."""
    directory = fresh("rbldnsd own")
    for name, text in files.items():
        (directory / name).write_text(text)
    argv = ["rbldnsd", "-q", "-n", "-u", "nobody", "-w", str(directory), "-b", f"{THEIRS}/53"]
    argv += [f"{name.rpartition('.')[0]}:{name.rpartition('.')[2]}:{name}" for name in files]
    return Daemon("rbldnsd own", argv, side, lambda: answers_dns(side, THEIRS, "four.lists.org"))


@pytest.fixture(scope="module")
def zones(lab: Lab) -> Iterator[Path]:
    """Both running; the folder that ours reads."""
    files = {**FILES, **_random_lists()}
    ours = resolverd(lab.mail, CONFIG + OWN_LIST, name="resolverd own")
    folder = LAB / "resolverd-own" / "zones"
    folder.mkdir()
    for name, text in files.items():
        (folder / name).write_text(text)
    ours.ready = lambda: answers_dns(lab.mail, OURS, "names.lists.org")
    with lab.running(ours, rbldnsd(lab.mail, files)):
        yield folder


def ask(server: str, name: str, rdtype: str) -> dns.message.Message:
    return dns.query.udp(dns.message.make_query(name, rdtype, use_edns=0, payload=1232), server, timeout=5)


def said(message: dns.message.Message) -> tuple[str, dict[str, list[str]], int | None]:
    """RCODE, records, and the TTL of what can be remembered."""
    answer = {
        f"{rrset.name.to_text().lower()} {rrset.ttl} {dns.rdatatype.to_text(rrset.rdtype)}": sorted(map(str, rrset))
        for rrset in message.answer
    }
    soa = [rrset.ttl for rrset in message.authority if rrset.rdtype == dns.rdatatype.SOA]
    return dns.rcode.to_text(message.rcode()), answer, soa[0] if soa else None


QUESTIONS = [
    (f"{name}.{zone}", rdtype)
    for zone, names in ASKED.items() for name in names for rdtype in ("A", "TXT")
] + [(zone, rdtype) for zone in ASKED for rdtype in ("SOA", "NS", "A", "TXT", "MX")] + [
    (f"{name}.{zone}", rdtype)
    for zone, name in (("four.lists.org", "2.0.0.127"), ("names.lists.org", "example.com"), ("four.lists.org", "9.9.9.9"))
    for rdtype in ("AAAA", "MX", "SOA", "NS", "DS", "CNAME")
]  # fmt: skip


@pytest.mark.parametrize("zone", ASKED)
def test_as_rbldnsd(zones: Path, zone: str) -> None:
    asked = [(name, rdtype) for name, rdtype in QUESTIONS if name.endswith(zone) and name not in EMPTY_NON_TERMINALS]
    differences = []
    for name, rdtype in asked:
        ours, theirs = said(ask(OURS, name, rdtype)), said(ask(THEIRS, name, rdtype))
        if ours != theirs:
            differences.append(f"{name} {rdtype}\n  ours   {ours}\n  theirs {theirs}")
    assert not differences, f"{len(differences)} of {len(asked)}\n" + "\n".join(differences)


def test_answers_are_authoritative(zones: Path) -> None:
    for name in ("4.3.2.1.four.lists.org", "9.9.9.9.four.lists.org", "four.lists.org"):
        assert ask(OURS, name, "A").flags & dns.flags.AA


@pytest.mark.parametrize("name", EMPTY_NON_TERMINALS)
def test_empty_non_terminals_exist(zones: Path, name: str) -> None:
    """Where rbldnsd denies them."""
    wanted = "NXDOMAIN" if name in NO_ENT else "NOERROR"
    ours, theirs = said(ask(OURS, name, "A")), said(ask(THEIRS, name, "A"))
    assert (ours[0], ours[1]) == (wanted, {})
    assert ours[2] == 900
    assert theirs[0] == "NXDOMAIN"


def _random_lists() -> dict[str, str]:
    """Files of entries that nest, overlap and exclude each other, in few networks so that they meet."""
    chance = random.Random(20)

    def address() -> str:
        return f"10.{chance.randrange(3)}.{chance.randrange(4)}.{chance.randrange(256)}"

    def network(shortest: int) -> str:
        bits = chance.choice([32, 32, 32, *range(shortest, 33)])
        value = int(ip_address(address())) >> 32 - bits << 32 - bits
        return f"{ip_address(value)}/{bits}"

    def span() -> str:
        first, last = sorted((int(ip_address(address())), int(ip_address(address()))))
        return f"{ip_address(first)}-{ip_address(last)}"

    def line(entry: str) -> str:
        return chance.choice(["", "", "!"]) + entry + chance.choice(["", "", f" :{chance.randrange(1, 9)}:of {entry}"]) + "\n"

    sets = "".join(line(chance.choice([address, lambda: network(9), span])()) for _ in range(120))
    trie = "".join(line(network(6)) for _ in range(300))
    return {"random.lists.org.ip4set": HEAD + sets, "rtrie.lists.org.ip4trie": HEAD + trie}


@pytest.mark.parametrize("zone", ["random.lists.org", "rtrie.lists.org"])
def test_overlapping_entries_as_rbldnsd(zones: Path, zone: str) -> None:
    chance = random.Random(21)
    differences = []
    for host in chance.sample(range(5 * 4 * 256), 1500):
        name = f"{host % 256}.{host // 256 % 5}.{host // 1280}.10.{zone}"
        ours, theirs = said(ask(OURS, name, "TXT")), said(ask(THEIRS, name, "TXT"))
        if ours != theirs:
            differences.append(f"{name}\n  ours   {ours}\n  theirs {theirs}")
    assert not differences, f"{len(differences)}\n" + "\n".join(differences[:20])


def put(path: Path, text: str) -> None:
    """Replace a file in one step, as rsync does."""
    other = path.with_suffix(".tmp")
    other.write_text(text)
    other.rename(path)


def comes_true(condition: Callable[[], bool], limit: float = 15.0) -> float:
    """How many seconds it took."""
    begun = time.monotonic()
    for _ in until(limit):
        if condition():
            return time.monotonic() - begun
    pytest.fail(f"not within {limit} s")


def metric(name: str) -> float:
    with urllib.request.urlopen(f"{HTTP}/metrics", timeout=5) as reply:
        lines = reply.read().decode().splitlines()
    return next((float(line.split()[-1]) for line in lines if line.startswith(name)), 0.0)


def test_a_changed_file_takes_effect(zones: Path) -> None:
    file, listed, other = zones / "live.lists.org.ip4set", "4.3.2.1.live.lists.org", "5.3.2.1.live.lists.org"
    assert ask(OURS, listed, "A").rcode() == dns.rcode.NXDOMAIN        # of the world's lists.org, and remembered
    put(file, HEAD + "1.2.3.4\n")
    comes_true(lambda: bool(ask(OURS, listed, "A").answer))
    assert ask(OURS, other, "A").rcode() == dns.rcode.NXDOMAIN
    put(file, HEAD + "1.2.3.5 :9\n")
    took = comes_true(lambda: bool(ask(OURS, other, "A").answer))
    assert ask(OURS, listed, "A").rcode() == dns.rcode.NXDOMAIN
    assert took < 6
    file.unlink()
    comes_true(lambda: not ask(OURS, other, "A").flags & dns.flags.AA)


def test_an_own_list_counts_and_follows_its_file(zones: Path) -> None:
    """The engine asks it like any list, remembers its replies, and forgets them when the file changes."""
    file = zones / "mine.lists.org.ip4set"

    def reply(address: str) -> str:
        return str(next(each["result"] for each in get(f"/v1/lookup/{address}")["lists"] if each["id"] == "mine"))

    put(file, HEAD + "127.0.0.2\n1.2.3.4\n")
    comes_true(lambda: reply("1.2.3.4") == "listed")
    assert reply("1.2.3.5") == "clear"
    assert ask(OURS, "4.3.2.1.bl.rbl.internal", "A").answer
    put(file, HEAD + "127.0.0.2\n1.2.3.5\n")
    comes_true(lambda: reply("1.2.3.5") == "listed")
    assert reply("1.2.3.4") == "clear"
    assert not ask(OURS, "4.3.2.1.bl.rbl.internal", "A").answer
    assert ask(OURS, "5.3.2.1.mine.lists.org", "A").answer, "through the guard"


BROKEN = {
    "broken.lists.org.ip4set": (HEAD + "1.2.3.4\n", "<html>\n<p>404 not found\n"),
    "future.lists.org.ip4set": (HEAD + "1.2.3.4\n", "$TIMESTAMP 2099:01:01\n1.2.3.5\n"),
    "master.lists.org.zone": (
        "$TTL 60\n@ SOA a b 1 2 3 4 5\n@ NS a\n4.3.2.1 A 127.0.0.2\n",
        "$TTL 60\n@ SOA a b 1 2 3 4 5\n@ NS a\n4.3.2.1 A 127.0.0.999\n",
    ),
}
"""By file: what it holds first, and what takes its place."""


def test_broken_files_keep_what_was_there(zones: Path, lab: Lab) -> None:
    listed = {name: f"4.3.2.1.{name.rpartition('.')[0]}" for name in BROKEN}
    for name, (good, _) in BROKEN.items():
        put(zones / name, good)
    comes_true(lambda: all(ask(OURS, each, "A").answer for each in listed.values()))
    before = metric('resolverd_zone_files_total{outcome="broken"}')
    for name, (_, bad) in BROKEN.items():
        put(zones / name, bad)
    comes_true(lambda: metric('resolverd_zone_files_total{outcome="broken"}') >= before + len(BROKEN))
    assert metric("resolverd_zone_files_broken") == len(BROKEN)
    own = next(daemon for daemon in lab.daemons if daemon.name == "resolverd own")
    for name, each in listed.items():
        assert ask(OURS, each, "A").answer[0][0].to_text() == "127.0.0.2"
        said = f"{name} cannot be used, what it held before stays: "
        comes_true(lambda said=said: said in own.log_tail(3 * len(BROKEN)))
    for name, (good, _) in BROKEN.items():
        put(zones / name, good)
    comes_true(lambda: metric("resolverd_zone_files_broken") == 0)
    for name in BROKEN:
        (zones / name).unlink()
    comes_true(lambda: not any(ask(OURS, each, "A").flags & dns.flags.AA for each in listed.values()))
