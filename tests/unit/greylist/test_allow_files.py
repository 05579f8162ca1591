"""Allow files in Postgrey's format: whom each line means, and which lines are named as faulty."""

from ipaddress import ip_address
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resolverd.greylist.allow_files import Allowed, read_clients, read_recipients
from resolverd.mail.request import Attempt
from resolverd.values import replace
from tests.work import allow_file, steps_of


@pytest.mark.parametrize(
    ("line", "address", "name", "held"),
    [
        ("example.com", "192.0.2.1", "example.com", True),
        ("example.com", "192.0.2.1", "MX.Example.COM", True),
        ("Example.com", "192.0.2.1", "a.b.example.com", True),
        ("example.com", "192.0.2.1", "notexample.com", False),
        ("example.com", "192.0.2.1", "example.com.evil.example", False),
        ("example.com", "192.0.2.1", "", False),
        ("example.com", "192.0.2.1", "unknown", False),
        (".example.com", "192.0.2.1", "mx.example.com", True),
        ("  example.com   # since 2004-05-20", "192.0.2.1", "mx.example.com", True),
        ("#example.com", "192.0.2.1", "example.com", False),
        ("192.0.2.1", "192.0.2.1", "", True),
        ("192.0.2.1", "192.0.2.10", "", False),
        ("192.0.2.0/28", "192.0.2.15", "", True),
        ("192.0.2.7/28", "192.0.2.15", "", True),
        ("192.0.2.0/28", "192.0.2.16", "", False),
        ("192.0.2", "192.0.2.255", "", True),
        ("192.0.2", "192.0.3.1", "", False),
        ("192.0", "192.0.200.1", "", True),
        ("192.0", "192.1.0.1", "", False),
        ("2001:db8::/32", "2001:db8:ffff::1", "", True),
        ("2001:DB8::1", "2001:db8:0::1", "", True),
        ("2001:db8::1", "2001:db8::2", "", False),
        ("0.0.0.0/0", "2001:db8::1", "", False),
        ("*.example.com", "192.0.2.1", "mx.example.com", True),
        ("*.example.com", "192.0.2.1", "example.com", True),
        ("*.example.com", "192.0.2.1", "notexample.com", False),
        ("Example.com.", "192.0.2.1", "mx.example.com", True),
        ("b\u00fccher.example", "192.0.2.1", "mx.xn--bcher-kva.example", True),
        ("192.0.2.*", "192.0.2.255", "", True),
        ("192.0.2.*", "192.0.3.1", "", False),
        ("192.0.2.", "192.0.2.7", "", True),
        ("192.0.2.", "192.0.20.7", "", False),
        ("192.0.*.*", "192.0.200.1", "", True),
        ("10.*", "10.200.0.1", "", True),
        ("192.0.2.0/255.255.255.240", "192.0.2.15", "", True),
        ("192.0.2.0/255.255.255.240", "192.0.2.16", "", False),
        ("192.0.2.5-192.0.2.9", "192.0.2.9", "", True),
        ("192.0.2.5-192.0.2.9", "192.0.2.10", "", False),
        ("192.0.2.5 - 9", "192.0.2.5", "", True),
        ("192.0.2.5-9", "192.0.2.4", "", False),
        ("2001:db8::1-2001:db8::f", "2001:db8::8", "", True),
        ("[192.0.2.1]", "192.0.2.1", "", True),
        ("[2001:db8::]/32", "2001:db8::9", "", True),
        ("IPv6:2001:db8::1", "2001:db8::1", "", True),
        ("::ffff:192.0.2.1", "192.0.2.1", "", True),
        ("::ffff:192.0.2.0/120", "192.0.2.77", "", True),
        ("::ffff:192.0.2.0/120", "192.0.3.77", "", False),
        ("1-2.example", "192.0.2.1", "1-2.example", True),
        ("dead-beef.example", "192.0.2.1", "dead-beef.example", True),
        (r"/^mail-\d+\.example\.com$/", "192.0.2.1", "MAIL-17.example.com", True),
        (r"/^mail-\d+\.example\.com$/", "192.0.2.1", "xmail-17.example.com", False),
        (r"/\.example\./", "192.0.2.1", "a.example.org", True),
    ],
)
def test_clients(line: str, address: str, name: str, held: bool) -> None:
    clients, faults = read_clients(line)
    assert not faults
    assert clients.holds(ip_address(address), name) is held


@pytest.mark.parametrize(
    ("line", "recipient", "held"),
    [
        ("postmaster@", "postmaster@example.org", True),
        ("postmaster@", "PostMaster+x@example.org", True),
        ("postmaster@", "xpostmaster@example.org", False),
        ("bob@example.org", "Bob@Example.org", True),
        ("bob@example.org", "bob+tag@example.org", True),
        ("bob@example.org", "bob@sub.example.org", False),
        ("bob@example.org", "bobby@example.org", False),
        ("example.org", "anybody@example.org", True),
        ("example.org", "anybody@sub.example.org", True),
        ("example.org", "anybody@notexample.org", False),
        ("postmaster", "Postmaster@example.org", True),
        ("postmaster", "postmaster@sub.example.org", True),
        ("postmaster", "bob@postmaster", False),
        ("postmaster@*", "postmaster@example.org", True),
        ("@example.org", "anybody@Example.org", True),
        ("@example.org", "anybody@sub.example.org", False),
        ("*@example.org", "anybody@example.org", True),
        ("*@vip", "anybody@vip", True),
        ("*@vip", "vip@example.org", False),
        ("*.example.org", "anybody@sub.example.org", True),
        ("*@*.example.org", "anybody@sub.example.org", True),
        ("<bob@example.org>", "bob@example.org", True),
        ("bob@Example.org.", "bob@example.org", True),
        ("b\u00fccher.example", "bob@b\u00fccher.example", True),
        ("bob@b\u00fccher.example", "bob@xn--bcher-kva.example", True),
        (r"/^info@.*\.example$/", "info@shop.example", True),
        (r"/^info@.*\.example$/", "sinfo@shop.example", False),
    ],
)
def test_recipients(line: str, recipient: str, held: bool) -> None:
    recipients, faults = read_recipients(line)
    assert not faults
    assert recipients.holds(recipient) is held


@pytest.mark.parametrize(
    ("read", "line"),
    [
        (read_clients, "two words"),
        (read_clients, "bob@example.com"),
        (read_clients, "300.1.2.3"),
        (read_clients, "192.0.2.0/33"),
        (read_clients, "2001:db8::/129"),
        (read_clients, "2001:::1"),
        (read_clients, "a..b"),
        (read_clients, "example.com/24"),
        (read_clients, "/unclosed(/"),
        (read_recipients, "bob example.org"),
        (read_clients, "*"),
        (read_clients, "mail*.example.com"),
        (read_clients, "mail.*.example.com"),
        (read_clients, "192.0.*.1"),
        (read_clients, "*.0.2.1"),
        (read_clients, "192.0.2.1.*"),
        (read_clients, "10"),
        (read_clients, "192.0.2.9-192.0.2.1"),
        (read_clients, "192.0.2.1-300"),
        (read_clients, "0.0.0.1-255.255.255.254 x"),
        (read_clients, "fe80::1%eth0"),
        (read_clients, "[192.0.2.1"),
        (read_clients, "example.com OK"),
        (read_clients, "@example.com"),
        (read_clients, "-example.com"),
        (read_recipients, "@"),
        (read_recipients, "*@"),
        (read_recipients, "*"),
        (read_recipients, "vip"),
        (read_recipients, "info*@example.org"),
        (read_recipients, "bob@exa*mple.org"),
        (read_recipients, "192.0.2.1"),
        (read_recipients, "/[/"),
    ],
)
def test_a_bad_line_is_named_and_the_rest_is_used(read: object, line: str) -> None:
    found, faults = read(f"good.example\n{line}\nfine.example\n")  # type: ignore[operator]
    assert [fault.line for fault in faults] == [2]
    assert line in str(faults[0])
    assert {"good.example", "fine.example"} <= set(found.names if read is read_clients else found.domains)


def test_faults_are_printable() -> None:
    (fault,) = read_clients("evil\x1b[2Jline two\n")[1]
    assert str(fault).isprintable()


def test_both_kinds_in_postgreys_words() -> None:
    allowed = Allowed(read_clients("example.com")[0], read_recipients("postmaster@")[0])
    mail = Attempt(ip_address("192.0.2.1"), client_name="mx.example.com", recipient="postmaster@example.org")
    assert allowed.reason(mail) == "client whitelist"
    assert allowed.reason(replace(mail, client_name="unknown")) == "recipient whitelist"
    assert allowed.reason(replace(mail, client_name="", recipient="bob@example.org")) == ""
    assert Allowed().reason(mail) == ""


def test_files_add_up() -> None:
    clients = read_clients("a.example\n192.0.2.1")[0] | read_clients("/^b/")[0]
    assert [clients.holds(ip_address(a), n) for a, n in (("192.0.2.9", "a.example"), ("192.0.2.1", ""), ("192.0.2.9", "b"))] == [
        True
    ] * 3


@given(st.text(max_size=60), st.text(max_size=40), st.ip_addresses())
def test_anything_is_read(text: str, name: str, address: object) -> None:
    clients, recipients = read_clients(text)[0], read_recipients(text)[0]
    clients.holds(address, name)  # type: ignore[arg-type]
    recipients.holds(name)


def test_a_large_file_costs_no_more_than_a_small_one() -> None:
    costs = []
    for size in (20, 20_000):
        clients, faults = read_clients(allow_file(size))
        assert not faults
        client = ip_address("192.0.2.1")
        clients.holds(client, "mx.example.net")
        costs.append(steps_of(lambda clients=clients, client=client: clients.holds(client, "mx.example.net")))
    assert costs[1] == costs[0] < 1000


@pytest.mark.skipif(not Path("/etc/postgrey/whitelist_clients").exists(), reason="needs Debian's postgrey")
def test_debians_own_files_have_no_faults() -> None:
    clients, faults = read_clients(Path("/etc/postgrey/whitelist_clients").read_text())
    assert not faults
    assert clients.holds(ip_address("192.0.2.1"), "mail.amazon.com") or clients.names
    assert not read_recipients(Path("/etc/postgrey/whitelist_recipients").read_text())[1]
