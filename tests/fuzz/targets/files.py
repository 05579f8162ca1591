"""Files that an administrator or a list's operator writes, and what is then answered from them."""

import re
from collections.abc import Iterable
from functools import cache
from ipaddress import ip_address
from pathlib import Path

from resolverd.config import files as configuration
from resolverd.config.lists import enabled_lists
from resolverd.config.render import render as show
from resolverd.config.settings import Settings
from resolverd.dnsbl.quota import Budget, Rate
from resolverd.failures import ConfigError
from resolverd.greylist import allow_files, postgrey
from resolverd.greylist.decide import GreylistRules
from resolverd.greylist.expressions import Expression
from resolverd.mail.request import Attempt
from resolverd.ops.doctor import Machine, diagnose
from resolverd.overrides import map_text
from resolverd.policy import local_domains
from resolverd.resolver.local import master_file
from resolverd.resolver.local.local_zone import LocalZone
from resolverd.resolver.local.master_file import BadZone
from resolverd.resolver.local.rbldnsd import FORMATS, BadDataset
from resolverd.resolver.local.replies import LocalReplies
from resolverd.resolver.local.table import LocalZones
from resolverd.resolver.validator.anchors import TrustAnchors
from resolverd.wire import codes, message, render
from resolverd.wire.names import BadName, Name, from_text, prepend
from resolverd.wire.peek import Query, peek
from resolverd.wire.rrset import RRset
from tests.fuzz.target import target

_ROOT = Path(__file__).parents[3]
_ZONE = """$ORIGIN list.example.
$TTL 300
@ IN SOA ns.list.example. host.list.example. 1 2 3 4 5
@ NS ns
ns A 192.0.2.1
*.w MX 10 mail
a CNAME b
b TXT "x" ( "y"
 "z" ) ; remark
d DNAME other.example.
sub NS ns.sub
ns.sub AAAA 2001:db8::1
$GENERATE 1-3 h$ A 192.0.2.$
u TYPE65400 \\# 2 abcd
"""
_ORIGIN = from_text("list.example")
_PREFIXES = ("", "a", "x.w", "w", "x.d", "x.sub", "1.2.0.192", "2.0.0.127", "www.spam", "0." * 30 + "1.0", "*")


def _names() -> Iterable[Name]:
    for each in _PREFIXES:
        yield prepend(from_text(each), _ORIGIN)


class _Table:
    def __init__(self, zone: LocalZone):
        self.table = LocalZones([zone])


def _answer_from(zone: LocalZone, names: Iterable[Name], rtypes: Iterable[int] = (codes.A, codes.TXT, codes.NS)) -> None:
    """What a zone says is fit to be sent; what is told from a question's octets is what is told from its values."""
    quick = LocalReplies(_Table(zone), lambda origin: False)
    for name in names:
        for rtype in rtypes:
            packet = render.question(7, 0, name, rtype, 1232, False)
            query = peek(packet)
            assert isinstance(query, Query)
            said = zone.ask(name, rtype)
            written = render.render(query, said.answer, 1232).data
            assert message.parse(written).whole == 3
            reply = quick.reply(packet)
            if reply is not None:
                assert reply == written, name


def _zones() -> Iterable[bytes]:
    yield _ZONE.encode()
    yield b"@ SOA . . 1 2 3 4 5\n"
    yield (_ROOT / "resolverd/data/root.key").read_bytes()


@target(_zones, 0.25, 2000, ("dns.zonefile", "dns.tokenizer", "dns.rdata"))
def zone(data: bytes) -> None:
    """Master files, as zones and as trust anchors."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return
    try:
        TrustAnchors.parse(text)
    except ValueError:
        pass
    try:
        rrsets = master_file.zone(text, _ORIGIN)
    except BadZone:
        return
    try:
        found = LocalZone(_ORIGIN, rrsets)
    except ValueError:
        return
    _answer_from(found, _names())


@cache
def _beside() -> list[RRset]:
    return master_file.zone(_ZONE, _ORIGIN)


_LISTS = {
    "ip4set": b"$SOA 3600 ns.x h.x 1 2 3 4 5\n$NS 3600 ns.x\n:127.0.0.3:Listed $, see $1\n$1 http\n192.0.2.1\n"
    b"!192.0.2.5\n198.51.100/24 :4:x\n10.0.0.0-10.0.3.255\n127.0.0.2\n$TTL 60\n$TIMESTAMP 2020:01:01 2040:01:01\n",
    "ip4trie": b":2:x\n192.0.2.0/24\n!192.0.2.77\n0/0 :3:\n$MAXRANGE4 /8\n",
    "ip6trie": b":2:x $\n2001:db8::/32\n!2001:db8::1\n::/0\n",
    "dnset": b":127.0.0.2:Spam $\n.spam.example\n*.wild :3:\nplain\n!not.spam.example\n$= base $=\n",
}


@target(lambda: [form.encode() + b"\n" + text for form, text in _LISTS.items()], 0.1, 1500)
def rbldnsd(data: bytes) -> None:
    """Lists in rbldnsd's formats; the first line names the format."""
    first, _, text = data.partition(b"\n")
    form = first.decode("latin-1")
    if form not in FORMATS:
        form = tuple(FORMATS)[len(form) % len(FORMATS)]
    try:
        dataset = FORMATS[form](text.splitlines(keepends=True), 5, 1_800_000_000.0)
    except BadDataset:
        return
    names = [*_names()]
    for word in re.split(rb"[\s:!/]+", text)[:4]:
        try:
            names.append(prepend(from_text(word.decode("ascii").lower().strip(".*") or "."), _ORIGIN))
        except (BadName, UnicodeDecodeError):
            pass
    _answer_from(LocalZone(_ORIGIN, None, [dataset]), names, (codes.A, codes.TXT))
    _answer_from(LocalZone(_ORIGIN, _beside(), [dataset]), names, (codes.A,))


@target(lambda: [(_ROOT / "config.toml").read_bytes(), *_parts_of_configuration()], 1.5, 6000, ("tomllib",))
def config(data: bytes) -> None:
    """The configuration: read, or refused with its faults; what is shown of it says the same."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return
    try:
        settings = configuration.parse(text, Path("/nowhere"))
    except ConfigError as error:
        if not all(map(str, error.faults)) or not error.faults:
            raise
        return
    Rate(settings.dns.client_rate)
    for spec in enabled_lists(settings):
        for allowance in (spec.rate, spec.quota):
            if allowance is not None:
                Rate(allowance)
                Budget(allowance).left(1_800_000_000.0)
    shown = show(settings)
    if "hidden" not in shown:
        configuration.parse(shown, Path("/nowhere"))


def _parts_of_configuration() -> Iterable[bytes]:
    text = (_ROOT / "config.toml").read_text()
    for part in re.split(r"(?m)^(?=\[)", text):
        yield part.encode()
    yield b'[lists.mine]\nzone = "bl.example"\nweight = 2.0\n[lists.mine.codes]\n"127.0.0.2" = "x"\n'
    yield b"[policy]\nlocal_domains = [\"hash:/etc/postfix/x\", 'a.example']\ntrusted_networks = ['10.0.0.0/8']\n"
    yield b"a = " + b"[" * 3000


_MAPS = [
    b"192.0.2.1 REJECT go away\nexample.com OK\n.example.net DEFER\n# x\n a\nb 550 5.7.1 no\n\"q uoted\" 1\n",
    b"192.0.2.0/24 REJECT\n!10.0.0.0/8 OK\nif 192.0.2.0/24\n192.0.2.7 DUNNO\nendif\n2001:db8::/32 421 4.7.0 later\n",
]


@target(lambda: _MAPS, 0.02, 1500)
def postfix_map(data: bytes) -> None:
    """Postfix's maps and lists of domains."""
    text = data.decode("utf-8", "replace")
    for kind in ("hash", "cidr"):
        found, faults = map_text.read("map", kind, text)
        for each in ("192.0.2.1", "2001:db8::1", "10.1.2.3"):
            found.of_address(ip_address(each))
        for each in ("example.com", "a.example.net", "q uoted", ""):
            found.of_name(each)
        lines = text.count("\n") + 1
        assert all(1 <= fault.line <= lines and str(fault).isprintable() for fault in faults)
    domains, faults = local_domains.read(text)
    for each in ("example.com", "a.example.net", "straße.de"):
        domains.holds(each)
    assert all(str(fault).isprintable() for fault in faults)


_ALLOWED = [
    b"192.0.2.0/24\n/^mx[[:digit:]]+\\.example$/\nexample.com # remark\n192.0\n2001:db8::/32\nanna@example.org\n@example.net\n",
    b"/(a|b)*c{2,3}[^x-z]\\d(?i)\\x41/\n/a.*b.*c/i\npostmaster@\n",
]


@target(lambda: _ALLOWED, 0.1, 600)
def allow_file(data: bytes) -> None:
    """Postgrey's lists, expressions included."""
    text = data.decode("utf-8", "replace")
    clients, faults = allow_files.read_clients(text)
    recipients, more = allow_files.read_recipients(text)
    assert all(str(fault).isprintable() for fault in (*faults, *more))
    allow_files.client_lines(text)
    allow_files.recipient_lines(text)
    for each in ("192.0.2.1", "2001:db8::1"):
        attempt = Attempt(client_address=ip_address(each), client_name="Mail.example.com", recipient="Anna+x@example.org")
        allow_files.Allowed(clients, recipients).reason(attempt)


_EXPRESSIONS = [
    b"^mx\\d+\\.example$\nmx1.example", b"(a|b)*?[^c]{1,3}\\b\naab", b"[[:alpha:]_-]\\z\nab", b"a{2}|^\\Q.\\E\naa",
]  # fmt: skip


@target(lambda: _EXPRESSIONS, 0.1, 200)
def expression(data: bytes) -> None:
    """One of Perl's expressions, against a text; Python's own library where both mean the same by it."""
    pattern, _, text = data.decode("latin-1").partition("\n")
    try:
        ours = Expression(pattern)
    except ValueError:
        return
    found = ours.search(text)
    if re.fullmatch(r"[a-z0-9.|()*+?]*", pattern) and re.fullmatch(r"[a-z0-9.]{0,12}", text) and len(pattern) < 12:
        try:
            theirs = re.compile(pattern, re.IGNORECASE)
        except re.error:
            return
        assert found == (theirs.search(text) is not None)


_DUMP = b"VERSION=3\nformat=print\ntype=btree\nHEADER=END\n 192.0.2.0/a@x/b@y\n 1,400\n 192.0.2.1\n 5,\\31\nDATA=END\n"
_DUMP_HEX = b"VERSION=3\nformat=bytevalue\nHEADER=END\n " + b"192.0.2.1".hex().encode() + b"\n 352c31\nDATA=END\n"


@target(lambda: [_DUMP, _DUMP_HEX], 0.02, 1500)
def postgrey_dump(data: bytes) -> None:
    """A dump of Postgrey's database, taken over and given back."""
    try:
        pairs = list(postgrey.entries(data.splitlines(keepends=True)))
    except ValueError:
        return
    taken = postgrey.from_postgrey(pairs, 300, GreylistRules())
    back = b"".join(postgrey.to_postgrey(taken.triplets.items(), 300))
    again = postgrey.from_postgrey(postgrey.entries(back.splitlines(keepends=True)), 300, GreylistRules())
    assert again.odd == again.hashed == 0
    assert {key: known.passed for key, known in again.triplets.items()} == {
        key: known.passed for key, known in taken.triplets.items() if key in again.triplets
    }


_POSTFIX = [
    b"smtpd_recipient_restrictions = permit_mynetworks, check_policy_service { inet:127.0.0.1:1 , timeout=1s }\n"
    b"x = ${y?{a}:{b}}\ny = ${{$z} == {1} ? {$(x)} : {no}}\nz = $$ 1\nsmtpd_restriction_classes = c\nc = reject\n"
    b"mynetworks = 127.0.0.0/8 [::1]/128\nsmtpd_relay_restrictions = permit_mynetworks, reject_unauth_destination\n"
    b"\0smtp inet n - y - - smtpd\n  -o smtpd_client_restrictions=c -o { x = $y }\n\0nameserver 127.0.0.1\noptions edns0\n",
    b"postscreen_dnsbl_sites = zen.spamhaus.org*3, list.dnswl.org=127.0.[0..255].[1..3]*-2, x.dq.spamhaus.net\n"
    b"postscreen_dnsbl_threshold = 5\ncompatibility_level = 3.6\n"
    b"smtpd_data_restrictions = check_policy_service inet:localhost:10023\n"
    b"smtpd_helo_restrictions = reject_rbl_client zen.spamhaus.org, check_helo_access pcre:/etc/x, reject_rhsbl_helo dbl.x\n"
    b"\0smtp inet n - - - 1 postscreen\nsmtpd pass - - y - - smtpd\n\0nameserver 8.8.8.8\n",
]  # fmt: skip


@cache
def _settings() -> Settings:
    return configuration.parse("", Path("/nowhere"))


@target(lambda: _POSTFIX, 0.05, 800)
def postfix_configuration(data: bytes) -> None:
    """main.cf, master.cf and resolv.conf, with all that the doctor makes of them."""
    main, _, rest = data.decode("utf-8", "replace").partition("\0")
    master, _, resolv = rest.partition("\0")
    for finding in diagnose(Machine(_settings(), main, master, resolv, resolv, daemon=True)):
        assert all(line.isprintable() for line in (finding.text, *finding.fix))
