"""Whom to believe who they are, over TLS as its client."""

import ssl
from pathlib import Path


def client_context(ca: Path | None = None) -> ssl.SSLContext:
    """Checks a server's certificate and name, by the authorities in the file `ca` alone, or else by the system's.

    An authority of one's own that breaks RFC 5280 §4.2 in what no security hangs on (no key identifier, no key usage) is good
    enough for Unbound and Postfix, so it is here; Python refuses it by itself from 3.13 on. Raises OSError and ssl.SSLError
    where the file cannot be used.
    """
    context = ssl.create_default_context(cafile=ca)
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context
