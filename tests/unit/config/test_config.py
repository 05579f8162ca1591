"""config.toml: what it may say, what each fault is told as, and that the manual and the defaults are one."""

import os
import re
import tomllib
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resolverd import config
from resolverd.config import endpoints, reader, values
from resolverd.config.files import default_state
from resolverd.config.postfix import WAYS, lines
from resolverd.failures import ConfigError
from resolverd.mail.findings import Consequence
from resolverd.mail.patterns import matches_recipient
from resolverd.policy.checks import PRESETS
from resolverd.wire.ask import Server

MANUAL = Path(__file__).parents[3] / "config.toml"
BASE = Path("/etc/resolverd")


def faults(text: str, base: Path = BASE) -> dict[str, str]:
    with pytest.raises(ConfigError) as error:
        config.parse(text, base)
    return {fault.path: fault.text for fault in error.value.faults}


def uncommented(text: str) -> str:
    return re.sub(r"(?m)^#(?=[\[a-z])", "", text)


# -- the manual ---------------------------------------------------------------------------------------------------------


def test_the_manual_says_the_defaults():
    assert config.parse(MANUAL.read_text(), BASE) == config.parse("", BASE)


def test_the_manual_has_every_key_and_no_other():
    def paths(table: dict, prefix: str = "") -> set[str]:
        found = set()
        for name, value in table.items():
            path = "lists.*" if prefix == "lists." else f"{prefix}{name}"
            inner = value[0] if isinstance(value, list) and value and isinstance(value[0], dict) else value
            if isinstance(inner, dict) and path.rpartition(".")[2] not in ("codes", "errors", "key", "token", "password"):
                found |= paths(inner, f"{path}.")
            else:
                found.add(path)
        return found

    assert paths(tomllib.loads(uncommented(MANUAL.read_text()))) == set(reader.keys())


def test_the_manuals_commented_lines_are_valid(tmp_path: Path):
    text = uncommented(MANUAL.read_text())
    for name in ("zen.key", "token", "store.password"):
        (tmp_path / name).write_text("abc\n")
    text = text.replace("/usr/share/dns/root.hints", "zen.key").replace("/usr/share/dns/root.key", "zen.key")
    settings = config.parse(text, tmp_path)
    assert settings.verdict.reject_at == 6
    assert settings.lists["mine"].number == 101
    assert settings.policy.recipients[0].greylist is False


def test_the_manual_says_what_the_tutorial_preset_does():
    checks = MANUAL.read_text().partition("[checks]")[2].partition("[checks.overrides]")[0]
    settings = config.parse(uncommented(f"[checks]{checks}"), BASE)
    for name in ("ptr", "fcrdns", "helo", "sender_domain", "spf"):
        check, preset = getattr(settings.checks, name), PRESETS["tutorial"][name]
        assert (name, check.action, check.score) == (name, preset.consequence, preset.score)
    assert settings.checks.dnsbl.action is settings.checks.rhsbl.action is PRESETS["tutorial"]["dnsbl"].consequence


# -- values -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("500ms", 0.5),
        ("300s", 300),
        ("5m", 300),
        ("2h", 7200),
        ("35d", 3024000),
        ("1w", 604800),
        ("0s", 0),
        ("1.5h", 5400),
        ("4 s", 4),
    ],
)
def test_durations(text: str, seconds: float):
    assert values.duration(text) == seconds
    assert values.duration(values.show_duration(seconds)) == seconds


@given(st.integers(0, 10**9).map(lambda ms: ms / 1000))
def test_durations_are_shown_as_they_are_read(seconds: float):
    assert values.duration(values.show_duration(seconds)) == pytest.approx(seconds)


@pytest.mark.parametrize("wrong", [300, 5.5, True, "", "300", "5 minutes", "-5s", "5S", "1e3s", "5m5s", "99999d", ["5s"], {}])
def test_what_is_no_duration(wrong: object):
    with pytest.raises(ValueError):
        values.duration(wrong)


@pytest.mark.parametrize(("text", "octets"), [("64MiB", 67108864), ("1kB", 1000), ("2 GiB", 2**31), ("512B", 512)])
def test_sizes(text: str, octets: int):
    assert values.size(text) == octets
    assert values.size(values.show_size(octets)) == octets


@pytest.mark.parametrize("wrong", [64, "64", "64MB/s", "64 Mib", "-1MiB", "9999999GiB"])
def test_what_is_no_size(wrong: object):
    with pytest.raises(ValueError):
        values.size(wrong)


@pytest.mark.parametrize(
    ("text", "server"),
    [
        ("192.0.2.1", Server(ip_address("192.0.2.1"))),
        ("192.0.2.1:5353", Server(ip_address("192.0.2.1"), 5353)),
        ("2001:db8::1", Server(ip_address("2001:db8::1"))),
        ("[2001:db8::1]:53", Server(ip_address("2001:db8::1"))),
        ("192.0.2.2:853#DNS.example", Server(ip_address("192.0.2.2"), 853, "dns.example")),
        ("[2001:db8::1]#dns.example", Server(ip_address("2001:db8::1"), 853, "dns.example")),
        ("192.0.2.2:53#dns.example", Server(ip_address("192.0.2.2"), 53, "dns.example")),
    ],
)
def test_servers(text: str, server: Server):
    assert endpoints.server(text) == server
    assert endpoints.server(endpoints.show_server(server)) == server


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        "dns.example",
        "192.0.2.1:",
        "192.0.2.1:x",
        "192.0.2.1:99999",
        "192.0.2.1:0",
        "192.0.2.1#",
        "[::1",
        "[::1]53",
        "::1%eth0",
    ],
)
def test_what_is_no_server(wrong: str):
    with pytest.raises(ValueError):
        endpoints.server(wrong)


@pytest.mark.parametrize(
    ("text", "shown"), [("127.0.0.1:53", "127.0.0.1:53"), ("[::1]:53", "[::1]:53"), ("unix:run/policy", "unix:/x/run/policy")]
)
def test_listeners(text: str, shown: str):
    assert str(endpoints.listen_or_unix(text, Path("/x"))) == shown


@pytest.mark.parametrize("wrong", ["127.0.0.1", "::1", "localhost:53", ":53", "53", "unix:", "unix:" + "a" * 200, 53])
def test_what_is_no_listener(wrong: object):
    with pytest.raises(ValueError):
        endpoints.listen_or_unix(wrong, Path("/x"))


def test_names_are_brought_into_one_form():
    assert values.domain("Bücher.Example.") == "xn--bcher-kva.example"
    assert values.domain(".") == "."
    assert values.recipient_pattern("Postmaster@") == "postmaster@"
    assert endpoints.host("[::1]") == "::1"


# -- whole files --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "path", "words"),
    [
        # unknown keys, and the valid one that is nearest
        ("[dns]\nlisen = []", "dns.lisen", "dns.listen"),
        ("[dns]\ndnssec = true", "dns.dnssec", "resolver.dnssec"),
        ("[verdict]\nrejct_at = 6", "verdict.rejct_at", "verdict.reject_at"),
        ("[greylisting]\n", "greylisting", "greylist"),
        ("[checks.pt]\n", "checks.pt", "checks.ptr"),
        ("[checks.ptr]\nacton = 'off'", "checks.ptr.acton", "checks.ptr.action"),
        ("[lists.mine]\nwieght = 3", "lists.mine.wieght", "lists.mine.weight"),
        ("[[policy.for]]\nrecipients = ['a@b.example']\nmod = 'observe'", "policy.for[0].mod", "policy.for[0].mode"),
        # wrong types
        ("[dns]\nlisten = '127.0.0.1:53'", "dns.listen", "a list"),
        ("[dns]\nminimal_responses = 'yes'", "dns.minimal_responses", "true or false"),
        ("[greylist]\nenabled = 1", "greylist.enabled", "true or false"),
        ("[resolver]\nedns_size = '1232'", "resolver.edns_size", "whole number"),
        ("[resolver]\nedns_size = true", "resolver.edns_size", "whole number"),
        ("dns = 3", "dns", "a table"),
        ("[resolver]\nforward = {zone = '.'}", "resolver.forward", "a list"),
        ("[lists]\nmine = 'x'", "lists.mine", "a table"),
        ("[lists.mine]\nenabled = 'no'", "lists.mine.enabled", "true or false"),
        ("[log]\nlevel = 3", "log.level", "one of debug, info"),
        # impossible values
        ("[greylist]\ndelay = 300", "greylist.delay", "unit"),
        ("[greylist]\nipv4_prefix = 33", "greylist.ipv4_prefix", "8 and 32"),
        ("[resolver]\nquery_deadline = '9s'", "resolver.query_deadline", "100ms and 8s"),
        ("[cache]\nsize = '1kB'", "cache.size", "less than 1MiB"),
        ("[dns]\nallow = ['127.0.0.1/8']", "dns.allow[0]", "127.0.0.0/8"),
        ("[dns]\nallow = ['::1', '::1']", "dns.allow[1]", "twice"),
        ("[dns]\nallow = ['192.0.2.*']", "dns.allow[0]", "no network"),
        ("[dns]\nallow = ['192.0.2']", "dns.allow[0]", "no network"),
        ("[dns]\nallow = ['fe80::1%eth0']", "dns.allow[0]", "no network"),
        ("[policy]\ntrusted_networks = ['::ffff:192.0.2.1/120']", "policy.trusted_networks[0]", "192.0.2.0/24"),
        ("[checks]\nexempt_recipients = ['vip']", "checks.exempt_recipients[0]", "vip@ is that name"),
        ("[checks]\nexempt_recipients = ['*@']", "checks.exempt_recipients[0]", "everybody, or nobody"),
        ("[checks]\nexempt_recipients = ['info*@example.org']", "checks.exempt_recipients[0]", "wildcard"),
        ("[[policy.for]]\nrecipients = ['a b']", "policy.for[0].recipients[0]", "no recipient"),
        ("[checks.spf]\ndomain_allow = ['*.example.org']", "checks.spf.domain_allow[0]", "without * and @"),
        ("[checks.spf]\ndomain_allow = ['@example.org']", "checks.spf.domain_allow[0]", "without * and @"),
        ("[checks.spf]\ndomain_allow = ['postmaster']", "checks.spf.domain_allow[0]", "no domain that has hosts"),
        ("[[resolver.stub]]\nzone = '*.corp.example'\nservers = ['192.0.2.53']", "resolver.stub[0].zone", "without * and @"),
        ("[[resolver.stub]]\nzone = '192.0.2.1'\nservers = ['192.0.2.53']", "resolver.stub[0].zone", "an address"),
        ("[dns]\nclient_rate = 'fast'", "dns.client_rate", "200/1s"),
        ("[dns]\nlisten = ['127.0.0.1']", "dns.listen[0]", "no port"),
        ("[resolver]\nqname_minimisation_type = 'AA'", "resolver.qname_minimisation_type", "RR type"),
        ("[[resolver.forward]]\nservers = ['192.0.2.1']", "resolver.forward[0].zone", "is missing"),
        ("[[resolver.forward]]\nzone = '.'\nservers = ['dns.example']", "resolver.forward[0].servers[0]", "no IP address"),
        ("[zone]\nlisted_at = 'some'", "zone.listed_at", '"any"'),
        ("[zone]\nlisted_at = 0", "zone.listed_at", "above 0"),
        ("[zone]\norigin = 'a..b'", "zone.origin", "no domain name"),
        ("[checks]\npreset = 'turorial'", "checks.preset", "tutorial, scored; did you mean 'tutorial'?"),
        ("[checks.ptr]\naction = 'grelist'", "checks.ptr.action", "did you mean 'greylist'?"),
        ("[checks.ptr]\naction = 'refuse'", "checks.ptr.action", "reject, defer"),
        ("[checks.ptr]\ncode = 250", "checks.ptr.code", "400 to 599"),
        ("[store]\nurl = 'redis:localhost'", "store.url", "followed by //"),
        ("[store]\nurl = 'redis://a,b'", "store.url", "redis+sentinel://"),
        ("[store]\nurl = 'memory:x'", "store.url", "disk:DIRECTORY"),
        ("[store]\nprefix = 'a b'", "store.prefix", "begins no keys: 1 to 32 letters"),
        ("[store]\nurl = 'var'", "store.url", "disk:DIRECTORY"),
        ("[log]\nident = 'a b'", "log.ident", "log tag"),
        ("[log]\nident = \"a\\u0000\"", "log.ident", "control character"),
        ("[watch]\naddresses = ['mail.example']", "watch.addresses[0]", "no IP address"),
        ("[alerts]\nmail = 'root'", "alerts.mail", "a list"),
        ("[alerts]\nmail = ['root, joe@example.com']", "alerts.mail[0]", "no mail address"),
        ("[alerts]\nmail = ['<joe@example.com>']", "alerts.mail[0]", "no mail address"),
        ("[alerts]\nmail = ['joe@example..com']", "alerts.mail[0]", "no domain name"),
        ("[alerts]\nmail = [\"joe\\nbcc@example.com\"]", "alerts.mail[0]", "control character"),
        ("[alerts]\nwebhook = 'ftp://example.com/'", "alerts.webhook", "begins with https://"),
        ("[alerts]\nwebhook = 'https://example.com/a b'", "alerts.webhook", "begins with https://"),
        ("[alerts]\nwebhook = 'https:///x'", "alerts.webhook", "begins with https://"),
        ("[alerts]\nwebhook = ['https://example.com/']", "alerts.webhook", "in quotes"),
        # contradictions
        ("[cache]\nmin_ttl = '10m'\nmax_ttl = '1m'", "cache.min_ttl", "longer than cache.max_ttl"),
        ("[greylist]\ndelay = '1h'\nretry_window = '1h'", "greylist.retry_window", "longer than greylist.delay"),
        ("[verdict]\nreject_at = 2\ngreylist_at = 6", "verdict.greylist_at", "above verdict.reject_at"),
        ("[resolver]\nipv4 = false\nipv6 = false", "resolver.ipv6", "no server"),
        ("[http]\nlisten = '127.0.0.1:10023'", "http.listen", "policy.listen[0]"),
        ("[[resolver.stub]]\nzone = 'a.example'\nservers = []", "resolver.stub[0].servers", "no server"),
        # lists
        ("[lists.sorbs]\nenabled = true", "lists.sorbs", "dead since 2024-06-05"),
        ("[lists.spamhaus-zen]\nquota = 'much'", "lists.spamhaus-zen.quota", "300000/1d"),
        # no TOML at all
        ("[dns", "", "not TOML"),
    ],
)  # fmt: skip
def test_each_fault_has_its_key_and_a_way_out(text: str, path: str, words: str):
    found = faults(text)
    assert list(found) == [path]
    assert words in found[path]


def test_patterns_mean_what_they_say():
    settings = config.parse(
        """
        [dns]
        allow = ["::ffff:192.0.2.0/120", "[2001:db8::]/32", "[::1]", "::ffff:198.51.100.1"]
        [checks]
        exempt_recipients = ["postmaster", "abuse@*", "*@VIP", "@Example.org", "*.example.net", "<bob@b\u00fccher.example>"]
        [[resolver.stub]]
        zone = "0/25.2.0.192.in-addr.arpa"
        servers = ["192.0.2.53"]
        [resolver]
        do_not_query = ["::ffff:0:0/96"]
        [watch]
        addresses = ["::ffff:192.0.2.1"]
        """,
        BASE,
    )
    assert [str(each) for each in settings.dns.allow] == ["192.0.2.0/24", "2001:db8::/32", "::1/128", "198.51.100.1/32"]
    assert settings.checks.exempt_recipients == (
        "postmaster@", "abuse@", "@vip", "@example.org", "example.net", "bob@xn--bcher-kva.example",
    )  # fmt: skip
    assert [str(each) for each in settings.watch.addresses] == ["192.0.2.1"]
    # All of these addresses are meant, not all of IPv4.
    assert list(settings.resolver.do_not_query) == [ip_network("::ffff:0:0/96")]
    assert config.parse(config.render(settings), BASE) == settings


@pytest.mark.parametrize(
    ("pattern", "recipient", "meant"),
    [
        ("postmaster", "postmaster", True), ("postmaster", "Postmaster+x@a.example", True), ("postmaster", "x@postmaster", False),
        ("*@vip", "bob@vip", True), ("*@vip", "vip@a.example", False), ("@a.example", "bob@A.example", True),
        ("@a.example", "bob@b.a.example", False), ("*.a.example", "bob@b.a.example", True), ("a.example", "a.example", False),
        ("@a.example", "bob", False), ("xn--bcher-kva.example", "bob@B\u00dcCHER.example", True),
    ],
)  # fmt: skip
def test_recipients_that_patterns_mean(pattern: str, recipient: str, meant: bool):
    assert matches_recipient(recipient, [values.recipient_pattern(pattern)]) is meant


def test_every_fault_is_told_at_once():
    found = faults(
        """
        [dns]
        lisen = []
        allow = ["10.0.0.1/8", 7]
        [greylist]
        delay = "soon"
        [http]
        listen = "127.0.0.1:5335"
        [lists.sorbs]
        enabled = true
        [lists.spamhaus-zen]
        rate = 5
        """
    )
    assert set(found) == {
        "dns.lisen", "dns.allow[0]", "dns.allow[1]", "greylist.delay", "http.listen", "lists.sorbs", "lists.spamhaus-zen.rate",
    }  # fmt: skip


def test_relative_paths_are_relative_to_the_file(tmp_path: Path):
    (tmp_path / "hints").write_text("")
    file = tmp_path / "config.toml"
    file.write_text("[resolver]\nroot_hints = 'hints'\n[policy]\nlisten = ['unix:run/policy']\n")
    settings = config.load(file)
    assert settings.resolver.root_hints == tmp_path / "hints"
    assert settings.policy.listen[0].path == tmp_path / "run/policy"
    assert settings.state_directory() == tmp_path / "var"
    assert settings.zones.dir == tmp_path / "zones"


@pytest.mark.parametrize(
    ("found", "environment", "state"),
    [
        (None, {}, "var"),
        ("mine/config.toml", {}, "var"),
        ("/etc/resolverd/other.toml", {}, "var"),
        ("/etc/resolverd/config.toml", {}, "/var/lib/resolverd"),
        ("/etc/resolverd/config.toml", {"STATE_DIRECTORY": "/srv/state"}, "/srv/state"),
        (None, {"STATE_DIRECTORY": "/srv/state:/srv/second"}, "/srv/state"),
        ("/etc/resolverd/config.toml", {"STATE_DIRECTORY": ""}, "/var/lib/resolverd"),
    ],
)
def test_where_state_is_kept_by_itself(found: str | None, environment: dict[str, str], state: str):
    assert default_state(Path(found) if found else None, environment) == Path(state)


@pytest.mark.parametrize("text", ["", "[store]\n", "[store]\nurl = 'disk:mine'\n"])
def test_systemds_state_directory_is_the_default_and_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str):
    monkeypatch.setenv("STATE_DIRECTORY", "/srv/state")
    (tmp_path / "config.toml").write_text(text)
    expected = tmp_path / "mine" if "mine" in text else Path("/srv/state")
    assert config.load(tmp_path / "config.toml").state_directory() == expected


@pytest.mark.parametrize(
    ("text", "directory"),
    [
        ("url = 'redis://cache.example'", "/srv/state"),
        ("url = 'unix:/run/valkey.sock'\ndirectory = 'mine'", "/etc/resolverd/mine"),
        ("url = 'rediss+sentinel://a,b/mail'\ndirectory = '/var/mine'", "/var/mine"),
        ("url = 'disk:mine'\ndirectory = 'other'", "/etc/resolverd/mine"),
    ],
)
def test_a_host_that_shares_a_store_has_a_directory_of_its_own(text: str, directory: str):
    settings = config.parse(f"[store]\n{text}\n", BASE, Path("/srv/state"))
    assert settings.state_directory() == Path(directory)
    assert settings.command_socket() == Path(directory) / "resolverd.sock"
    assert config.parse(config.render(settings), BASE) == settings


@pytest.mark.parametrize(
    "url",
    [
        f"redis://:{'pw'}@h", "redis://u:pw@h", "redis://u:1/pw@h", "rediss+cluster://u:pw@a,b", "valkey://u:pw@h", "http://u:pw@h",
        "u:pw@h", "valkey://h?password=pw", "memory:pw",
    ],
)  # fmt: skip
def test_a_password_in_a_url_is_refused_and_not_repeated(url: str):
    found = faults(f"[store]\nurl = {url!r}".replace("pw", SENTINEL))
    assert set(found) == {"store.url"}
    assert SENTINEL not in found["store.url"]
    assert ("password = {file = " in found["store.url"]) is url.startswith("redis")


def test_search_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    assert config.find(Path("mine.toml")) == Path("mine.toml")
    (tmp_path / "config.toml").write_text("[log]\nident = 'here'")
    assert config.find(None) == Path("config.toml")
    assert config.load().log.ident == "here"


@pytest.mark.parametrize(
    ("octets", "words"), [(None, "cannot be read"), (b"\xff\xfe", "is not UTF-8"), (b"#" * (5 << 20), "larger than 4 MiB")]
)
def test_files_that_cannot_be_read(tmp_path: Path, octets: bytes | None, words: str):
    file = tmp_path / "config.toml"
    if octets is not None:
        file.write_bytes(octets)
    with pytest.raises(ConfigError, match=words):
        config.load(file)


def test_values_arrive_as_what_they_are():
    settings = config.parse(
        """
        [dns]
        allow = ["192.0.2.0/24", "2001:db8::/32"]
        [checks.ptr]
        action = "warn"
        score = 2
        [zone]
        listed_at = 6
        [lists.mine]
        zone = "Rbl.Example.net."
        codes = {"127.0.0.2" = "listed"}
        """,
        BASE,
    )
    assert settings.dns.allow == (ip_network("192.0.2.0/24"), ip_network("2001:db8::/32"))
    assert settings.checks.ptr.action is Consequence.WARN
    assert settings.checks.fcrdns.action is None
    assert settings.zone.listed_at == 6.0
    assert settings.list_tables() == {"mine": {"zone": "rbl.example.net", "codes": {"127.0.0.2": "listed"}}}
    assert {spec.id for spec in config.enabled_lists(settings)} == {"spamhaus-zen", "spamhaus-dbl", "dnswl", "mine"}


def test_what_is_rendered_reads_back():
    text = """
        [resolver]
        builtin_except = ["2.0.192.in-addr.arpa"]
        [[resolver.forward]]
        zone = "."
        servers = ["192.0.2.2#dns.example"]
        [[resolver.forward]]
        zone = "corp.example"
        servers = ["[2001:db8::1]:5353"]
        [lists."my own"]
        zone = "rbl.example.net"
        codes = {"127.0.0.2" = "listed", "127.0.0.[4..7]" = {means = "exploited", weight = 4}}
        [checks.overrides]
        client_access = ["cidr:/dev/null"]
        [[policy.for]]
        recipients = ["customer.example"]
        mode = "observe"
        [greylist]
        delay = "1s"
        [alerts]
        mail = ["root", "joe+dns@EXAMPLE.com"]
        webhook = "https://chat.example.com:8443/hooks/x?y=z"
        """
    settings = config.parse(text, BASE)
    assert config.parse(config.render(settings), Path("/elsewhere")) == settings
    defaults = config.parse("", BASE)
    assert config.parse(config.render(defaults), Path("/elsewhere")) == defaults


# -- secrets ------------------------------------------------------------------------------------------------------------

SENTINEL = "sentinel0key0that0nobody0may0see"


@pytest.mark.parametrize("source", ["file", "env", "credential"])
def test_secrets_come_from_elsewhere_and_are_not_shown(source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "key").write_text(f"{SENTINEL}\n")
    monkeypatch.setenv("key", SENTINEL)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    tables = ("[http]\ntoken", "[store]\nurl = 'redis://h'\npassword", "[lists.spamhaus-zen]\nkey")
    settings = config.parse("\n".join(f"{each} = {{{source} = 'key'}}" for each in tables), tmp_path)
    assert settings.http.token is not None
    assert settings.store.password is not None
    assert settings.http.token.reveal() == settings.store.password.reveal() == SENTINEL
    assert any(SENTINEL.encode() in spec.zone for spec in config.enabled_lists(settings))
    shown = repr(settings) + str(settings) + config.render(settings) + repr(config.enabled_lists(settings))
    shown += "".join(lines(settings, way) for way in WAYS)
    assert SENTINEL not in shown


def test_the_url_of_a_webhook_may_be_a_secret(tmp_path: Path):
    (tmp_path / "hook").write_text(f"https://chat.example.com/{SENTINEL}\n")
    (tmp_path / "none").write_text(f"{SENTINEL}\n")
    found = config.parse("[alerts]\nwebhook = {file = 'hook'}\nmail = ['root', 'a@EXAMPLE.com']", tmp_path).alerts
    assert found.webhook is not None
    assert found.webhook.reveal() == f"https://chat.example.com/{SENTINEL}"
    assert SENTINEL not in repr(found)
    assert found.mail == ("root", "a@example.com")
    faulty = config.parse("[alerts]\nwebhook = {file = 'none'}", tmp_path).alerts.webhook
    assert faulty is not None
    assert "holds no URL" in faulty.fault
    assert SENTINEL not in faulty.fault


@pytest.mark.parametrize(
    "table",
    [
        f"'{SENTINEL}'",
        f"['{SENTINEL}']",
        f"{{file = 'key', env = '{SENTINEL}'}}",
        f"{{value = '{SENTINEL}'}}",
    ],
)
def test_faulty_secrets_are_told_without_being_repeated(table: str, tmp_path: Path):
    found = faults(f"[http]\ntoken = {table}\n[lists.spamhaus-zen]\nkey = {table}", tmp_path)
    assert set(found) == {"http.token", "lists.spamhaus-zen.key"}
    assert SENTINEL not in str(found)


@pytest.mark.parametrize(
    "table",
    [
        "{file = 'missing'}",
        "{file = 'two'}",
        "{file = 'empty'}",
        "{file = 'huge'}",
        "{env = 'NOT_SET_ANYWHERE'}",
        "{credential = '../key'}",
    ],
)
def test_a_secret_that_cannot_be_had_costs_what_needs_it(table: str, tmp_path: Path):
    """It stands outside the configuration. A list without its key is not asked at all, nor is the public one in its place."""
    for name, text in [("two", f"{SENTINEL} {SENTINEL}"), ("empty", "\n"), ("huge", SENTINEL * 1000)]:
        (tmp_path / name).write_text(text)
    settings = config.parse(f"[http]\ntoken = {table}\n[lists.spamhaus-zen]\nkey = {table}", tmp_path)
    assert settings.http.token is not None
    with pytest.raises(ValueError) as refused:
        settings.http.token.reveal()
    told = [*config.unusable_keys(settings)]
    assert [name for name, _ in told] == ["spamhaus-zen"]
    assert {spec.id for spec in config.enabled_lists(settings)} == {"spamhaus-dbl", "dnswl"}
    assert SENTINEL not in f"{refused.value} {told} {settings} {config.render(settings)}"


def test_what_is_no_list_key_is_not_asked_with(tmp_path: Path):
    (tmp_path / "key").write_text(f"{SENTINEL}.x\n")
    settings = config.parse("[lists.spamhaus-zen]\nkey = {file = 'key'}\n[lists.spamhaus-dbl]\nkey = {file = 'key'}", tmp_path)
    assert {name for name, _ in config.unusable_keys(settings)} == {"spamhaus-zen", "spamhaus-dbl"}
    assert {spec.id for spec in config.enabled_lists(settings)} == {"dnswl"}
    assert SENTINEL not in str([*config.unusable_keys(settings)])


def test_the_state_token_is_written_once_and_for_the_owner_only(tmp_path: Path):
    directory = tmp_path / "var"
    token = config.state_token(directory)
    assert token.value
    assert len(token.value) >= 32
    assert (directory / "token").stat().st_mode & 0o777 == 0o600
    assert directory.stat().st_mode & 0o777 == 0o700
    assert config.state_token(directory) == token == (token.value, ())


@pytest.mark.parametrize(
    ("octets", "words"),
    [
        (b"", "is empty"),
        (b"\n", "is empty"),
        (b"\xff\xfe\x00" + SENTINEL.encode(), "printable ASCII"),
        ("\u00fc".encode() + SENTINEL.encode(), "printable ASCII"),
        (SENTINEL.encode() + b" " + SENTINEL.encode(), "one word"),
        (SENTINEL.encode() * 1000, "octets"),
    ],
)
def test_a_damaged_token_is_named_and_stays_as_it_is(octets: bytes, words: str, tmp_path: Path):
    (tmp_path / "token").write_bytes(octets)
    (tmp_path / "token").chmod(0o600)
    token = config.state_token(tmp_path)
    assert token.value is None
    assert words in token.faults[0]
    assert str(tmp_path / "token") in token.faults[0]
    assert SENTINEL not in str(token.faults)
    assert (tmp_path / "token").read_bytes() == octets


def test_what_is_no_file_is_no_token(tmp_path: Path):
    for name, make in (("pipe", os.mkfifo), ("directory", os.mkdir)):
        (tmp_path / name).mkdir()
        make(tmp_path / name / "token")
        token = config.state_token(tmp_path / name)
        assert token.value is None
        assert "is no file" in token.faults[0]


@pytest.mark.parametrize(
    ("mode", "told"), [(0o600, False), (0o400, False), (0o640, False), (0o644, True), (0o604, True), (0o660, True), (0o666, True)]
)
def test_permissions_that_give_a_secret_away_are_told(mode: int, told: bool, tmp_path: Path):
    config.state_token(tmp_path)
    (tmp_path / "token").chmod(mode)
    token = config.state_token(tmp_path)
    assert token.value
    assert [f"{mode:04o}" in fault for fault in token.faults] == [True] * told


@pytest.mark.parametrize(("mode", "told"), [(0o700, False), (0o750, False), (0o755, False), (0o770, True), (0o777, True)])
def test_a_directory_into_which_others_may_put_files_is_told(mode: int, told: bool, tmp_path: Path):
    tmp_path.chmod(mode)
    assert [f"{mode:04o}" in fault for fault in config.loose(tmp_path)] == [True] * told
    tmp_path.chmod(0o700)
