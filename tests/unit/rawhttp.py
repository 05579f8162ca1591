"""Raw requests to a daemon's HTTP interface, and what comes back.

    service = Service(folder)
    await service.start()
    response = await service.call("GET", "/v1/lists")
"""

import asyncio
import json
from pathlib import Path
from typing import Any, NamedTuple

from served import Served


class Response(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def document(self) -> Any:
        return json.loads(self.body)


class Service(Served):
    """The daemon on a port of its own, and raw requests to it."""

    async def raw(self, *parts: bytes, pause: float = 0, eof: bool = False, over: Path | None = None) -> bytes:
        """What comes back until the server closes; over a UNIX socket where one is given."""
        connect = asyncio.open_unix_connection(over) if over else asyncio.open_connection("127.0.0.1", self.port)
        reader, writer = await connect
        try:
            for part in parts:
                writer.write(part)
                await writer.drain()
                await asyncio.sleep(pause)
            if eof:
                writer.write_eof()
            async with asyncio.timeout(5):
                return await reader.read()
        except ConnectionError:
            return b""
        finally:
            writer.close()
            try:
                await writer.wait_closed()
            except ConnectionError:
                pass

    async def call(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        /,
        token: str | None = None,
        over: Path | None = None,
        **headers: str | None,
    ) -> Response:
        fields: dict[str, str | None] = {"Host": f"127.0.0.1:{self.port}", "Connection": "close"}
        if body:
            fields |= {"Content-Length": str(len(body)), "Content-Type": "application/json"}
        if token:
            fields["Authorization"] = f"Bearer {token}"
        fields |= {name.replace("_", "-"): value for name, value in headers.items()}
        head = "".join(f"{name}: {value}\r\n" for name, value in fields.items() if value is not None)
        return parsed(await self.raw(f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + body, over=over))


def parsed(octets: bytes) -> Response:
    head, _, body = octets.partition(b"\r\n\r\n")
    status, *lines = head.decode().split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    if headers.get("transfer-encoding") == "chunked":
        rest, body = body, b""
        while rest:
            size, _, rest = rest.partition(b"\r\n")
            body += rest[: int(size, 16)]
            rest = rest[int(size, 16) + 2 :]
    return Response(int(status.split()[1]), headers, body)


def is_problem(response: Response, status: int) -> bool:
    return (
        response.status == status
        and response.headers["content-type"] == "application/problem+json"
        and response.document["status"] == status
        and bool(response.document["title"])
        and bool(response.document["detail"])
    )
