"""The zones as programs use them: dig, smtpd, postscreen, rspamd, SpamAssassin, and an Unbound in front."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from ipaddress import ip_address
from itertools import product
from pathlib import Path

import pytest

from tests.lab.daemon import Daemon, fresh, until
from tests.lab.lab import Lab
from tests.lab.namespace import LAB, ROOT, use_nameserver
from tests.lab.postfix import Postfix
from tests.lab.rbldnsd import ListServer
from tests.lab.resolverd import CONFIG, HTTP, resolverd
from tests.lab.rspamd import rspamd, symbols
from tests.lab.smtp import Delivery
from tests.lab.unbound import unbound

ORIGIN = "rbl.internal"
CONTRIB = ROOT / "contrib"

LISTED, LISTED6 = "192.0.2.66", "2001:db8:66::66"
CLEAN, CLEAN6 = "192.0.2.10", "2001:db8:10::10"
BOTH = "192.0.2.70"
VOUCHED, VOUCHED6 = "198.51.100.50", "2001:db8:50::50"
NAMELESS = "192.0.2.99"
DENIED = "203.0.113.77"
OWN_ALLOWED = "192.0.2.67"


@pytest.fixture(scope="module")
def daemon(lab: Lab) -> Iterator[Daemon]:
    """One resolverd for the whole file, with two words of the admin."""
    use_nameserver("127.0.0.1")
    with lab.running(running := resolverd(lab.mail, CONFIG, name="zones")):
        command("deny", DENIED)
        command("allow", OWN_ALLOWED, "--reason", "a customer")
        yield running


def command(*arguments: str) -> str:
    argv = [sys.executable, "-m", "resolverd", *arguments, "-c", str(LAB / "zones" / "config.toml")]
    return subprocess.run(argv, cwd=ROOT, text=True, capture_output=True, check=True).stdout


def post(path: str) -> None:
    token = (LAB / "zones" / "state" / "token").read_text().strip()
    request = urllib.request.Request(HTTP + path, method="POST", headers={"Authorization": f"Bearer {token}"})
    urllib.request.urlopen(request, timeout=10).close()


def dig(name: str, rtype: str = "A", *options: str, server: str = "127.0.0.1") -> tuple[str, list[str], str]:
    """Status, flags and comments aside: the RCODE, the answer's data, the types of the authority section."""
    argv = ["dig", f"@{server}", name, rtype, "+time=4", "+tries=1", "+noall", "+comments", "+answer", "+authority", *options]
    text = subprocess.run(argv, text=True, capture_output=True, check=True).stdout
    status = text.partition("status: ")[2].partition(",")[0]
    records = [line.split(None, 4) for line in text.splitlines() if line and not line.startswith(";")]
    said = [record[4] for record in records if record[3] == rtype]
    return status, sorted(said), " ".join(record[3] for record in records if record[3] != rtype)


def reverse(address: str) -> str:
    name = ip_address(address).reverse_pointer
    return name.removesuffix(".in-addr.arpa").removesuffix(".ip6.arpa")


def at(address: str, tree: str) -> str:
    return f"{reverse(address)}.{tree}.{ORIGIN}"


NO, NODATA = ("NXDOMAIN", [], "SOA"), ("NOERROR", [], "SOA")


def yes(*data: str) -> tuple[str, list[str], str]:
    return "NOERROR", sorted(data), ""


TABLE = [
    # bl
    (at(LISTED, "bl"), "A", yes("127.0.0.2", "127.0.1.1")),
    (at(LISTED6, "bl"), "A", yes("127.0.0.2", "127.0.1.1")),
    (at(CLEAN, "bl"), "A", NO),
    (at(CLEAN, "bl"), "TXT", NO),
    (at(CLEAN6, "bl"), "A", NO),
    (at(LISTED, "bl"), "AAAA", NODATA),
    (at(LISTED, "bl"), "MX", NODATA),
    (at(BOTH, "bl"), "A", NO),
    (at(DENIED, "bl"), "A", yes("127.0.0.2")),
    (at(DENIED, "bl"), "TXT", yes('"denied by this server\'s own rules"')),
    (at(OWN_ALLOWED, "bl"), "A", NO),
    # dbl
    (f"casino-deals.net.dbl.{ORIGIN}", "A", yes("127.0.0.2", "127.0.1.2")),
    (f"www.casino-deals.net.dbl.{ORIGIN}", "A", yes("127.0.0.2", "127.0.1.2")),
    (f"honest-mail.com.dbl.{ORIGIN}", "A", NO),
    # a legitimate domain that others abuse: 0 points, so no listing; in the list's own zone it has the list's own answer
    (f"abused-by-others.com.dbl.{ORIGIN}", "A", NO),
    ("abused-by-others.com.dbl.spamhaus.org", "A", yes("127.0.1.103")),
    # wl
    (at(VOUCHED, "wl"), "A", yes("127.0.2.3")),
    (at(VOUCHED6, "wl"), "A", yes("127.0.2.3")),
    (at(BOTH, "wl"), "A", yes("127.0.9.2")),
    (at(OWN_ALLOWED, "wl"), "A", yes("127.0.20.3")),
    (at(CLEAN, "wl"), "A", NO),
    (at(DENIED, "wl"), "A", NO),
    # score: no allow-listing applied
    (at(LISTED, "score"), "A", yes("127.0.2.6", "127.0.1.1")),
    (at(BOTH, "score"), "A", yes("127.0.2.6", "127.0.1.1")),
    (at(DENIED, "score"), "A", yes("127.0.2.254")),
    (at(CLEAN, "score"), "A", NO),
    # what the service knows
    (at(NAMELESS, "noptr"), "A", yes("127.0.0.2")),
    (at(CLEAN, "noptr"), "A", NO),
    (at(CLEAN6, "noptr"), "A", NO),
    (at("2001:db8:99::99", "noptr"), "A", yes("127.0.0.2")),
    (at("192.0.2.90", "noptr"), "A", NO),
    (at(NAMELESS, "nofcrdns"), "A", yes("127.0.0.2")),
    (at("192.0.2.90", "nofcrdns"), "A", yes("127.0.0.2")),
    (at("192.0.2.91", "nofcrdns"), "A", yes("127.0.0.2")),
    (at(CLEAN, "nofcrdns"), "A", NO),
    (at(CLEAN, "firstseen"), "A", NO),
    (at(CLEAN, "greypassed"), "A", NO),
    (at(CLEAN, "offenders"), "A", NO),
    (at(CLEAN, "why"), "TXT", NO),
    # test points (RFC 5782 §5)
    (at("127.0.0.2", "bl"), "A", yes("127.0.0.2")),
    (at("127.0.0.1", "bl"), "A", NO),
    (at("::ffff:127.0.0.2", "bl"), "A", yes("127.0.0.2")),
    (at("::ffff:127.0.0.1", "bl"), "A", NO),
    (at("127.0.0.2", "score"), "A", yes("127.0.2.100")),
    (at("127.0.0.1", "score"), "A", NO),
    (at("127.0.0.2", "wl"), "A", yes("127.0.20.3")),
    (at("127.0.0.1", "wl"), "A", NO),
    (f"TEST.dbl.{ORIGIN}", "A", yes("127.0.0.2")),
    (f"INVALID.dbl.{ORIGIN}", "A", NO),
    # empty non-terminals, the apex, and what is not there
    (f"bl.{ORIGIN}", "A", NODATA),
    (f"2.0.192.bl.{ORIGIN}", "A", NODATA),
    (f"8.b.d.0.1.0.0.2.bl.{ORIGIN}", "A", NODATA),
    (f"com.dbl.{ORIGIN}", "A", NODATA),
    (ORIGIN, "A", NODATA),
    (f"nothing.{ORIGIN}", "A", NO),
    (f"300.2.0.192.bl.{ORIGIN}", "A", NO),
    # a list's own zone
    (f"{reverse(LISTED)}.zen.spamhaus.org", "A", yes("127.0.0.2", "127.0.0.4")),
    (f"{reverse(CLEAN)}.zen.spamhaus.org", "A", NO),
    (f"{reverse(OWN_ALLOWED)}.zen.spamhaus.org", "A", NO),
    (f"{reverse(DENIED)}.zen.spamhaus.org", "A", yes("127.0.0.2")),
    (f"{reverse(VOUCHED)}.list.dnswl.org", "A", yes("127.0.2.3")),
    (f"{reverse(LISTED)}.dnsbl.sorbs.net", "A", NO),
    # addresses of which no public list knows anything
    (at("10.0.0.1", "bl"), "A", NO),
    (at("192.168.1.1", "score"), "A", NO),
    (at("fd00::1", "bl"), "A", NO),
    (at("10.0.0.1", "noptr"), "A", NO),
    # everything else
    ("mail.honest-mail.com", "A", yes("192.0.2.10")),
]  # fmt: skip


@pytest.mark.parametrize("options", [(), ("+dnssec", "+cd"), ("+tcp",)], ids=["plain", "dnssec", "tcp"])
def test_the_table_with_dig(daemon: Daemon, options: tuple[str, ...]) -> None:
    def asked(row: tuple[str, str, object]) -> tuple[str, str, object]:
        return row[0], row[1], dig(row[0], row[1], *options)

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(asked, TABLE))
    assert [row for row in found if row not in TABLE] == []


def test_the_reasons_with_dig(daemon: Daemon) -> None:
    status, (text,), _ = dig(at(LISTED, "bl"), "TXT")
    assert status == "NOERROR"
    assert "zen.spamhaus.org" in text
    assert f"see https://www.spamhaus.org/query/ip/{LISTED}" in text
    assert any(line.startswith('"spamhaus-zen: ok') for line in dig(f"_status.{ORIGIN}", "TXT")[1])


def test_no_denial_of_internal_hides_the_zone(daemon: Daemon) -> None:
    assert dig("internal", "A", "+dnssec")[0] == "NXDOMAIN"
    assert dig("anything.internal", "A", "+dnssec")[0] == "NXDOMAIN"
    assert dig(at(LISTED, "bl"), "A", "+dnssec") == yes("127.0.0.2", "127.0.1.1")


def ask_policy(address: str, helo: str, sender: str) -> str:
    request = {"request": "smtpd_access_policy", "protocol_state": "RCPT", "client_address": address, "client_name": "unknown",
               "helo_name": helo, "sender": sender, "recipient": "anna@our-company.org"}  # fmt: skip
    with socket.create_connection(("127.0.0.1", 10023), 10) as sock:
        sock.sendall("".join(f"{name}={value}\n" for name, value in request.items()).encode() + b"\n")
        return sock.recv(4096).decode()


def test_what_becomes_known_of_a_client_with_dig(daemon: Daemon) -> None:
    for _ in range(3):
        assert dig(at("198.51.100.66", "offenders")) == NO
        assert "action=5" in ask_policy("198.51.100.66", "blast.casino-deals.net", "a@casino-deals.net")
    assert dig(at("198.51.100.66", "offenders")) == yes("127.0.0.2")
    assert dig(at("198.51.100.66", "firstseen")) == yes("127.0.0.2")
    assert dig(at("198.51.100.66", "why")) == NODATA
    assert dig(at("198.51.100.66", "why"), "TXT")[1][0].startswith('"reject, 0 s ago, score ')
    before = dig(at("192.0.2.20", "greypassed"))
    answers = []
    for _ in until(10, step=0.5):
        answers.append(ask_policy("192.0.2.20", "mx.gardening-club.org", "a@gardening-club.org"))
        if "Greylisted" not in answers[-1]:
            break
    assert before == NO
    assert "Greylisted" in answers[0]
    assert dig(at("192.0.2.20", "greypassed")) == yes("127.0.0.2")
    assert dig(at("192.0.2.20", "offenders")) == NO


# -- smtpd


@pytest.fixture(scope="class")
def smtpd(lab: Lab, daemon: Daemon) -> Iterator[Postfix]:
    with lab.running(postfix := Postfix("zones", lab.mail)):
        yield postfix


GOOD = "carol@honest-mail.com"
SMTPD = [
    # client, HELO, sender, what the refusal has in it, None for accepted
    (LISTED, "mail.spam-factory.net", "a@spam-factory.net", f"Client host [{LISTED}] blocked using bl.rbl.internal; listed"),
    (LISTED6, "mail.spam-factory.net", "a@spam-factory.net", "blocked using bl.rbl.internal; listed by zen.spamhaus.org"),
    (CLEAN, "mail.honest-mail.com", GOOD, None),
    (CLEAN6, "mail.honest-mail.com", GOOD, None),
    (BOTH, "mail.both-lists.org", "a@both-lists.org", None),
    (VOUCHED6, "mx.trusted-bank.com", "a@trusted-bank.com", None),
    (DENIED, "mail.honest-mail.com", GOOD, "blocked using bl.rbl.internal; denied by this server's own rules"),
    (OWN_ALLOWED, "mail.casino-deals.net", "a@spam-factory.net", None),
    (CLEAN, "mail.casino-deals.net", GOOD, "Helo command [mail.casino-deals.net] blocked using dbl.rbl.internal; listed by dbl"),
    (CLEAN, "mail.honest-mail.com", "win@casino-deals.net", "Sender address [win@casino-deals.net] blocked using dbl."),
]  # fmt: skip


def deliver(lab: Lab, case: tuple[str, str, str, object]) -> Delivery:
    return lab.deliver(*case[:3])


class TestSmtpd:
    def test_each_client(self, lab: Lab, smtpd: Postfix) -> None:
        with ThreadPoolExecutor(4) as pool:
            deliveries = list(pool.map(lambda case: deliver(lab, case), SMTPD))
        for (address, helo, sender, says), delivery in zip(SMTPD, deliveries, strict=True):
            if says is None:
                assert delivery.accepted, (address, helo, sender, delivery)
            else:
                assert delivery.refused, (address, helo, sender, delivery)
                assert says in delivery.reply.text

    def test_what_is_said_counts_for_the_next_session(self, lab: Lab, smtpd: Postfix) -> None:
        case = ("192.0.2.11", "mail2.honest-mail.com", GOOD, None)
        assert deliver(lab, case).accepted
        command("deny", "192.0.2.11", "--for", "1h", "--reason", "fail2ban")
        assert deliver(lab, case).refused
        command("allow", "honest-mail.com")
        assert deliver(lab, case).refused, "an address is more particular than a domain"
        command("overrides", "forget", "192.0.2.11")
        assert deliver(lab, case).accepted
        command("overrides", "forget", "honest-mail.com")


# -- postscreen

SCREENED = [
    (LISTED, "mail.spam-factory.net", "a@spam-factory.net", "block lists, asked together"),
    (LISTED6, "mail.spam-factory.net", "a@spam-factory.net", "block lists, asked together"),
    (CLEAN, "mail.honest-mail.com", GOOD, None),
    (CLEAN6, "mail.honest-mail.com", GOOD, None),
    (BOTH, "mail.both-lists.org", "a@both-lists.org", None),
    (VOUCHED, "mx.trusted-bank.com", "a@trusted-bank.com", None),
    (OWN_ALLOWED, "host-67.spam-factory.net", "a@spam-factory.net", None),
    (DENIED, "mail.honest-mail.com", GOOD, "block lists, asked together"),
]


def test_postscreen(lab: Lab, daemon: Daemon) -> None:
    with lab.running(postfix := Postfix("postscreen", lab.mail)), ThreadPoolExecutor(8) as pool:
        deliveries = list(pool.map(lambda case: deliver(lab, case), SCREENED))
        log = postfix.log()
    for (address, _, _, says), delivery in zip(SCREENED, deliveries, strict=True):
        assert delivery.refused is (says is not None), (address, delivery)
        assert says is None or says in delivery.reply.text
        assert says is not None or delivery.accepted, (address, delivery)
    assert f"addr {LISTED} listed by domain score.rbl.internal as 127.0.2.6" in log
    assert f"DNSBL rank 1 for [{LISTED}]" in log
    assert f"DNSBL rank 1 for [{LISTED6}]" in log
    assert "lookup error" not in log


# -- Unbound in front


def test_through_unbound(lab: Lab, daemon: Daemon) -> None:
    config = fresh("stub") / "stub.conf"
    config.write_text((CONTRIB / "unbound" / "rbl.internal.conf").read_text().replace("@5335", "@53"))
    with lab.running(unbound("127.0.0.3", lab.mail, more=[f'include: "{config}"'])):
        rows = [row for row in TABLE if row[0].endswith(ORIGIN) and row[1] in ("A", "TXT")]
        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(lambda row: (row[0], row[1], dig(row[0], row[1], server="127.0.0.3")), rows))
        assert [row for row in found if row not in rows] == []
        command("deny", "192.0.2.12")
        assert dig(at("192.0.2.12", "bl"), server="127.0.0.3") == yes("127.0.0.2"), "nothing is kept in front"
        command("overrides", "forget", "192.0.2.12")


# -- rspamd and SpamAssassin


@pytest.mark.skipif(shutil.which("rspamd") is None, reason="rspamd is not installed: tests/install-peers")
def test_rspamd(lab: Lab, daemon: Daemon) -> None:
    with lab.running(scanner := rspamd(lab.mail)):
        log = ""
        for _ in until(15):
            log = scanner.log_path.read_text(errors="replace")
            if log.count("monitored") > 20 and "RESOLVERD_BL" in symbols(LISTED, "mail.spam-factory.net", "a@spam-factory.net"):
                break
        spam = symbols(LISTED6, "mail.spam-factory.net", "a@spam-factory.net", "See https://www.casino-deals.net/ now\r\n")
        both = symbols(BOTH, "mail.both-lists.org", "a@both-lists.org")
        nameless = symbols(NAMELESS, "mail.honest-mail.com", GOOD)
        helo = symbols(CLEAN, "mail.casino-deals.net", GOOD)
        clean = symbols(CLEAN, "mail.honest-mail.com", GOOD)
        own = symbols(OWN_ALLOWED, "host-67.spam-factory.net", GOOD)
        log = scanner.log_path.read_text(errors="replace")
    assert (spam["RESOLVERD_BL"], spam["RESOLVERD_DBL"]) == (6.0, 6.0)
    assert both["RESOLVERD_WL_MEDIUM"] == -2.0
    assert "RESOLVERD_BL" not in both
    assert helo["RESOLVERD_DBL_HELO"] == 4.0
    assert nameless["RESOLVERD_NOFCRDNS"] == 1.0
    assert own["RESOLVERD_WL_HIGH"] == -4.0
    assert not [name for name in clean if name.startswith("RESOLVERD")]
    monitored = [line for line in log.splitlines() if "monitored" in line and ORIGIN in line]
    assert monitored
    assert not [line for line in monitored if "dead" in line or "invalid return" in line or "error" in line.lower()]


@pytest.mark.skipif(shutil.which("spamassassin") is None, reason="SpamAssassin is not installed: tests/install-peers")
def test_spamassassin(lab: Lab, daemon: Daemon) -> None:
    folder = fresh("spamassassin")
    for file in (*Path("/etc/spamassassin").glob("*.pre"), CONTRIB / "spamassassin" / "resolverd.cf"):
        shutil.copy(file, folder)
    (folder / "lab.cf").write_text("trusted_networks 203.0.113.25\ndns_available yes\nuse_bayes 0\n")
    common = ["spamassassin", f"--siteconfigpath={folder}"]
    assert subprocess.run([*common, "--lint"], text=True, capture_output=True).returncode == 0

    def rules(address: str, text: str) -> str:
        message = (f"Received: from mail.example ({address} [{address}]) by mx.our-company.org (Postfix) with ESMTP id 1;"
                   f" Mon, 23 Nov 2026 10:00:00 +0000\nFrom: a@example.com\nTo: anna@our-company.org\nSubject: x\n\n{text}\n")
        argv = [*common, "--test-mode", f"--prefs-file={folder / 'lab.cf'}"]
        return subprocess.run(argv, input=message, text=True, capture_output=True).stdout

    cases = [(LISTED, "See http://www.casino-deals.net/ now"), (VOUCHED, "hello"), (CLEAN, "hello"), (NAMELESS, "hello")]
    with ThreadPoolExecutor(2) as pool:
        listed, vouched, clean, nameless = pool.map(lambda case: rules(*case), cases)
    assert "RCVD_IN_RESOLVERD_BL" in listed
    assert "URIBL_RESOLVERD_DBL" in listed
    assert "RCVD_IN_RESOLVERD_WL" in vouched
    assert "RESOLVERD" not in clean
    assert "RESOLVERD_NOFCRDNS" in nameless


# -- lists in trouble

TROUBLES = {
    "dead": ListServer.stop,
    "silent": ListServer.silence,
    "refusing": ListServer.refuse,
    "error codes": lambda server: server.answer_all("127.255.255.254"),
    "parked": lambda server: server.answer_all("192.0.2.1"),
    "wildcarded": lambda server: server.answer_all("127.0.0.2"),
    "slow": lambda server: server.hamper(delay=0.8),
    "lossy": lambda server: server.hamper(loss=0.2),
    "unknown code": lambda server: server.answer_all("127.0.0.77"),
    "over quota": lambda server: server.answer_all("127.0.10.3"),
}


@pytest.mark.parametrize("of", ["zen.spamhaus.org", "list.dnswl.org"])
@pytest.mark.parametrize("trouble", TROUBLES)
def test_a_list_in_trouble_lists_nobody_and_keeps_nobody_waiting(lab: Lab, daemon: Daemon, trouble: str, of: str) -> None:
    number = 100 + 2 * list(TROUBLES).index(trouble) + (of == "list.dnswl.org")
    client = f"198.51.100.{number}"
    try:
        TROUBLES[trouble](lab.lists[of])
        for tree in ("bl", "score"):
            began = time.monotonic()
            assert dig(at(client, tree)) == NO
            assert time.monotonic() - began < 4
        assert dig(f"{reverse(client)}.{of}")[0] in ("NXDOMAIN", "SERVFAIL" if "dnswl" in of else "NXDOMAIN")
    finally:
        lab.lists[of].heal()
        post(f"/v1/lists/{'dnswl' if 'dnswl' in of else 'spamhaus-zen'}/enable")


@pytest.mark.parametrize("variant", ["zones", "postscreen"])
def test_lists_in_trouble_cost_no_mail(lab: Lab, daemon: Daemon, variant: str) -> None:
    """A client that no list lists comes through smtpd and postscreen whatever ails one, and one that another lists does not."""
    refused = []
    with lab.running(Postfix(variant, lab.mail)):
        for number, (trouble, of) in enumerate(product(TROUBLES, ("zen.spamhaus.org", "list.dnswl.org"))):
            client = f"198.51.100.{(130 if variant == 'zones' else 160) + number}"
            try:
                TROUBLES[trouble](lab.lists[of])
                delivery = lab.deliver(client, "mail.honest-mail.com", GOOD)
                refused += [] if delivery.accepted else [(trouble, of, delivery)]
                if variant == "zones":
                    forged = lab.deliver(client, "mail.casino-deals.net", GOOD)
                    assert "blocked using dbl.rbl.internal" in forged.reply.text, (trouble, of, forged)
            finally:
                lab.lists[of].heal()
                post(f"/v1/lists/{'dnswl' if 'dnswl' in of else 'spamhaus-zen'}/enable")
    assert refused == []
