"""What a configuration is warned of: each case has just its warning, and its twin none."""

import json
from ipaddress import ip_address
from pathlib import Path
from typing import NamedTuple

import pytest
from click.testing import CliRunner

from resolverd.cli.root import resolverd
from resolverd.config import parse
from resolverd.config.public_resolvers import PUBLIC_RESOLVERS
from resolverd.config.review import review
from resolverd.config.review.review import EXAMINATIONS
from resolverd.failures import ConfigError

BASE = Path("/etc/resolverd")


class Case(NamedTuple):
    """`text` has the warnings `expected` (codes, separated by blanks), the first of them at `path`; `twin` has none."""

    name: str
    expected: str
    path: str
    text: str
    twin: str


def forward(zone: str, *servers: str, dns: str = "", kind: str = "forward") -> str:
    return f"{dns}[[resolver.{kind}]]\nzone = {json.dumps(zone)}\nservers = {json.dumps(servers)}\n"


def listening(*where: str) -> str:
    return f"[dns]\nlisten = {json.dumps(where)}\n"


def policies(*entries: str) -> str:
    return "".join(f"[[policy.for]]\n{entry}\n" for entry in entries)


def sharing(url: str, more: str = "") -> str:
    return f'[store]\nurl = "{url}"\n{more}'


PASSWORD = 'password = {env = "RESOLVERD_TEST_PASSWORD"}\n'
MINE = '[lists.mine]\nzone = "rbl.example.net"\nnumber = 101\n'
PORT_53 = listening("127.0.0.1:53")
EVERYWHERE = listening("0.0.0.0:53", "[::]:53")
TLS = '[dns]\ntls = {listen = ["127.0.0.2:853"], certificate = "c.pem", key = "k.pem"}\n'

CASES = [
    # -- forwarding to oneself
    Case("forwarded to where we listen", "forward-self", "resolver.forward[0].servers[0]",
         forward(".", "127.0.0.1", dns=PORT_53), forward(".", "127.0.0.1:5353", dns=PORT_53)),
    Case("among others", "forward-self", "resolver.forward[0].servers[1]",
         forward("corp.example", "192.0.2.1", "127.0.0.1:5335"), forward("corp.example", "192.0.2.1", "127.0.0.1")),
    Case("a stub", "forward-self", "resolver.stub[0].servers[0]",
         forward("corp.example", "[::1]:5335", kind="stub"), forward("corp.example", "[::1]:5336", kind="stub")),
    Case("any loopback address, where we listen on all", "forward-self", "resolver.forward[0].servers[0]",
         forward("a.example", "127.0.0.53", dns=EVERYWHERE), forward("a.example", "127.0.0.2", dns=listening("127.0.0.3:53"))),
    Case("IPv4 within IPv6", "forward-self", "resolver.forward[0].servers[0]",
         forward("a.example", "::ffff:127.0.0.1", dns=PORT_53), forward("a.example", "::ffff:127.0.0.2", dns=PORT_53)),
    Case("the unspecified address", "forward-self", "resolver.forward[0].servers[0]",
         forward("a.example", "0.0.0.0", dns=PORT_53), forward("a.example", "0.0.0.0", dns=listening("192.0.2.1:53")
                 + 'allow = ["192.0.2.0/24"]\n')),
    Case("by TLS", "forward-self", "resolver.forward[0].servers[0]",
         forward("a.example", "127.0.0.2:853#dns.example", dns=TLS), forward("a.example", "127.0.0.3:853#dns.example", dns=TLS)),
    Case("an own address, where we listen on all", "forward-self", "resolver.forward[0].servers[0]",
         forward("a.example", "198.51.100.7", dns=EVERYWHERE + '[watch]\naddresses = ["198.51.100.7"]\n'),
         forward("a.example", "198.51.100.8", dns=EVERYWHERE + '[watch]\naddresses = ["198.51.100.7"]\n')),
    # -- forwarding to those that lists refuse
    Case("everything to Google", "forward-public", "resolver.forward[0].servers",
         forward(".", "8.8.8.8"), forward(".", "8.8.8.8") + "[dnsbl]\nenabled = false\n"),
    Case("everything to Quad9, by IPv6 and TLS", "forward-public", "resolver.forward[0].servers",
         forward(".", "[2620:fe::fe]:853#dns.quad9.net"), forward(".", "[2001:db8::53]:853#dns.example")),
    Case("only what lists are below", "forward-public", "resolver.forward[0].servers",
         forward("org", "1.1.1.1"), forward("com", "1.1.1.1")),
    Case("the lists themselves are asked elsewhere", "forward-public", "resolver.forward[0].servers",
         forward(".", "9.9.9.9"),
         forward(".", "9.9.9.9") + forward("spamhaus.org", "192.0.2.1") + forward("dnswl.org", "192.0.2.1", kind="stub")),
    # -- open doors
    Case("an open resolver", "dns-open", "dns.allow",
         EVERYWHERE + 'allow = ["127.0.0.0/8", "0.0.0.0/0"]\n', 'dns = {allow = ["127.0.0.0/8", "0.0.0.0/0"]}\n'),
    Case("an open resolver in halves", "dns-open", "dns.allow",
         EVERYWHERE + 'allow = ["0.0.0.0/1", "128.0.0.0/1"]\n',
         EVERYWHERE + 'allow = ["10.0.0.0/8", "100.64.0.0/10", "198.51.0.0/16"]\n'),
    Case("an open resolver for IPv6", "dns-open", "dns.allow",
         EVERYWHERE + 'allow = ["::/0"]\n', EVERYWHERE + 'allow = ["fc00::/7", "2001:db8:1::/48"]\n'),
    Case("everybody is trusted", "trusted-wide", "policy.trusted_networks",
         '[policy]\ntrusted_networks = ["127.0.0.0/8", "0.0.0.0/0"]\n', '[policy]\ntrusted_networks = ["10.0.0.0/8"]\n'),
    # -- the combined zone
    Case("a top level domain", "origin-real origin-list", "zone.origin",
         '[zone]\norigin = "net"\n', '[zone]\norigin = "internal"\n'),
    Case("a suffix of two labels", "origin-real", "zone.origin", '[zone]\norigin = "co.uk"\n', '[zone]\norigin = "home.arpa"\n'),
    Case("a whole domain", "origin-real", "zone.origin",
         '[zone]\norigin = "example.com"\n', '[zone]\norigin = "rbl.example.com"\n'),
    Case("a domain among private ones", "origin-real", "zone.origin",
         '[zone]\norigin = "someone.github.io"\n', '[zone]\norigin = "rbl.local"\n'),
    Case("a list's zone", "origin-list", "zone.origin", '[zone]\norigin = "bl.spamcop.net"\n', '[zone]\norigin = "rbl.test"\n'),
    Case("a name below a list's zone", "origin-list", "zone.origin",
         '[zone]\norigin = "x.zen.spamhaus.org"\n', '[zone]\norigin = "x.invalid"\n'),
    # -- the server that hosts share
    Case("a server elsewhere without a password", "store-no-password store-clear", "store.url",
         sharing("redis://10.1.2.3"), sharing("redis://127.0.0.1")),
    Case("a server elsewhere in clear", "store-clear", "store.url",
         sharing("redis://store.example", PASSWORD), sharing("rediss://store.example", PASSWORD)),
    Case("one of three is elsewhere", "store-no-password", "store.url",
         sharing("rediss+cluster://localhost,[::1],10.1.2.3"), sharing("rediss+cluster://localhost,[::1],127.0.0.3")),
    Case("a server on the internet", "store-no-password store-clear", "store.url",
         sharing("redis+sentinel://198.41.0.4/mail"), sharing("redis+unix:///run/valkey/valkey.sock")),
    Case("a password for nobody", "store-not-shared", "store.password",
         f"[store]\n{PASSWORD}", sharing("redis://127.0.0.1", PASSWORD)),
    Case("a prefix for nobody", "store-not-shared", "store.prefix",
         '[store]\nprefix = "mx"\n', sharing("redis://127.0.0.1", 'prefix = "mx"\n')),
    Case("a directory for nobody", "store-not-shared", "store.directory",
         '[store]\nurl = "disk:a"\ndirectory = "b"\n', sharing("redis://127.0.0.1", 'directory = "b"\n')),
    Case("authorities without TLS", "store-not-shared", "store.ca",
         sharing("redis://127.0.0.1", 'ca = "ca.pem"\n'), sharing("rediss://127.0.0.1", 'ca = "ca.pem"\n')),
    # -- lists
    Case("a service, and no list is left", "list-terms-use", "dnsbl.use",
         '[dnsbl]\nuse = "service"\n', '[dnsbl]\nuse = "service"\nenabled = false\n'),
    Case("more than the terms give", "list-terms-quota", "lists.spamhaus-zen.quota",
         '[lists.spamhaus-zen]\nquota = "300001/1d"\n', '[lists.spamhaus-zen]\nquota = "300000/1d"\n'),
    Case("registered with nobody", "list-registration", "lists.barracuda.enabled",
         "[lists.barracuda]\nenabled = true\n", "[lists.barracuda]\nenabled = true\nregistered = true\n"),
    Case("registered with nobody, and off", "list-registration", "lists.senderscore.enabled",
         "[lists.senderscore]\nenabled = true\nregistered = false\n", "[lists.senderscore]\nenabled = false\n"),
    Case("a code that is an error", "list-code-lost", 'lists.spamhaus-zen.codes."127.255.255.254"',
         '[lists.spamhaus-zen]\ncodes = {"127.0.0.2" = "sbl", "127.255.255.254" = "listed"}\n',
         '[lists.spamhaus-zen]\ncodes = {"127.0.0.2" = "sbl", "127.0.0.254" = "listed"}\n'),
    Case("a code behind a wider one", "list-code-lost", 'lists.mine.codes."127.0.0.4"',
         MINE + 'codes = {"127.0.0.[2..9]" = "any", "127.0.0.4" = "worse"}\n',
         MINE + 'codes = {"127.0.0.4" = "worse", "127.0.0.[2..9]" = "any"}\n'),
    Case("bits stand side by side", "list-code-lost", 'lists.mine.codes."127.0.0.&6"',
         MINE + 'codes = {"127.0.0.[2..255]" = "any", "127.0.0.&6" = "both"}\n',
         MINE + 'codes = {"127.0.0.&2" = "one", "127.0.0.&6" = "both"}\n'),
    # -- values that match nobody
    Case("recipients named before", "policy-for-shadowed", "policy.for[1]",
         policies('recipients = ["a.example"]\nmode = "observe"', 'recipients = ["boss@x.a.example"]\ngreylist = false'),
         policies('recipients = ["boss@a.example"]\ngreylist = false', 'recipients = ["a.example"]\nmode = "observe"')),
    Case("named before, one by one", "policy-for-shadowed", "policy.for[2]",
         policies('recipients = ["info@"]\nmode = "observe"', 'recipients = ["@a.example"]\nmode = "observe"',
                  'recipients = ["info@b.example", "x@a.example", "info+x@c.example"]\ngreylist = false'),
         policies('recipients = ["info@"]\nmode = "observe"', 'recipients = ["@a.example"]\nmode = "observe"',
                  'recipients = ["info@b.example", "x@b.a.example"]\ngreylist = false')),
    Case("an entry that changes nothing", "policy-for-empty", "policy.for[0]",
         policies('recipients = ["a.example"]'), policies('recipients = ["a.example"]\ngreylist = true')),
    Case("who has no address to ask at", "unmatched", "dns.allow[1]",
         '[dns]\nallow = ["127.0.0.0/8", "10.0.0.0/8"]\n', listening("10.0.0.1:53") + 'allow = ["127.0.0.0/8", "10.0.0.0/8"]\n'),
    Case("an address at which nobody may ask", "unmatched", "dns.listen[1]",
         listening("127.0.0.1:53", "192.0.2.1:53"), listening("127.0.0.1:53", "192.0.2.1:53") + 'allow = ["192.0.2.1"]\n'),
    Case("a stub within the combined zone", "unmatched", "resolver.stub[0].zone",
         forward("x.rbl.internal", "192.0.2.1", kind="stub"), forward("internal", "192.0.2.1", kind="stub")),
    Case("servers of a family that is off", "unmatched", "resolver.forward[0].servers",
         forward("a.example", "2001:db8::1", dns="[resolver]\nipv6 = false\n"),
         forward("a.example", "2001:db8::1", "192.0.2.1", dns="[resolver]\nipv6 = false\n")),
    Case("an own address of a family that is off", "unmatched", "resolver.outgoing_addresses[0]",
         '[resolver]\nipv4 = false\noutgoing_addresses = ["192.0.2.1"]\n',
         '[resolver]\nipv4 = false\noutgoing_addresses = ["2001:db8::1"]\n'),
    Case("an exception from no built-in zone", "unmatched", "resolver.builtin_except[0]",
         '[resolver]\nbuiltin_except = ["corp.example"]\n',
         '[resolver]\nbuiltin_except = ["1.10.in-addr.arpa", "172.in-addr.arpa"]\n'),
    Case("exceptions from built-in zones that are off", "unmatched", "resolver.builtin_except[0]",
         '[resolver]\nbuiltin_zones = false\nbuiltin_except = ["test"]\n', '[resolver]\nbuiltin_except = ["test"]\n'),
    Case("exceptions from validation that is off", "unmatched", "resolver.negative_trust_anchors",
         '[resolver]\ndnssec = false\nnegative_trust_anchors = ["broken.example"]\n',
         '[resolver]\nnegative_trust_anchors = ["broken.example"]\n'),
    Case("a forwarder that is a registry", "unmatched", "checks.spf.domain_allow[0]",
         '[checks.spf]\ndomain_allow = ["co.uk"]\n', '[checks.spf]\ndomain_allow = ["forwarder.co.uk"]\n'),
    Case("a private address is watched", "unmatched", "watch.addresses[0]",
         '[watch]\naddresses = ["192.168.1.1"]\n', '[watch]\naddresses = ["198.51.100.1"]\n'),
    Case("a threshold without points", "unmatched", "verdict.reject_at",
         "[verdict]\nreject_at = 5\n", '[verdict]\nreject_at = 5\n[checks.spf]\naction = "score"\n'),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_what_is_warned_of(case: Case) -> None:
    found = review(parse(case.text, BASE))
    assert [each.code for each in found] == case.expected.split()
    assert found[0].path == case.path
    for each in found:
        assert each.fix
        assert all(line.isprintable() for line in (each.text, *each.fix))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_twin_is_in_order(case: Case) -> None:
    assert review(parse(case.twin, BASE)) == []


def test_a_configuration_that_says_nothing_is_in_order() -> None:
    for text in ("", '[checks]\npreset = "scored"\n', PORT_53, EVERYWHERE):
        assert review(parse(text, BASE)) == []


def test_every_examination_has_a_case() -> None:
    cases = [parse(case.text, BASE) for case in CASES]
    assert not {each.__qualname__ for each in EXAMINATIONS if not any(list(each(settings)) for settings in cases)}


def test_lists_with_a_key_are_never_forwarded(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("abc\n")
    keyed = "".join(f'[lists.{name}]\nkey = {{file = "key"}}\n' for name in ("spamhaus-zen", "spamhaus-dbl"))
    assert review(parse(forward(".", "8.8.8.8") + keyed + "[lists.dnswl]\nenabled = false\n", tmp_path)) == []


def test_what_loses_mail_comes_first() -> None:
    found = review(parse(MINE + 'codes = {"127.0.0.[2..9]" = "a", "127.0.0.4" = "b"}\n' + forward(".", "8.8.8.8"), BASE))
    assert [each.code for each in found] == ["forward-public", "list-code-lost"]


def test_all_faults_of_lists_are_told_in_one_round(tmp_path: Path) -> None:
    text = """
        [lists.sorbs]
        enabled = true
        wieght = 1
        [lists.spamhaus-zen]
        quota = "much"
        rate = 5
        codes = {"10.0.0.1" = "x", "127.0.0.999" = "y"}
        weight = -3
        key = "plain"
        [lists.abusix-combined]
        enabled = true
        quota = "much"
        [lists.mine]
        zone = "a..b"
        number = 7
        codes = {}
        kinds = ["ip4", "hash"]
        errors = {"x" = "y"}
        [lists.theirs]
        zone = 7
        number = 101
        weight = "heavy"
        [lists.yours]
        zone = "rbl.example.net"
        number = 101
        quota = "x"
        [lists.another]
        zone = "rbl.example.net"
        [lists.more]
        zone = "rbl.example.net"
        [lists.uribl]
        enabled = true
        number = 5
        purpose = "allow"
    """
    with pytest.raises(ConfigError) as error:
        parse(text, tmp_path)
    assert sorted(fault.path for fault in error.value.faults) == [
        "lists.abusix-combined.key", "lists.abusix-combined.quota", "lists.another",
        "lists.mine.codes", "lists.mine.errors", "lists.mine.kinds", "lists.mine.number", "lists.mine.zone",
        "lists.more", "lists.sorbs", "lists.sorbs.wieght",
        'lists.spamhaus-zen.codes', 'lists.spamhaus-zen.codes."10.0.0.1"', "lists.spamhaus-zen.key", "lists.spamhaus-zen.quota",
        "lists.spamhaus-zen.rate", "lists.spamhaus-zen.weight",
        "lists.theirs.number", "lists.theirs.weight", "lists.theirs.zone", "lists.uribl.number", "lists.uribl.purpose",
        "lists.yours.quota",
    ]  # fmt: skip


def test_config_check_says_what_to_write(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text("[lists.barracuda]\nenabled = true\n")
    words = ["config", "check", "-c", str(file)]
    said = CliRunner().invoke(resolverd, words)
    assert said.exit_code == 0
    lines = said.stdout.splitlines()
    assert lines[0] == f"{file}: no faults, 1 warning"
    assert lines[1].startswith("warning: lists.barracuda.enabled: ")
    assert lines[2:4] == ["    # once that is done: [lists.barracuda]", "    registered = true"]
    document = json.loads(CliRunner().invoke(resolverd, [*words, "--json"]).stdout)
    assert [(each["code"], each["path"]) for each in document["warnings"]] == [("list-registration", "lists.barracuda.enabled")]
    file.write_text("[lists.barracuda]\nenabeld = true\n")
    said = CliRunner().invoke(resolverd, [*words, "--json"])
    assert said.exit_code == 78
    assert [each["path"] for each in json.loads(said.stdout)["faults"]] == ["lists.barracuda.enabeld"]


def test_config_check_knows_that_nothing_starts_without_its_certificate(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text(TLS)
    said = CliRunner().invoke(resolverd, ["config", "check", "-c", str(file)])
    assert said.exit_code == 78
    assert [line.split(": ")[2] for line in said.stderr.splitlines()] == ["dns.tls.certificate", "dns.tls.key"]


def test_public_resolvers_are_written_as_addresses_are_compared() -> None:
    assert [text for text in PUBLIC_RESOLVERS if str(ip_address(text)) != text or not ip_address(text).is_global] == []
