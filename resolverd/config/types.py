"""The types that settings are declared with: a Python type, and how a key's text becomes it and back."""

import functools
import operator
from collections.abc import Callable, Iterable
from pathlib import Path
from types import GenericAlias, UnionType
from typing import Annotated, Any, Final, NamedTuple, Union, get_args, get_origin

from resolverd.config import endpoints, values
from resolverd.config.secrets import BadValue, Secret, read_secret
from resolverd.dnsbl.quota import Allowance
from resolverd.mail.findings import Consequence
from resolverd.mail.patterns import IPNetwork
from resolverd.overrides.postfix_maps import MapFile
from resolverd.policy.check import HostingDomain
from resolverd.wire import names
from resolverd.wire.ask import Server


class Codec(NamedTuple):
    """How a key's text becomes its value and back; and what it is called, one and many of them, in the reference."""

    read: Callable[[Any, Path], Any]
    show: Callable[[Any], Any]
    form: str
    forms: str = ""


def one_of(words: Iterable[str]) -> str:
    """Words to choose from, as the file has them."""
    *first, last = (f'"{word}"' for word in words)
    return f"{', '.join(first)} or {last}"


def whole(low: int, high: int) -> Codec:
    """A whole number within these."""

    def read(value: object, _base: Path) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise BadValue(f"expected a whole number, not {values.spell(value)}")
        if not low <= value <= high:
            raise BadValue(f"{value} is not within {low} and {high}")
        return value

    return Codec(read, int, f"whole number, {low} to {high}")


def between(low: str, high: str) -> Codec:
    """A duration within these."""
    least, most = values.duration(low), values.duration(high)

    def read(value: object, _base: Path) -> float:
        seconds = values.duration(value)
        if not least <= seconds <= most:
            raise BadValue(f"{value!r} is not within {low} and {high}")
        return seconds

    return Codec(read, values.show_duration, f"duration, {low} to {high}")


def at_least(low: str) -> Codec:
    """A size of at least this."""
    least = values.size(low)

    def read(value: object, _base: Path) -> int:
        octets = values.size(value)
        if octets < least:
            raise BadValue(f"{value!r} is less than {low}")
        return octets

    return Codec(read, values.show_size, f"size, at least {low}")


Duration = Annotated[float, Codec(values.duration, values.show_duration, "duration")]
RateText = Annotated[Allowance, Codec(values.rate, values.show_rate, "count in a time")]
NetworkText = Annotated[IPNetwork, Codec(endpoints.network, str, "network or address", "networks and addresses")]
AddressText = Annotated[names.Address, Codec(endpoints.address, str, "address", "addresses")]
ListenText = Annotated[endpoints.Listen, Codec(endpoints.listen, str, "address with port", "addresses with ports")]
ListenOrUnix = Annotated[
    endpoints.Listen,
    Codec(endpoints.listen_or_unix, str, 'address with port, or "unix:PATH"', 'addresses with ports, and "unix:PATH"'),
]
ServerText = Annotated[
    Server, Codec(endpoints.server, endpoints.show_server, "server", "addresses, with port and #name where wanted")
]
Domain = Annotated[str, Codec(values.domain, str, "domain", "domains")]
AuthorisingDomain = Annotated[str, Codec(values.authorising_domain, str, "domain", "domains")]
RRType = Annotated[str, Codec(values.rr_type, str, "type of DNS records")]
PathText = Annotated[Path, Codec(endpoints.path, str, "path", "paths")]
StoreText = Annotated[endpoints.StoreUrl, Codec(endpoints.store_url, str, '"disk:DIRECTORY", "memory:", or the URL of a server')]
MapText = Annotated[MapFile, Codec(endpoints.map_file, str, "Postfix map", "Postfix maps")]
LocalDomain = Annotated[str | MapFile, Codec(endpoints.local_domain, str, "domain or Postfix map", "domains and Postfix maps")]
MailAddress = Annotated[str, Codec(values.mail_address, str, "mail address", "mail addresses")]
WebhookText = Annotated[
    Secret, Codec(values.webhook, values.show_webhook, 'URL, or {file = "PATH"}, {env = "NAME"}, {credential = "NAME"}')
]
Recipient = Annotated[str, Codec(values.recipient_pattern, str, "recipient", "recipients")]
Threshold = Annotated[float | str, Codec(values.threshold, values.show_points, 'points above 0, or "any"')]
Points = Annotated[float, Codec(values.points, values.show_points, "points, -1000 to 1000")]
SmtpCode = Annotated[int, Codec(values.smtp_code, int, "SMTP reply code, 400 to 599")]
ConsequenceText = Annotated[Consequence, Codec(values.consequence, str, one_of(Consequence))]
Ident = Annotated[str, Codec(values.ident, str, "text of 1 to 32 letters, digits and any of -_./")]
Prefix = Annotated[str, Codec(values.prefix, str, "text of 1 to 32 letters, digits and any of -_./")]
HostText = Annotated[str, Codec(endpoints.host, str, "host name or address", "host names and addresses")]
SecretText = Annotated[
    Secret, Codec(read_secret, Secret.shown, '{file = "PATH"}, {env = "NAME"} or {credential = "NAME"}')
]

_OF_OPTIONS: Final[dict[Any, Any]] = {
    Consequence: ConsequenceText,
    IPNetwork: NetworkText,
    MapFile: MapText,
    HostingDomain: AuthorisingDomain,
}


def option_type(hint: Any) -> Any:
    """How a check's option is read: its type as a check declares it (`policy.check.Declaration`), with its codec."""
    if hint in _OF_OPTIONS:
        return _OF_OPTIONS[hint]
    if get_origin(hint) is tuple:
        return GenericAlias(tuple, (option_type(get_args(hint)[0]), ...))
    if get_origin(hint) in (Union, UnionType):
        return functools.reduce(operator.or_, (option_type(arm) for arm in get_args(hint)))
    return hint
