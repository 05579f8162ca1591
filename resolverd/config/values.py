"""What configuration text means: durations, sizes, rates, points, names; each with its way back to text.

Every reader takes the TOML value and the directory that relative paths are relative to, and raises BadValue.
"""

import re
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from resolverd.config.secrets import BadValue, Secret, read_secret
from resolverd.dnsbl.quota import Allowance
from resolverd.durations import UNITS, seconds_of
from resolverd.mail import patterns
from resolverd.mail.findings import Consequence
from resolverd.spelling import did_you_mean
from resolverd.wire import codes, names

_SIZE_UNITS = {"B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}
_AMOUNT = re.compile(r"([0-9]+(?:\.[0-9]+)?) ?([A-Za-z]+)")
_LARGEST = 2**40
_MAIL_LOCAL = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]+")
_IDENT = re.compile(r"[A-Za-z0-9_./-]{1,32}")
_URL = "url"
"""The source of a secret that stands in the configuration itself."""


def text_of(value: object) -> str:
    """A value that must be printable text."""
    if not isinstance(value, str):
        raise BadValue(f"expected text in quotes, not {spell(value)}")
    if not value.isprintable():
        raise BadValue("has a control character in it")
    return value


def spell(value: object) -> str:
    """A TOML value's type in words, with the value where it is short and cannot be a secret."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return f"the number {value}"
    if isinstance(value, str):
        return "text"
    if isinstance(value, dict):
        return "a table"
    if isinstance(value, list):
        return "a list"
    return f"a {type(value).__name__}"


def duration(value: object, _base: Path = Path()) -> float:
    """``500ms``, ``300s``, ``5m``, ``2h``, ``35d``, ``1w`` in seconds."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        raise BadValue(f'needs its unit: "{value}s", "{value}m", "{value}h" or "{value}d"')
    try:
        return seconds_of(text_of(value))
    except ValueError as error:
        raise BadValue(str(error)) from None


def show_duration(seconds: float) -> str:
    """Seconds as the shortest text that `duration` reads back, to the microsecond."""
    for unit in ("d", "h", "m", "s"):
        if seconds and seconds % UNITS[unit] == 0:
            return f"{seconds / UNITS[unit]:.0f}{unit}"
    return f"{seconds * 1000:.3f}".rstrip("0").rstrip(".") + "ms" if seconds else "0s"


def size(value: object, _base: Path = Path()) -> int:
    """``64MiB``, ``10MB`` in octets."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        raise BadValue(f'needs its unit: "{value}MiB"')
    found = _AMOUNT.fullmatch(text_of(value))
    if not found or found[2] not in _SIZE_UNITS:
        raise BadValue(f'{value!r} is no size; write it as "64MiB" (units: {", ".join(_SIZE_UNITS)})')
    octets = float(found[1]) * _SIZE_UNITS[found[2]]
    if octets > _LARGEST:
        raise BadValue(f"{value!r} is more than 1024GiB")
    return int(octets)


def show_size(octets: int) -> str:
    """Octets as text that `size` reads back."""
    for unit in ("GiB", "MiB", "KiB"):
        if octets and octets % _SIZE_UNITS[unit] == 0:
            return f"{octets // _SIZE_UNITS[unit]}{unit}"
    return f"{octets}B"


def rate(value: object, _base: Path = Path()) -> Allowance:
    """``200/1s``: a count in a time."""
    count, slash, time = text_of(value).partition("/")
    if not slash or not count.isascii() or not count.isdigit() or len(count) > 12 or int(count) < 1:
        raise BadValue(f'{value!r} is no rate; write it as "200/1s"')
    seconds = duration(time if time[:1].isdigit() else f"1{time}")
    if seconds <= 0:
        raise BadValue(f"{value!r} counts over no time at all")
    return Allowance(int(count), seconds)


def show_rate(value: Allowance) -> str:
    """A rate as text that `rate` reads back."""
    return f"{value.count}/{show_duration(value.seconds)}"


def domain(value: object, _base: Path = Path()) -> str:
    """A domain name in lower case without final dot, as A-labels; the root is ``.``."""
    text = text_of(value)
    if not text or any(char in " *@" for char in text):
        raise BadValue(f"{text!r} is no domain name; a domain stands for itself, without * and @")
    if _is_address(text):
        raise BadValue(f"{text!r} is an address, no domain name")
    try:
        found = names.to_text(names.lower(names.from_text(text)))
    except names.BadName as error:
        raise BadValue(f"{text!r} is no domain name: {error}") from None
    return found if found == "." else found.removesuffix(".")


def _is_address(text: str) -> bool:
    try:
        return bool(ip_address(text))
    except ValueError:
        return False


def rr_type(value: object, _base: Path = Path()) -> str:
    """An RR type's mnemonic, ``A``."""
    try:
        return codes.type_text(codes.type_from_text(text_of(value)))
    except ValueError:
        raise BadValue(f'{value!r} is no RR type; write "A", "NS", …') from None


def authorising_domain(value: object, _base: Path = Path()) -> str:
    """A domain whose hosts are meant; not a name that stands alone, which would be a top level domain."""
    found = domain(value)
    if "." not in found.strip("."):
        raise BadValue(f'{value!r} is no domain that has hosts; write it as "example.com"')
    return found


def recipient_pattern(value: object, _base: Path = Path()) -> str:
    """``postmaster@`` (in any domain), ``example.com`` (any recipient there) or ``who@example.com``, in lower case."""
    text = text_of(value)
    try:
        return patterns.recipient(text)
    except ValueError as error:
        raise BadValue(f'{text!r} {error}; recipients are "postmaster@", "example.com", "who@example.com"') from None


def mail_address(value: object, _base: Path = Path()) -> str:
    """``postmaster@example.com``: somebody whom mail is sent to; a local part alone is a user of this machine."""
    text = text_of(value)
    local, at, domain_part = text.rpartition("@") if "@" in text else (text, "", "")
    if not _MAIL_LOCAL.fullmatch(local) or len(local) > 64:
        raise BadValue(f"{text!r} is no mail address")
    return f"{local}@{domain(domain_part)}" if at else local


def webhook(value: object, base: Path = Path()) -> Secret:
    """A URL to post to, as it is or where a secret says."""
    if isinstance(value, dict):
        found = read_secret(value, base)
        if not found.fault and (fault := _url_fault(found.reveal())):
            return Secret(found.source, found.name, "", f"{found.source} {found.name!r} {fault}")
        return found
    text = text_of(value)
    if fault := _url_fault(text):
        raise BadValue(fault)
    return Secret(_URL, text, text)


def show_webhook(url: Secret) -> object:
    """The URL where it stands in the configuration itself, else its source."""
    return url.name if url.source == _URL else url.shown()


def _url_fault(text: str) -> str:
    """What is wrong with a URL, in words that do not repeat it; empty where nothing is."""
    try:
        parts = urlsplit(text)
        whole = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        whole = False
    if not whole or not text.isascii() or not text.isprintable() or " " in text:
        return "holds no URL to post to, which begins with https:// or http://"
    return ""


def threshold(value: object, _base: Path = Path()) -> float | str:
    """``"any"``, or a score in points above 0."""
    if value == "any":
        return "any"
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BadValue(f'expected "any" or a number of points, not {spell(value)}')
    return points(value, above_zero=True)


def points(value: object, _base: Path = Path(), *, above_zero: bool = False) -> float:
    """A score in points."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BadValue(f"expected a number of points, not {spell(value)}")
    if not -1000 <= value <= 1000 or (above_zero and value <= 0):
        raise BadValue(f"{value} points: must be {'above 0' if above_zero else 'from -1000'} and at most 1000")
    return float(value)


def show_points(value: float | str) -> float | int | str:
    """Points as TOML has them: whole numbers without a fraction."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def smtp_code(value: object, _base: Path = Path()) -> int:
    """An SMTP reply code that refuses: 400 to 599 (421 and 521 also disconnect)."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise BadValue(f"expected an SMTP reply code, not {spell(value)}")
    if not 400 <= value <= 599:
        raise BadValue(f"{value} refuses nothing; an SMTP code from 400 to 599 does")
    return value


def consequence(value: object, _base: Path = Path()) -> Consequence:
    """What a check's finding does."""
    text = text_of(value)
    try:
        return Consequence(text)
    except ValueError:
        raise BadValue(f"{text!r} is none of {', '.join(Consequence)}{did_you_mean(text, Consequence)}") from None


def ident(value: object, _base: Path = Path()) -> str:
    """A syslog tag: letters, digits, ``-_./``, 32 at most (RFC 3164 §4.1.3)."""
    text = text_of(value)
    if not _IDENT.fullmatch(text):
        raise BadValue(f"{text!r} is no log tag: 1 to 32 letters, digits and any of -_./")
    return text


def prefix(value: object, _base: Path = Path()) -> str:
    """What keys of a shared store begin with: the same characters, none of which is special to the server."""
    text = text_of(value)
    if not _IDENT.fullmatch(text):
        raise BadValue(f"{text!r} begins no keys: 1 to 32 letters, digits and any of -_./")
    return text
