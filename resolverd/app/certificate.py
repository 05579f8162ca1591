"""The certificate of DNS over TLS for clients (``[dns] tls``): read, judged, and made what new connections are served by.

It is read at the start, as whoever starts the daemon, and again at each reload, as the user that it runs as; connections that
stand keep what they were begun with. A certificate that cannot be used is an error at the start, which names the key to mend;
at a reload the one in use stays.
"""

import os
import ssl
from pathlib import Path
from typing import NamedTuple, NoReturn

from cryptography import x509

from resolverd.config import DnsTls
from resolverd.config.files import audience, read_text
from resolverd.config.secrets import loose
from resolverd.failures import ConfigError, ConfigFault

_CERTIFICATE, _KEY = "dns.tls.certificate", "dns.tls.key"
_SOON = 7 * 86400.0
"""Seconds before its end from which a certificate is remarked on: whoever renews them does so weeks before."""


class Certificate(NamedTuple):
    """`context` serves connections; `not_before` and `not_after` are Unix times; `serial` in hex, as openssl shows it."""

    context: ssl.SSLContext
    not_before: float
    not_after: float
    serial: str


def read(tls: DnsTls) -> Certificate:
    """What the configuration names. Blocks. Raises ConfigError."""
    faults = [fault for fault in (_unreadable(_CERTIFICATE, tls.certificate), _unreadable(_KEY, tls.key)) if fault is not None]
    if faults:
        raise ConfigError(faults)
    try:
        leaf = x509.load_pem_x509_certificates(tls.certificate.read_bytes())[0]
        not_before, not_after = leaf.not_valid_before_utc.timestamp(), leaf.not_valid_after_utc.timestamp()
    except (OSError, ValueError):
        raise ConfigError([ConfigFault(_CERTIFICATE, f"{tls.certificate} holds no certificate in PEM")]) from None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    # RFC 8310 §7.1, RFC 9325 §3.1.1
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # A handshake costs us more than the client: not again within a connection (CVE-2011-1473).
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION | ssl.OP_CIPHER_SERVER_PREFERENCE
    context.set_alpn_protocols(["dot"])
    try:
        context.load_cert_chain(tls.certificate, tls.key, password=_no_passphrase)
    except _Encrypted:
        raise ConfigError([ConfigFault(_KEY, f"{tls.key} is encrypted: {_DECRYPT}")]) from None
    except (OSError, ValueError) as error:  # an SSLError is an OSError
        raise ConfigError([_refused(tls, error)]) from None
    return Certificate(context, not_before, not_after, f"{leaf.serial_number:X}")


def remarks(shown: Certificate | None, tls: DnsTls | None, now: float) -> list[str]:
    """What is to be said of the certificate in use at `now` (Unix time), and of its key's file.

    Clients, and not we, refuse one that is out of date: those that do not check it go on.
    """
    if shown is None or tls is None:
        return []
    found = [f"{_KEY}: {text}" for text in loose(tls.key)]
    if now >= shown.not_after:
        found.append(f"{_CERTIFICATE}: {tls.certificate} has expired; clients that check it will not ask")
    elif now < shown.not_before:
        found.append(f"{_CERTIFICATE}: {tls.certificate} is not valid yet; clients that check it will not ask")
    elif now >= shown.not_after - _SOON:
        found.append(f"{_CERTIFICATE}: {tls.certificate} expires in {(shown.not_after - now) / 86400:.0f} days")
    return found


_DECRYPT = "`openssl pkey -in FILE -out NEW` writes one that is not"


class _Encrypted(Exception):
    """A key with a passphrase."""


def _no_passphrase() -> NoReturn:
    # Without this OpenSSL asks the terminal, and waits.
    raise _Encrypted


def _refused(tls: DnsTls, error: Exception) -> ConfigFault:
    reason = (error.reason if isinstance(error, ssl.SSLError) else "") or ""
    if reason == "KEY_VALUES_MISMATCH":
        return ConfigFault(_KEY, f"{tls.key} is not the key of {tls.certificate}")
    if "KEY_TOO_SMALL" in reason or "MD_TOO_WEAK" in reason:
        return ConfigFault(_CERTIFICATE, f"{tls.certificate} is too weak for OpenSSL here ({reason.lower().replace('_', ' ')})")
    return ConfigFault(_KEY, f"{tls.key} holds no private key in PEM")


def _unreadable(key: str, path: Path) -> ConfigFault | None:
    try:
        read_text(path)
    except OSError as error:
        who = f" ({audience(path)})" if isinstance(error, PermissionError) else ""
        user = f" by user {os.geteuid()}" if isinstance(error, PermissionError) else ""
        return ConfigFault(key, f"{path} cannot be read{user}: {error.strerror or error}{who}")
    return None
