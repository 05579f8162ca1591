"""Where a shared store is: the URL of ``[store]``, read and written, without any password.

==============================================  ==================================================================
``redis://[USER@]HOST[:6379][/DATABASE]``        one server; ``rediss://`` with TLS
``unix:/PATH``, ``redis+unix:///PATH[?db=N]``    one server on this machine
``redis+sentinel://H1[:26379],H2,…/SERVICE[/N]`` the master of a service that sentinels watch; ``rediss+sentinel://``
``redis+cluster://H1[:6379],H2,…``               a cluster; ``rediss+cluster://``
==============================================  ==================================================================
"""

import re
from typing import Final, Literal, NamedTuple, TypeAlias
from urllib.parse import parse_qsl, quote, unquote

Form: TypeAlias = Literal["server", "unix", "sentinel", "cluster"]

SCHEMES: Final = (
    "redis", "rediss", "redis+unix", "unix", "redis+sentinel", "rediss+sentinel", "redis+cluster", "rediss+cluster",
)  # fmt: skip
"""What such a URL begins with, in front of the colon."""
_PORT: Final = 6379
_SENTINEL_PORT: Final = 26379
_DATABASES: Final = 1 << 16
"""Numbers of databases: servers have 16 unless told otherwise, and say so if one is too high."""
_HOST: Final = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,252}[A-Za-z0-9_.])?")
_ADDRESS6: Final = re.compile(r"\[([0-9A-Fa-f:.]{2,45}(?:%[\w.-]{1,32})?)\](?::(\d{1,5}))?", re.ASCII)
_PASSWORD_OPTION: Final = re.compile(r"[?&]password=", re.IGNORECASE)
_NO_PASSWORD: Final = "a URL has no password: write [store] password = {file = …}"
_SERVICE: Final = re.compile(r"[A-Za-z0-9_.-]{1,128}")


class RedisTarget(NamedTuple):
    """Where it is. `addresses`: hosts and ports, of servers or sentinels; `path`: of a Unix socket; `service`: what sentinels
    call it; `user`: empty for the server's default one."""

    form: Form
    addresses: tuple[tuple[str, int], ...] = ()
    path: str = ""
    service: str = ""
    database: int = 0
    user: str = ""
    tls: bool = False

    def __str__(self) -> str:
        """The URL again."""
        if self.form == "unix":
            scheme, rest = "redis+unix://", quote(self.path)
            return f"{scheme}{self._user()}{rest}{f'?db={self.database}' if self.database else ''}"
        scheme = f"redis{'s' if self.tls else ''}{'' if self.form == 'server' else '+' + self.form}"
        usual = _SENTINEL_PORT if self.form == "sentinel" else _PORT
        hosts = ",".join(_host_text(host, port, usual) for host, port in self.addresses)
        service = f"/{self.service}" if self.service else ""
        return f"{scheme}://{self._user()}{hosts}{service}{f'/{self.database}' if self.database else ''}"

    def _user(self) -> str:
        return f"{quote(self.user, safe='')}@" if self.user else ""


def _host_text(host: str, port: int, usual: int) -> str:
    text = f"[{host}]" if ":" in host else host
    return text if port == usual else f"{text}:{port}"


def is_shared(url: str) -> bool:
    """Whether a store's URL is one of `SCHEMES`, well formed or not."""
    return url.partition(":")[0] in SCHEMES


def parse(text: str) -> RedisTarget:
    """Read a URL. Raises ValueError, in words for whoever wrote it, which repeat nothing of it: anything may be a password."""
    scheme, colon, rest = text.strip().partition(":")
    if not colon or scheme not in SCHEMES:
        raise ValueError("a shared store's URL begins with redis:// rediss:// unix: redis+sentinel:// or redis+cluster://")
    if scheme == "unix" and not rest.startswith("//"):
        return _unix("", rest)
    if not rest.startswith("//"):
        raise ValueError(f"{scheme}: is followed by //")
    rest = rest[2:]
    if scheme in ("unix", "redis+unix"):
        front, at, path = rest.partition("@") if "@" in rest.partition("/")[0] else ("", "", rest)
        return _unix(_user(front) if at else "", path)
    authority, _, tail = rest.partition("/")
    if "@" in tail or _PASSWORD_OPTION.search(rest):
        raise ValueError(_NO_PASSWORD)  # of a password with a slash in it, or as a library's URL may have it
    if "?" in tail or "#" in tail or "?" in authority or "#" in authority:
        raise ValueError("options behind ? and # are not known here")
    front, at, hosts = authority.rpartition("@")
    user = _user(front) if at else ""
    tls = scheme.startswith("rediss")
    form = scheme.partition("+")[2]
    if form == "sentinel":
        service, _, number = tail.partition("/")
        if not _SERVICE.fullmatch(service):
            raise ValueError("the service's name stands behind the sentinels: redis+sentinel://h1,h2,h3/SERVICE")
        return RedisTarget("sentinel", _hosts(hosts, _SENTINEL_PORT), "", service, _database(number), user, tls)
    if form == "cluster":
        if tail:
            raise ValueError("a cluster has one database: nothing stands behind its hosts")
        return RedisTarget("cluster", _hosts(hosts, _PORT), user=user, tls=tls)
    addresses = _hosts(hosts, _PORT)
    if len(addresses) > 1:
        raise ValueError(
            "one server has one address; several stand in redis+sentinel://h1,h2,h3/SERVICE or redis+cluster://h1,h2,h3"
        )
    return RedisTarget("server", addresses, "", "", _database(tail), user, tls)


def _unix(user: str, rest: str) -> RedisTarget:
    path, _, query = rest.partition("?")
    if _PASSWORD_OPTION.search(rest):
        raise ValueError(_NO_PASSWORD)
    number = ""
    for key, value in parse_qsl(query, keep_blank_values=True):
        if key != "db":
            raise ValueError("behind the path of a socket stands ?db=NUMBER or nothing")
        number = value
    path = unquote(path)
    if not path.startswith("/") or "\0" in path:
        raise ValueError("the path of a socket begins with /: unix:/run/redis/redis.sock")
    return RedisTarget("unix", path=path, database=_database(number), user=user)


def _user(text: str) -> str:
    if ":" in text:
        raise ValueError(_NO_PASSWORD)
    return unquote(text)


def _hosts(text: str, usual: int) -> tuple[tuple[str, int], ...]:
    found = tuple(_host(each.strip(), usual) for each in text.split(","))
    if len(set(found)) < len(found):
        raise ValueError("the same host stands there twice")
    return found


def _host(text: str, usual: int) -> tuple[str, int]:
    if not text:
        raise ValueError("a host is missing")
    if match := _ADDRESS6.fullmatch(text):
        return match[1], _port(match[2], usual)
    host, colon, port = text.partition(":")
    if ":" in port:
        raise ValueError("an IPv6 address stands in brackets: redis://[2001:db8::1]:6379")
    if not _HOST.fullmatch(host):
        raise ValueError("a host is a name or an address: letters, digits, dots and hyphens")
    return host, _port(port if colon else None, usual)


def _port(text: str | None, usual: int) -> int:
    if text is None:
        return usual
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 1 << 16):
        raise ValueError("behind a host and a colon stands a port, from 1 to 65535")
    return int(text)


def _database(text: str) -> int:
    if not text:
        return 0
    if not (text.isascii() and text.isdigit() and len(text) <= 5 and int(text) < _DATABASES):
        raise ValueError("a database is a number from 0 to 65535: redis://HOST/3")
    return int(text)
