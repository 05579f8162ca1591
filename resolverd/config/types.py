"""The types that settings are declared with: a Python type, and how a key's text becomes it and back."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from resolverd.config import endpoints, values
from resolverd.config.secrets import BadValue, Secret, read_secret
from resolverd.dnsbl.quota import Allowance
from resolverd.mail.findings import Consequence
from resolverd.mail.patterns import Network
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
Size = Annotated[int, Codec(values.size, values.show_size)]
RateText = Annotated[Allowance, Codec(values.rate, values.show_rate)]
NetworkText = Annotated[Network, Codec(endpoints.network)]
AddressText = Annotated[names.Address, Codec(endpoints.address)]
ListenText = Annotated[endpoints.Listen, Codec(endpoints.listen)]
ListenOrUnix = Annotated[endpoints.Listen, Codec(endpoints.listen_or_unix)]
ServerText = Annotated[Server, Codec(endpoints.server, endpoints.show_server)]
Domain = Annotated[str, Codec(values.domain)]
AuthorisingDomain = Annotated[str, Codec(values.authorising_domain)]
RRType = Annotated[str, Codec(values.rr_type)]
PathText = Annotated[Path, Codec(endpoints.path)]
StoreText = Annotated[endpoints.StoreUrl, Codec(endpoints.store_url)]
MapText = Annotated[endpoints.MapFile, Codec(endpoints.map_file)]
LocalDomain = Annotated[str | endpoints.MapFile, Codec(endpoints.local_domain)]
Recipient = Annotated[str, Codec(values.recipient_pattern)]
Threshold = Annotated[float | str, Codec(values.threshold, values.show_points)]
Points = Annotated[float, Codec(values.points, values.show_points)]
SmtpCode = Annotated[int, Codec(values.smtp_code, int)]
ConsequenceText = Annotated[Consequence, Codec(values.consequence)]
Ident = Annotated[str, Codec(values.ident)]
HostText = Annotated[str, Codec(endpoints.host)]
SecretText = Annotated[Secret, Codec(read_secret, Secret.shown)]
