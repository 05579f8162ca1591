"""The types that settings are declared with: a Python type, and how a key's text becomes it and back."""

import functools
import operator
from collections.abc import Callable
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
    """How a key's text becomes its value and back."""

    read: Callable[[Any, Path], Any]
    show: Callable[[Any], Any] = str


def whole(low: int, high: int) -> Codec:
    """A whole number within these."""

    def read(value: object, _base: Path) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise BadValue(f"expected a whole number, not {values.spell(value)}")
        if not low <= value <= high:
            raise BadValue(f"{value} is not within {low} and {high}")
        return value

    return Codec(read, int)


def between(low: str, high: str) -> Codec:
    """A duration within these."""
    least, most = values.duration(low), values.duration(high)

    def read(value: object, _base: Path) -> float:
        seconds = values.duration(value)
        if not least <= seconds <= most:
            raise BadValue(f"{value!r} is not within {low} and {high}")
        return seconds

    return Codec(read, values.show_duration)


def at_least(low: str) -> Codec:
    """A size of at least this."""
    least = values.size(low)

    def read(value: object, _base: Path) -> int:
        octets = values.size(value)
        if octets < least:
            raise BadValue(f"{value!r} is less than {low}")
        return octets

    return Codec(read, values.show_size)


Duration = Annotated[float, Codec(values.duration, values.show_duration)]
RateText = Annotated[Allowance, Codec(values.rate, values.show_rate)]
NetworkText = Annotated[IPNetwork, Codec(endpoints.network)]
AddressText = Annotated[names.Address, Codec(endpoints.address)]
ListenText = Annotated[endpoints.Listen, Codec(endpoints.listen)]
ListenOrUnix = Annotated[endpoints.Listen, Codec(endpoints.listen_or_unix)]
ServerText = Annotated[Server, Codec(endpoints.server, endpoints.show_server)]
Domain = Annotated[str, Codec(values.domain)]
AuthorisingDomain = Annotated[str, Codec(values.authorising_domain)]
RRType = Annotated[str, Codec(values.rr_type)]
PathText = Annotated[Path, Codec(endpoints.path)]
StoreText = Annotated[endpoints.StoreUrl, Codec(endpoints.store_url)]
MapText = Annotated[MapFile, Codec(endpoints.map_file)]
LocalDomain = Annotated[str | MapFile, Codec(endpoints.local_domain)]
Recipient = Annotated[str, Codec(values.recipient_pattern)]
Threshold = Annotated[float | str, Codec(values.threshold, values.show_points)]
Points = Annotated[float, Codec(values.points, values.show_points)]
SmtpCode = Annotated[int, Codec(values.smtp_code, int)]
ConsequenceText = Annotated[Consequence, Codec(values.consequence)]
Ident = Annotated[str, Codec(values.ident)]
HostText = Annotated[str, Codec(endpoints.host)]
SecretText = Annotated[Secret, Codec(read_secret, Secret.shown)]

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
