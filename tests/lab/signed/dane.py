"""Mail to domains with TLSA records, from a real Postfix that asks resolverd, to a real Postfix with a certificate (RFC 7672).

`session` gives what `posttls-finger` and the sending Postfix said of each domain.
"""

from __future__ import annotations

import datetime
import hashlib
import os
import subprocess
from pathlib import Path
from typing import Any

import dns.flags
import dns.message
import dns.query
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.lab.daemon import until
from tests.lab.namespace import localise, use_nameserver
from tests.lab.postfix import SECURED, Postfix
from tests.lab.signed.flaws import BOGUS, INSECURE, SECURE, Flaw, garbled_at
from tests.lab.signed.running import OURS, SignedLab, ours, running
from tests.lab.signed.world import ODD, PLAIN, Internet
from tests.lab.smtp import Session

_MAIL = f"@ MX 10 mail\nmail A {SECURED}\n"

WRONG = "00" * 32


def grow(net: Internet, digest: str) -> None:
    """Add the domains; `digest` is that of the receiving server's key."""
    right, wrong = (f"_25._tcp.mail TLSA 3 1 1 {each}\n" for each in (digest, WRONG))
    net.grow("dane.net", Flaw((SECURE, SECURE)), _MAIL + right)
    net.grow("dane-hashed.org", Flaw((SECURE, SECURE)), _MAIL + right)
    net.grow("wrong-tlsa.net", Flaw((SECURE, SECURE)), _MAIL + wrong)
    net.grow("bogus-tlsa.net", Flaw((SECURE, SECURE), garbled_at("TLSA", "_25._tcp.mail")), _MAIL + right)
    net.grow("bogus-mx.net", Flaw((BOGUS, BOGUS), garbled_at("MX", "@")), _MAIL + right)
    net.grow("no-tlsa.net", Flaw((SECURE, SECURE)), _MAIL)
    net.grow("unsigned.net", PLAIN._replace(truth=(INSECURE, INSECURE)), _MAIL + wrong, ODD)


DOMAINS = ("dane.net", "dane-hashed.org", "wrong-tlsa.net", "bogus-tlsa.net", "bogus-mx.net", "no-tlsa.net", "unsigned.net")


def certificate() -> tuple[bytes, str]:
    """Make a key and a certificate that vouches for itself: both as PEM, and the key's digest as TLSA 3 1 1 has it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "mail.example")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    public = key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return private + made.public_bytes(serialization.Encoding.PEM), hashlib.sha256(public).hexdigest()


def session(net: Internet) -> dict[str, Any]:
    """Look at every domain with `posttls-finger`, then have mail sent to it."""
    pem, digest = certificate()
    grow(net, digest)
    with SignedLab(net) as lab, running(ours(lab.side)):
        use_nameserver(OURS)
        localise(lab.side, [SECURED])
        receiver, sender = Postfix("secured", lab.side), Postfix("dane", lab.side)
        (receiver.config / "tls.pem").write_bytes(pem)
        (receiver.config / "tls.pem").chmod(0o600)
        with running(receiver.daemon, sender.daemon):
            fingers = {domain: finger(domain, sender.config) for domain in DOMAINS}
            with Session("127.0.0.1", lab.side) as smtp:
                smtp.say("EHLO localhost")
                for domain in DOMAINS:
                    smtp.say("MAIL FROM:<anna@our-company.org>")
                    smtp.say(f"RCPT TO:<bert@{domain}>")
                    smtp.say("DATA")
                    smtp.say("Subject: hello\r\n\r\nhello\r\n.")
            for _ in until(30):
                if all(f"to=<bert@{domain}>" in sender.log() for domain in DOMAINS):
                    break
            probe = dns.query.udp(dns.message.make_query(".", "NS", want_dnssec=True), OURS, 5)
            return {"fingers": fingers, "log": sender.log(), "root is secure": bool(probe.flags & dns.flags.AD)}


def finger(domain: str, config: Path) -> str:
    """What `posttls-finger -l dane` says of a domain."""
    argv = ["posttls-finger", "-c", "-t", "10", "-l", "dane", domain]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, env={**os.environ, "MAIL_CONFIG": str(config)})
    return done.stdout + done.stderr
