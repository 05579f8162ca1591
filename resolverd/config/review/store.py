"""The server that several hosts share: who else can read and change what is kept there."""

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address, ip_address

from resolverd.config.review.warning import ConfigWarning
from resolverd.config.settings import Settings, StoreSettings
from resolverd.state.redis.target import RedisTarget


def strangers(settings: Settings) -> Iterator[ConfigWarning]:
    """No password, and the network leads there: whoever reaches it sets overrides, and reads who writes to whom."""
    target = settings.store.url.target
    if target is None or settings.store.password is not None or not (away := _away(target)):
        return
    text = f"{away[0]} is another machine, and no password is asked for: whoever reaches it reads and changes what is kept"
    fix = ("[store]", 'password = {file = "store.password"}')
    yield ConfigWarning("store-no-password", "store.url", text, fix, grave=any(map(_is_public, away)))


def in_clear(settings: Settings) -> Iterator[ConfigWarning]:
    """Without TLS to another machine: who is on the way reads it all, and changes what he likes."""
    target = settings.store.url.target
    if target is None or target.tls or not (away := _away(target)):
        return
    what = "the password, senders and recipients go" if settings.store.password is not None else "senders and recipients go"
    text = f"{what} to {away[0]} in clear: fine within a network of your own, and not beyond"
    fix = ("[store]", f'url = "{target._replace(tls=True)}"')
    yield ConfigWarning("store-clear", "store.url", text, fix, grave=any(map(_is_public, away)))


def without_a_server(settings: Settings) -> Iterator[ConfigWarning]:
    """Keys that mean nothing where nothing is shared, or without TLS."""
    store, default = settings.store, StoreSettings()
    if store.url.target is None:
        for key in ("password", "prefix", "ca", "directory"):
            if getattr(store, key) != getattr(default, key):
                text = f'is for a server that hosts share, and url = "{store.url}" is none'
                yield ConfigWarning("store-not-shared", f"store.{key}", text, ("# delete it",))
    elif store.ca is not None and not store.url.target.tls:
        text = f'counts with TLS alone, and url = "{store.url}" is without'
        yield ConfigWarning("store-not-shared", "store.ca", text, ("# delete it",))


def _away(target: RedisTarget) -> list[str]:
    """The hosts of it that are other machines; names count as such, but for localhost."""
    return [host for host, _ in target.addresses if not _is_here(host)]


def _is_here(host: str) -> bool:
    address = _address(host)
    return address.is_loopback if address is not None else host.rstrip(".").lower() == "localhost"


def _is_public(host: str) -> bool:
    address = _address(host)
    return address is not None and address.is_global


def _address(host: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None
