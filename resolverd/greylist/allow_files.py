"""Who is never greylisted: Postgrey's ``whitelist_clients`` and ``whitelist_recipients``, as they are.

One entry a line; what stands behind ``#`` is a remark. Both take ``/regular expression/``, in any letter case. Clients are
a host name, which means all names below it too, an address, a network (``192.0.2.0/24``, ``2001:db8::/32``) or the
beginning of an IPv4 address (``192.0.2``, ``192.0``); recipients are ``name@domain``, ``name@`` or ``domain``, as in
access(5), ``name+extension`` included. Other ways to write these are understood where they are plain (`patterns`), and what
of Perl's expressions can be (`expressions`).

Two things differ from Postgrey's code: two octets are the /16 that its manual says they are, and a line that can never
match anybody is named instead of passed over.
"""

from collections.abc import Callable, Iterator
from ipaddress import IPv4Network, IPv6Network
from typing import Final, NamedTuple, TypeVar

from resolverd.greylist.expressions import Expression
from resolverd.mail import patterns
from resolverd.mail.domains import mailbox
from resolverd.mail.patterns import IPNetwork, LineFault
from resolverd.mail.request import Attempt
from resolverd.mail.sanitize import sanitize
from resolverd.wire.names import Address

_Entry = TypeVar("_Entry")


class Clients(NamedTuple):
    """Clients that are let through: host names in lower case, expressions over them, networks and the sizes that these have."""

    names: frozenset[str] = frozenset()
    expressions: tuple[Expression, ...] = ()
    networks: frozenset[IPNetwork] = frozenset()
    sizes: frozenset[tuple[int, int]] = frozenset()

    def __or__(self, other: "Clients") -> "Clients":
        """Those of both."""
        return Clients(
            self.names | other.names,
            self.expressions + other.expressions,
            self.networks | other.networks,
            self.sizes | other.sizes,
        )

    def holds(self, address: Address, name: str) -> bool:
        """Whether a client is among them; `name` is its verified host name, empty for none."""
        if self == _NO_CLIENTS:
            return False
        name = name.lower()
        if any(suffix in self.names for suffix in _suffixes(name)) or any(each.search(name) for each in self.expressions):
            return True
        kind = IPv4Network if address.version == 4 else IPv6Network
        around = (kind((int(address), size), strict=False) for version, size in self.sizes if version == address.version)
        return any(network in self.networks for network in around)


class Recipients(NamedTuple):
    """Recipients whose mail is let through: ``name@domain``, ``name@``, ``@domain``, domains, all in lower case, and
    expressions."""

    addresses: frozenset[str] = frozenset()
    domains: frozenset[str] = frozenset()
    expressions: tuple[Expression, ...] = ()

    def __or__(self, other: "Recipients") -> "Recipients":
        """Those of both."""
        return Recipients(self.addresses | other.addresses, self.domains | other.domains, self.expressions + other.expressions)

    def holds(self, recipient: str) -> bool:
        """Whether a recipient is among them."""
        if self == _NO_RECIPIENTS:
            return False
        recipient = mailbox(recipient)
        local, at, domain = recipient.rpartition("@")
        for name in {local, local.partition("+")[0]}:
            if f"{name}@" in self.addresses or f"{name}@{domain}" in self.addresses:
                return True
        if at and f"@{domain}" in self.addresses:
            return True
        return any(suffix in self.domains for suffix in _suffixes(domain)) or any(
            each.search(recipient) for each in self.expressions
        )


_NO_CLIENTS: Final = Clients()
_NO_RECIPIENTS: Final = Recipients()


class Allowed(NamedTuple):
    """Everybody who is never greylisted."""

    clients: Clients = Clients()
    recipients: Recipients = Recipients()

    def reason(self, attempt: Attempt) -> str:
        """Why this attempt is let through, in Postgrey's words; empty if it is not."""
        if attempt.client_address is not None and self.clients.holds(attempt.client_address, attempt.client_name):
            return "client whitelist"
        return "recipient whitelist" if self.recipients.holds(attempt.recipient) else ""


def read_clients(text: str) -> tuple[Clients, list[LineFault]]:
    """The clients of a file, and its faulty lines."""
    entries, faults = _read(text, _client)
    names = frozenset(entry for entry in entries if isinstance(entry, str))
    expressions = tuple(entry for entry in entries if isinstance(entry, Expression))
    networks = frozenset(entry for entry in entries if isinstance(entry, IPv4Network | IPv6Network))
    return Clients(names, expressions, networks, frozenset((each.version, each.prefixlen) for each in networks)), faults


def read_recipients(text: str) -> tuple[Recipients, list[LineFault]]:
    """The recipients of a file, and its faulty lines."""
    entries, faults = _read(text, _recipient)
    texts = [entry for entry in entries if isinstance(entry, str)]
    addresses = frozenset(text for text in texts if "@" in text)
    domains = frozenset(text for text in texts if "@" not in text)
    return Recipients(addresses, domains, tuple(entry for entry in entries if isinstance(entry, Expression))), faults


def client_lines(text: str) -> tuple[dict[str, str], list[LineFault]]:
    """The lines of a file that name clients, each under whom it names, however that is written; and the faulty lines."""
    lines, faults = _lines(text, _client)
    return {_whom(entry): line for entry, line in lines}, faults


def recipient_lines(text: str) -> tuple[dict[str, str], list[LineFault]]:
    """The same of recipients."""
    lines, faults = _lines(text, _recipient)
    return {_whom(entry): line for entry, line in lines}, faults


def _read(text: str, parse: Callable[[str], tuple[_Entry, ...]]) -> tuple[list[_Entry], list[LineFault]]:
    lines, faults = _lines(text, parse)
    return [entry for entries, _ in lines for entry in entries], faults


def _lines(
    text: str, parse: Callable[[str], tuple[_Entry, ...]]
) -> tuple[list[tuple[tuple[_Entry, ...], str]], list[LineFault]]:
    lines: list[tuple[tuple[_Entry, ...], str]] = []
    faults: list[LineFault] = []
    for number, line in enumerate(text.splitlines(), 1):
        entry = line.partition("#")[0].strip()
        try:
            if entry:
                lines.append((parse(entry), line.strip()))
        except ValueError as error:
            faults.append(LineFault(number, f"{sanitize(entry, 80)!r} {error}"))
    return lines, faults


def _whom(entries: tuple[str | IPNetwork | Expression, ...]) -> str:
    return " ".join(f"/{each.pattern}/" if isinstance(each, Expression) else str(each) for each in entries)


def _client(entry: str) -> tuple[str | IPNetwork | Expression, ...]:
    if (expression := _expression(entry)) is not None:
        return (expression,)
    if "@" in entry:
        raise ValueError("is a mail address; clients are host names, addresses and networks")
    if (networks := patterns.networks(entry)) is not None:
        return networks
    return (patterns.host(entry),)


def _recipient(entry: str) -> tuple[str | Expression, ...]:
    expression = _expression(entry)
    return (expression if expression is not None else patterns.recipient(entry),)


def _expression(entry: str) -> Expression | None:
    if len(entry) < 2 or not entry.startswith("/"):
        return None
    pattern, slash, flags = entry[1:].rpartition("/")
    if not slash or not pattern or flags not in ("", "i"):
        raise ValueError("begins like an expression, but is none: expected /EXPRESSION/, without flags and without # in it")
    return Expression(pattern)


def _suffixes(name: str) -> Iterator[str]:
    """The name and each domain above it."""
    while name:
        yield name
        name = name.partition(".")[2]
