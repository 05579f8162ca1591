"""What Postfix takes for a host name or an address literal, so that a HELO is judged as smtpd judges it.

Not RFC 1123's rules, nor those of `ipaddress`: underscores pass, an all-numeric name does not, ``01.2.3.4`` is an address and
``0.1.2.3`` is none. A test holds these functions against Postfix's own library where one is installed.
"""

import re
from functools import lru_cache
from typing import Final

from resolverd.wire.names import BadName, Name, from_text, labels, lower

MAX_HOSTNAME: Final = 255
_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_HOSTNAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})*", re.ASCII)
_NUMBER = re.compile(r"[0-9]+", re.ASCII)
_GROUP = re.compile(r"[0-9A-Fa-f]{1,4}", re.ASCII)


def is_hostname(text: str) -> bool:
    """Labels of letters, digits, ``_`` and inner hyphens, at most 63 each and 255 in all, not digits and dots alone."""
    return len(text) <= MAX_HOSTNAME and _HOSTNAME.fullmatch(text) is not None and text.strip("0123456789.") != ""


def is_ipv4(text: str) -> bool:
    """Four decimal octets, leading zeros allowed; the first is zero in ``0.0.0.0`` only."""
    octets = text.split(".")
    if len(octets) != 4 or not all(_NUMBER.fullmatch(octet) and len(octet.lstrip("0")) <= 3 for octet in octets):
        return False
    values = [int(octet) for octet in octets]
    return max(values) <= 255 and (values[0] != 0 or not any(values))


def is_ipv6(text: str) -> bool:
    """Groups of hexadecimal digits with at most one ``::``, the last two perhaps as an IPv4 address; no zone, no prefix.

    As in Postfix the groups are not counted up to eight, only bounded by it.
    """
    head, colon, tail = text.rpartition(":")
    if "." in tail:
        if not 2 <= text.count(":") <= 6 or not is_ipv4(tail):
            return False
        text = f"{head}:0"
    if not colon or not 2 <= text.count(":") <= 7 or text.count("::") > 1 or ":::" in text:
        return False
    groups = text.split(":")
    if (groups[0] == "" and not text.startswith("::")) or (groups[-1] == "" and not text.endswith("::")):
        return False
    return all(group == "" or _GROUP.fullmatch(group) for group in groups)


def is_address(text: str) -> bool:
    """An IPv4 or IPv6 address without brackets."""
    return is_ipv6(text) if ":" in text else is_ipv4(text)


def is_literal(text: str) -> bool:
    """An address literal of RFC 5321 §4.1.3: ``[192.0.2.1]`` or ``[IPv6:2001:db8::1]``."""
    if not (len(text) > 2 and text.startswith("[") and text.endswith("]")):
        return False
    inner = text[1:-1]
    return is_ipv6(inner[5:]) if inner[:5].lower() == "ipv6:" else is_ipv4(inner)


def without_final_dot(text: str) -> str:
    """The name without one final dot; two dots at the end stay, as they are a fault."""
    return text[:-1] if len(text) > 1 and text.endswith(".") and not text.endswith("..") else text


@lru_cache(1024)  # several checks look the same name up, and mail comes from where it came
def name_of(text: str) -> Name | None:
    """A host name in wire form and lower case, or None for text that smtpd would not look up.

    Names outside ASCII are looked up as A-labels (RFC 5890).
    """
    try:
        name = lower(from_text(text))
    except BadName:
        return None
    return name if hostname_of(name) else None


def hostname_of(name: Name) -> str:
    """A wire name as lower-case text without final dot; empty if it is no host name."""
    text = dotted(name)
    return text if is_hostname(text) and text.count(".") == len(labels(name)) - 1 else ""


def dotted(name: Name) -> str:
    """The labels in lower case with dots between them, whatever octets they hold."""
    return ".".join(label.decode("latin-1") for label in labels(lower(name)))
