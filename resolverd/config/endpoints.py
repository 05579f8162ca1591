"""Where things are, in configuration text: addresses, networks, listeners, servers, files; each with its way back to text."""

import re
from ipaddress import ip_address
from pathlib import Path
from typing import NamedTuple

from resolverd.config.secrets import BadValue
from resolverd.config.values import domain, text_of
from resolverd.dnsbl.names import unmapped
from resolverd.mail import patterns
from resolverd.mail.domains import canonical
from resolverd.mail.patterns import IPNetwork
from resolverd.overrides.postfix_maps import MapFile
from resolverd.state.redis import target
from resolverd.state.redis.target import RedisTarget
from resolverd.wire import names
from resolverd.wire.ask import Server

_WHOLE = re.compile(r"\d+\.\d+\.\d+\.\d+(?:/\d+)?|\[?[^\[\]/]*:[^\[\]/]*:[^\[\]/]*\]?(?:/\d+)?", re.ASCII)
_MAP_KINDS = ("hash", "texthash", "cidr", "lmdb", "btree")
_LONGEST_SOCKET_PATH = 107
"""Octets of a UNIX socket's path (unix(7))."""


class Listen(NamedTuple):
    """Where to listen: `host` and `port`, or `path` for a UNIX socket."""

    host: str = ""
    port: int = 0
    path: Path | None = None

    def __str__(self) -> str:
        if self.path is not None:
            return f"unix:{self.path}"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class StoreUrl(NamedTuple):
    """Where state is kept: `kind` disk with its directory, memory, or shared with the server that several hosts share."""

    kind: str
    directory: Path | None = None
    target: RedisTarget | None = None

    def __str__(self) -> str:
        return str(self.target) if self.target is not None else f"{self.kind}:{self.directory or ''}"


def network(value: object, _base: Path = Path()) -> IPNetwork:
    """``192.0.2.0/24``, ``2001:db8::/32``, ``[2001:db8::]/32`` as in Postfix's mynetworks, or a single address.

    IPv4 within IPv6 is IPv4, as the addresses of clients are.
    """
    text = text_of(value)
    found = _one_network(text)
    bare, slash, _ = text.replace("[", "").replace("]", "").partition("/")
    if slash and found.network_address not in (ip_address(bare), unmapped(ip_address(bare))):
        raise BadValue(f'{text!r} has host bits set; the network is "{found}"')
    return found


def _one_network(text: str) -> IPNetwork:
    try:
        found = patterns.networks(text)
    except ValueError:
        found = None
    # Here, where it opens doors, a network is written out: octets that are left out are more often a slip.
    if found is None or len(found) != 1 or not _WHOLE.fullmatch(text):
        raise BadValue(f'{text!r} is no network; write it as "192.0.2.0/24" or "2001:db8::/32"')
    return found[0]


def address(value: object, _base: Path = Path()) -> names.Address:
    """One IPv4 or IPv6 address, without brackets or port."""
    text = text_of(value)
    try:
        found = ip_address(text)
    except ValueError:
        raise BadValue(f"{text!r} is no IP address") from None
    if found.version == 6 and found.scope_id:
        raise BadValue(f"{text!r}: an address with a zone index cannot be used here")
    return unmapped(found)


def _host_port(text: str, default_port: int | None) -> tuple[str, int]:
    """Host and port of ``192.0.2.1:53``, ``[2001:db8::1]:53``; the port may be missing where there is a default."""
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            raise BadValue(f'{text!r}: write an IPv6 address with its port as "[::1]:53"')
        port = rest[1:] if rest else None
    elif text.count(":") == 1:
        host, _, port = text.partition(":")
    else:
        host, port = text, None
    try:
        host = str(ip_address(host))
    except ValueError:
        raise BadValue(f"{text!r}: {host!r} is no IP address") from None
    if port is None:
        if default_port is None:
            example = f"[{host}]:53" if ":" in host else f"{host}:53"
            raise BadValue(f'{text!r} has no port; write it as "{example}"')
        return host, default_port
    if not (port.isascii() and port.isdigit()) or len(port) > 5 or int(port) > 65535:
        raise BadValue(f"{text!r}: {port!r} is no port (0 to 65535)")
    return host, int(port)


def listen(value: object, _base: Path = Path()) -> Listen:
    """``127.0.0.1:5335`` or ``[::1]:5335``; port 0 takes a free one."""
    text = text_of(value)
    if text.startswith("unix:"):
        raise BadValue(f"{text!r}: a UNIX socket cannot serve this; write an address and a port")
    return Listen(*_host_port(text, None))


def listen_or_unix(value: object, base: Path = Path()) -> Listen:
    """As `listen`, or ``unix:PATH``."""
    text = text_of(value)
    if not text.startswith("unix:"):
        return listen(text)
    where = path(text.removeprefix("unix:"), base)
    if len(str(where).encode()) > _LONGEST_SOCKET_PATH:
        raise BadValue(f"{text!r}: the path of a UNIX socket has {_LONGEST_SOCKET_PATH} octets at most")
    return Listen(path=where)


def server(value: object, _base: Path = Path()) -> Server:
    """``192.0.2.1``, ``192.0.2.1:5353``, ``[2001:db8::1]:53``; with ``#name`` DNS over TLS, port 853 unless given."""
    text = text_of(value)
    where, hash_sign, name = text.partition("#")
    if hash_sign and not name:
        raise BadValue(f"{text!r}: the certificate's name is missing behind #")
    host, port = _host_port(where, 853 if name else 53)
    if not port:
        raise BadValue(f"{text!r}: no server has port 0")
    return Server(address(host), port, domain(name) if name else "")


def show_server(value: Server) -> str:
    """A server as text that `server` reads back."""
    where = f"[{value.address}]" if value.address.version == 6 else str(value.address)
    if value.port != (853 if value.tls_name else 53):
        where += f":{value.port}"
    return f"{where}#{value.tls_name}" if value.tls_name else where


def path(value: object, base: Path = Path()) -> Path:
    """A path, relative to the configuration file."""
    text = text_of(value)
    if not text:
        raise BadValue("a path is missing")
    return base / text


def store_url(value: object, base: Path = Path()) -> StoreUrl:
    """``disk:DIRECTORY``, ``memory:``, or a server: ``redis://HOST`` and its kind (`state.redis.target`)."""
    text = text_of(value)
    kind, colon, rest = text.partition(":")
    if target.is_shared(text):
        try:
            return StoreUrl("shared", target=target.parse(text))
        except ValueError as error:
            raise BadValue(str(error)) from None
    if not colon or kind not in ("disk", "memory") or (kind == "memory" and rest):
        shown = repr(f"{kind}:…" if colon else text)  # behind the colon there may be a password
        raise BadValue(f'{shown} names no store; write "disk:DIRECTORY", "memory:", or for several hosts "redis://HOST"')
    return StoreUrl("memory") if kind == "memory" else StoreUrl("disk", path(rest, base))


def map_file(value: object, base: Path = Path()) -> MapFile:
    """``/etc/postfix/rbl_override``, or with its map type in front as main.cf has it: ``cidr:/etc/postfix/clients``."""
    text = text_of(value)
    kind, colon, rest = text.partition(":")
    if not colon:
        return MapFile("hash", path(text, base))
    if kind not in _MAP_KINDS:
        raise BadValue(f"{text!r}: maps of type {kind!r} cannot be read; these can: {', '.join(_MAP_KINDS)}")
    return MapFile(kind, path(rest, base))


def local_domain(value: object, base: Path = Path()) -> str | MapFile:
    """``example.com``, ``.example.com`` for what is below it, or the map that has the domains: ``hash:/etc/postfix/vdomains``."""
    text = text_of(value).removeprefix("proxy:")
    kind, colon, rest = text.partition(":")
    if colon:
        return MapFile(kind, path(rest, base))
    if "/" in text:
        return MapFile("hash", path(text, base))
    name = canonical(text.removeprefix("."))
    if name is None:
        hint = ", which is not expanded here; `postconf -hx` prints what it stands for" if "$" in text else ""
        hint = f'; for everything below a domain write "{text[1:]}"' if text.startswith("*.") else hint
        raise BadValue(f"{text!r} is no domain{hint}")
    return f".{name}" if text.startswith(".") else name


def host(value: object, _base: Path = Path()) -> str:
    """A host name or address as it stands in a Host header, without port, in lower case."""
    text = text_of(value).lower()
    bare = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    try:
        return str(ip_address(bare))
    except ValueError:
        return domain(text)
