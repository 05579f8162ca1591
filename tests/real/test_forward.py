"""Everything, or a zone, asked of somebody else: forwarding to real Unbound over UDP, TCP and TLS, stub zones to real NSD."""

from __future__ import annotations

import datetime
import json
import time
from collections.abc import Iterator
from pathlib import Path

import dns.message
import dns.query
import dns.rcode
import dns.rdatatype
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.lab.daemon import Daemon, until
from tests.lab.lab import Lab
from tests.lab.namespace import LAB, localise
from tests.lab.resolverd import CONFIG, resolverd
from tests.lab.unbound import unbound
from tests.lab.world import WORLD

THEIRS = "127.0.0.2"
LOOPING = "127.0.0.4"
OURS = "45.98.7.6"
NAMES = [
    ("mail.honest-mail.com.", "A"),
    ("honest-mail.com.", "MX"),
    ("10.2.0.192.in-addr.arpa.", "PTR"),
    ("nobody.honest-mail.com.", "A"),
]


def ask(name: str, rtype: str, server: str = "127.0.0.1") -> dns.message.Message:
    return dns.query.udp(dns.message.make_query(name, rtype), server, 10)


def same(name: str, rtype: str) -> None:
    ours, theirs = ask(name, rtype), ask(name, rtype, THEIRS)
    assert ours.rcode() == theirs.rcode()
    assert [sorted(map(str, rrset)) for rrset in ours.answer] == [sorted(map(str, rrset)) for rrset in theirs.answer]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for dns.example.net that vouches for itself, and its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "dns.example.net")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("dns.example.net")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = tmp_path_factory.mktemp("tls") / "both.pem"
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    file.write_bytes(made.public_bytes(serialization.Encoding.PEM) + private)
    return file


@pytest.fixture(scope="module")
def forwarder(lab: Lab, certificate: Path) -> Iterator[Daemon]:
    daemon = unbound(THEIRS, lab.mail, more=[
        f"  interface: {THEIRS}@853", f"  tls-service-pem: {certificate}", f"  tls-service-key: {certificate}",
    ])  # fmt: skip
    with lab.running(daemon):
        yield daemon


@pytest.mark.parametrize("server", [THEIRS, f"{THEIRS}:853#dns.example.net"], ids=["plain", "tls"])
def test_everything_forwarded(lab: Lab, forwarder: Daemon, certificate: Path, server: str) -> None:
    config = CONFIG + f'\n[[resolver.forward]]\nzone = "."\nservers = ["{server}"]\n'
    daemon = resolverd(lab.mail, config, name="resolverd forwarding")
    daemon.environment["SSL_CERT_FILE"] = str(certificate)
    with lab.running(daemon):
        for name, rtype in NAMES:
            same(name, rtype)


def test_a_forwarder_with_another_name_on_its_certificate_is_not_believed(lab: Lab, forwarder: Daemon, certificate: Path) -> None:
    config = CONFIG + f'\n[[resolver.forward]]\nzone = "com."\nservers = ["{THEIRS}:853#dns.example.org"]\n'
    daemon = resolverd(lab.mail, config, name="resolverd mistrusting")
    daemon.environment["SSL_CERT_FILE"] = str(certificate)
    with lab.running(daemon):
        assert ask("mail.honest-mail.com.", "A").rcode() == dns.rcode.SERVFAIL
        assert ask("net.", "NS").rcode() == dns.rcode.NOERROR


def test_unbound_asks_us_over_tls_and_is_found_out_where_that_leads_back(lab: Lab, certificate: Path) -> None:
    back = unbound(LOOPING, lab.mail, more=[
        "  do-not-query-localhost: no", f"  tls-cert-bundle: {certificate}",
        "forward-zone:", "  name: .", "  forward-tls-upstream: yes", "  forward-addr: 127.0.0.1@853#dns.example.net",
    ])  # fmt: skip
    tls = f'[dns]\ntls = {{listen = ["127.0.0.1:853"], certificate = "{certificate}", key = "{certificate}"}}'
    config = CONFIG.replace("[dns]", tls) + f'\n[[resolver.forward]]\nzone = "com."\nservers = ["{LOOPING}"]\n'
    daemon = resolverd(lab.mail, config, name="resolverd in a circle")
    with lab.running(back), lab.running(daemon):
        for name, rtype in (("10.2.0.192.in-addr.arpa.", "PTR"), ("net.", "NS")):
            assert ask(name, rtype, LOOPING).answer == ask(name, rtype).answer != []
        begun = time.monotonic()
        reply = dns.query.udp(dns.message.make_query("mail.honest-mail.com.", "A", use_edns=0), "127.0.0.1", 10)
        assert time.monotonic() - begun < 1, "of the 4 s that a client waits"
        assert reply.rcode() == dns.rcode.SERVFAIL
        assert "forwarding loop" in reply.to_text()
        assert ask("nobody.example.net.", "A").rcode() == dns.rcode.NXDOMAIN
        logs(daemon, f"forwarding loop: {LOOPING}, to which com. is forwarded")


def test_a_name_server_that_is_ourselves_is_named(lab: Lab) -> None:
    """As when a zone is delegated to the machine on which the resolver has taken the place of the authority."""
    config = CONFIG.replace('"127.0.0.1:53", "[::1]:53"]', f'"127.0.0.1:53", "{OURS}:53"]\nallow = ["127.0.0.0/8", "{OURS}"]')
    daemon = resolverd(lab.mail, config, name="resolverd asking itself")
    lines = f"@ SOA ns hostmaster 1 1h 1h 1d 1h\n@ NS ns\nns A {OURS}\nsub NS ns\n"
    (zones := LAB / "resolverd-asking-itself" / "zones").mkdir()
    (zones / "corp.example.zone").write_text(lines)
    localise(lab.mail, [OURS])
    with lab.running(daemon):
        begun = time.monotonic()
        reply = dns.query.udp(dns.message.make_query("www.sub.corp.example.", "A", use_edns=0), "127.0.0.1", 10)
        assert time.monotonic() - begun < 1
        assert reply.rcode() == dns.rcode.SERVFAIL
        logs(daemon, f"{OURS}, a name server of sub.corp.example., is this daemon itself")


def test_responses_that_are_not_minimal_name_the_servers(lab: Lab, forwarder: Daemon) -> None:
    """What is known of a name's zone: its NS RRset and their addresses, as Unbound has them."""
    servers = sorted(map(str, ask("honest-mail.com.", "NS", THEIRS).answer[0]))
    addresses = {str(each) for name in servers for rrset in ask(name, "A", THEIRS).answer for each in rrset}
    assert servers
    assert addresses
    config = CONFIG.replace("[dns]", "[dns]\nminimal_responses = false")
    with lab.running(resolverd(lab.mail, config, name="resolverd not minimal")):
        for name in ("honest-mail.com.", *servers):
            ask(name, "NS"), ask(name, "A"), ask(name, "AAAA")
        for _ in range(2):  # from its server, and from memory
            reply = ask("mail.honest-mail.com.", "A")
            assert [(str(each.name), sorted(map(str, each))) for each in reply.authority] == [("honest-mail.com.", servers)]
            assert {str(each) for rrset in reply.additional if rrset.rdtype == dns.rdatatype.A for each in rrset} == addresses


def logs(daemon: Daemon, text: str) -> None:
    for _ in until(5):
        if text in daemon.log_path.read_text():
            return
    raise AssertionError(daemon.log_tail())


def test_a_stub_zone_is_asked_of_its_own_servers(lab: Lab, forwarder: Daemon) -> None:
    servers = [address for name in WORLD.zones["honest-mail.com"].servers for address in WORLD.hosts[name].addresses]
    config = CONFIG + f'\n[[resolver.stub]]\nzone = "honest-mail.com"\nservers = {json.dumps(servers)}\n'
    with lab.running(resolverd(lab.mail, config, name="resolverd with a stub")):
        for name, rtype in NAMES:
            same(name, rtype)
