"""A JSON document posted to the admin's URL, its host resolved by this very daemon.

The URL is trusted, as everything in the configuration; where it leads on to (redirects) is not, and nothing of the environment
(proxies) is heeded. The answer's status is all that is read of it.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

import aiohttp
import msgspec
from aiohttp.abc import AbstractResolver, ResolveResult

from resolverd import __version__
from resolverd.telemetry.sendmail import NotDelivered
from resolverd.tls import client_context
from resolverd.wire.names import Address

PATIENCE: Final = 10.0
"""Seconds for one try, from looking up the host to the status."""

Lookup = Callable[[str, int], Awaitable[list[Address]]]
"""The addresses of a host in an address family (4 or 6); none where there are none, or nobody knows."""


async def post(url: str, document: dict[str, object], lookup: Lookup) -> None:
    """Post it. Raises NotDelivered, whose words have the URL's host only, as the rest may be a key."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    tls = await asyncio.to_thread(client_context) if parts.scheme == "https" else True  # to read all authorities takes 20 ms
    connector = aiohttp.TCPConnector(resolver=_Resolver(lookup), ssl=tls, use_dns_cache=False, force_close=True)
    timeout = aiohttp.ClientTimeout(total=PATIENCE)
    headers = {"Content-Type": "application/json", "User-Agent": f"resolverd/{__version__}"}
    try:
        async with (
            aiohttp.ClientSession(connector=connector, timeout=timeout, trust_env=False) as client,
            client.post(url, data=msgspec.json.encode(document), headers=headers, allow_redirects=False) as response,
        ):
            status = response.status
    except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
        why = "no answer in time" if isinstance(error, TimeoutError) else _words(error)
        raise NotDelivered(f"{host}: {why}") from None
    if not 200 <= status < 300:
        raise NotDelivered(f"{host} answered {status}{', and redirects are not followed' if 300 <= status < 400 else ''}")


def _words(error: Exception) -> str:
    """What failed, without the URL, which aiohttp's own words have in them."""
    cause = getattr(error, "os_error", None) or getattr(error, "certificate_error", None)
    said = str(cause.strerror or cause) if isinstance(cause, OSError) else ""
    return said or type(error).__name__


class _Resolver(AbstractResolver):
    """Looks hosts up as everybody's names are looked up here, at port 53 of nobody else."""

    def __init__(self, lookup: Lookup):
        self._lookup = lookup

    async def resolve(self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET) -> list[ResolveResult]:
        """Both families, IPv6 first, whatever is asked for. Raises OSError where there is no address."""
        wanted = {socket.AF_INET: (4,), socket.AF_INET6: (6,)}.get(family, (6, 4))
        found = await asyncio.gather(*(self._addresses(host, version) for version in wanted))
        addresses = [address for each in found for address in each]
        if not addresses:
            raise OSError(None, "its name has no address")
        return [_result(host, port, address) for address in addresses]

    async def _addresses(self, host: str, version: int) -> list[Address]:
        try:
            address = ip_address(host)
        except ValueError:
            return await self._lookup(host, version)
        return [address] if address.version == version else []

    async def close(self) -> None:
        """Nothing is open."""


def _result(host: str, port: int, address: Address) -> ResolveResult:
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    return ResolveResult(
        hostname=host, host=str(address), port=port, family=family, proto=0, flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
    )
