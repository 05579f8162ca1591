"""Abuse of the HTTP interface by raw sockets: each is refused in words or cut off, none costs memory, and nobody waits for it."""

import contextlib
import itertools
import json
import socket
import time
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import pytest
from victim import HOST, Victim, victim

from tests.attacks import Figure

MEGABYTE = 1 << 20
MEMORY = 5 * MEGABYTE
"""Octets that all of it together may add."""
STALL = 50
"""The longest that the loop may be kept from others, in ordinary questions' costs, as with heaps."""
WAITING = 150
"""The work that may be done before an ordinary client has its answer, but for one in a hundred, in the same measure: the 25 ms
that R-05 allows, on a machine where an ordinary question costs 0.17. One read of chunks of one octet costs half of it."""

CUT = 0
"""In place of a status: the connection is closed without a word."""
WAITS = -1
"""Nothing is said as yet: it has its time until it is cut off, of which tests of `servers` tell."""


class Abuse(NamedTuple):
    """What is sent, and what may come of it: the statuses of the first answer."""

    octets: bytes
    statuses: tuple[int, ...]


def get(path: str = "/v1/lists", *headers: str, host: str = "Host: localhost") -> bytes:
    return "\r\n".join((f"GET {path} HTTP/1.1", *filter(None, (host,)), *headers, "", "")).encode("latin-1")


def post(path: str, *headers: str, body: bytes = b"", kind: str = "application/json") -> bytes:
    head = "\r\n".join((f"POST {path} HTTP/1.1", "Host: localhost", f"Content-Type: {kind}", *headers, "", ""))
    return head.encode("latin-1") + body


def sized(path: str, body: bytes, *headers: str, kind: str = "application/json") -> bytes:
    return post(path, f"Content-Length: {len(body)}", *headers, body=body, kind=kind)


CHUNKED = "Transfer-Encoding: chunked"
ABUSES = {
    # names that are not ours, and other sites' pages
    "another site's name (DNS rebinding)": Abuse(get(host="Host: evil.example"), (421,)),
    "no Host": Abuse(get(host=""), (400,)),
    "two Hosts": Abuse(get("/v1/lists", "Host: evil.example"), (400,)),
    "a Host of 8 000 octets": Abuse(get(host=f"Host: {'a' * 8000}"), (421, 431)),
    "an absolute URL of another site": Abuse(get("http://evil.example/v1/lists", host="Host: evil.example"), (400, 404, 421)),
    "another site's Origin": Abuse(sized("/v1/reload", b"{}", "Origin: http://evil.example"), (403,)),
    "an image of another site that costs": Abuse(get("/v1/lookup/192.0.2.1?all=true", "Sec-Fetch-Site: cross-site"), (403,)),
    "a form of another site": Abuse(sized("/v1/verdict", b"client_address=192.0.2.1", kind="text/plain"), (415,)),
    # heads
    "a request line without end": Abuse(b"GET /" + b"a" * 200_000, (400, 414, 431, CUT)),
    "a hundred thousand headers": Abuse(get("/", *["X: y"] * 100_000), (400, 431, CUT)),
    "a header of a hundred thousand octets": Abuse(get("/", f"X: {'y' * 100_000}"), (400, 431, CUT)),
    "headers of 30 000 octets": Abuse(get("/", *[f"X{n}: {'y' * 1000}" for n in range(30)]), (400, 431, CUT)),
    "a header folded a thousand times": Abuse(get("/", "X: y" + "\r\n y" * 1000), (400, 431, CUT)),
    "a header without a colon": Abuse(get("/", "nonsense"), (400,)),
    "NUL in a header": Abuse(get("/", "X: a\0b"), (400,)),
    "bare LF and CR": Abuse(b"GET /v1/lists HTTP/1.1\nHost: localhost\r\r\n\n", (400, 200, CUT, WAITS)),
    "a cookie of ten thousand crumbs": Abuse(get("/v1/verdicts", "Cookie: " + "a=b; " * 1600), (401, 403, 431)),
    "a bearer token of 8 000 octets": Abuse(get("/v1/verdicts", "Authorization: Bearer " + "x" * 8000), (401, 403, 431)),
    "a version that is none": Abuse(b"GET / HTTP/9.9\r\nHost: localhost\r\n\r\n", (400, 505)),
    "HTTP/2 without asking": Abuse(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(9), (400, 505)),
    "TLS": Abuse(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500) + b"\r\n\r\n", (400, CUT)),
    "a request to be another protocol": Abuse(get("/v1/lists", "Connection: Upgrade", "Upgrade: websocket"), (200, 400)),
    "an unknown method": Abuse(get().replace(b"GET", b"BREW"), (400, 405)),
    "CONNECT": Abuse(b"CONNECT evil.example:25 HTTP/1.1\r\nHost: localhost\r\n\r\n", (400, 404, 405)),
    # bodies
    "a body of two lengths (smuggling)": Abuse(post("/v1/verdict", "Content-Length: 3", CHUNKED, body=b"0\r\n\r\n"), (400,)),
    "a length that is no number": Abuse(post("/v1/verdict", "Content-Length: -1"), (400,)),
    "a length of eight exabytes": Abuse(post("/v1/verdict", f"Content-Length: {2**63}", body=b"x" * 300_000), (413, CUT)),
    "a chunked bomb": Abuse(post("/v1/verdict", CHUNKED, body=(b"8000\r\n" + bytes(0x8000) + b"\r\n") * 40), (413, CUT)),
    "a chunk of endless size": Abuse(post("/v1/verdict", CHUNKED, body=b"f" * 70_000 + b"\r\n"), (400, 413, 431, CUT)),
    "chunks of one octet": Abuse(post("/v1/verdict", CHUNKED, body=b"1\r\n{\r\n" * 70_000), (400, 413, CUT, WAITS)),
    "trailers without end": Abuse(post("/v1/verdict", CHUNKED, body=b"0\r\n" + b"X: y\r\n" * 50_000), (400, 413, 431, CUT)),
    "a compressed bomb": Abuse(sized("/v1/verdict", b"\x1f\x8b" + bytes(60_000), "Content-Encoding: gzip"), (415,)),
    "JSON a hundred thousand deep": Abuse(sized("/v1/verdict", b"[" * 65_000), (400,)),
    "a thousand attributes": Abuse(sized("/v1/verdict", json.dumps({f"a{n}": 1 for n in range(4000)}).encode()), (400,)),
    "a line without end in a stream": Abuse(
        post("/v1/verdicts", CHUNKED, body=(b"8000\r\n" + b" " * 0x8000 + b"\r\n") * 10, kind="application/x-ndjson"), (200,)
    ),
    "an expectation that nobody has": Abuse(get("/v1/nothing", "Expect: the-unexpected"), (400, 404, 417)),
    # paths
    "a path out of the tree": Abuse(get("/../../etc/passwd"), (404,)),
    "a path of escapes": Abuse(get("/v1/lookup/" + "%25" * 2000), (400,)),
    "parameters by the thousand": Abuse(get("/v1/lookup/192.0.2.1?" + "&".join(f"a{n}=b" for n in range(900))), (400,)),
}


@pytest.fixture(scope="module")
def attacked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Victim]:
    with victim(tmp_path_factory.mktemp("victim")) as running:
        yield running


def outcome(port: int, octets: bytes, patience: float = 1.0) -> int:
    """Send it and read: the status of the first answer, CUT, or WAITS where there is none in time."""
    with contextlib.closing(socket.create_connection((HOST, port), 5)) as sock:
        sock.settimeout(patience)
        with contextlib.suppress(OSError):
            sock.sendall(octets)
        try:
            said = sock.recv(65536)
        except TimeoutError:
            return WAITS
        except OSError:
            return CUT
    return int(said.split(b" ", 2)[1]) if said.startswith(b"HTTP/1.") else CUT


def all_together(port: int, seconds: float, held: Iterable[bytes]) -> int:
    """Have all of it sent over and over, beside connections that are `held` open in the middle of something; how often."""
    with contextlib.ExitStack() as stack:
        for octets in held:
            sock = stack.enter_context(contextlib.closing(socket.create_connection((HOST, port), 5)))
            sock.setblocking(False)
            with contextlib.suppress(OSError):
                sock.send(octets)
        end, count = time.monotonic() + seconds, 0
        for name in itertools.cycle(ABUSES):
            if time.monotonic() >= end:
                return count
            outcome(port, ABUSES[name].octets, 0.2)
            count += 1
    return count


@pytest.mark.parametrize("name", ABUSES)
def test_abuse_is_refused(attacked: Victim, name: str) -> None:
    found = outcome(attacked.ports["http"], ABUSES[name].octets)
    assert found in ABUSES[name].statuses
    assert outcome(attacked.ports["http"], get()) == 200


@pytest.mark.attack("R-05", "R-28")
def test_abuse_costs_no_memory_and_nobody_waits_for_it(attacked: Victim, at_length: bool, figure: Figure) -> None:
    port, seconds = attacked.ports["http"], 30 if at_length else 3
    begun = get(), sized("/v1/verdict", b"x" * 60_000), post("/v1/verdicts", CHUNKED)
    halves = [octets[: len(octets) // 2] for octets in begun] * 15
    all_together(port, 3, halves)  # what the allocator keeps once it has had it belongs to nobody's abuse
    attacked.begin()
    time.sleep(0.5)
    quiet = attacked.cost()
    attacked.begin()
    assert all_together(port, seconds, halves) > len(ABUSES)
    cost = attacked.cost()
    ordinary = quiet.ordinary(cost)
    figure("memory that abuse of HTTP adds", (cost.rss - quiet.rss) / MEGABYTE, "MiB", most=MEMORY / MEGABYTE, row="R-28")
    longest = max(100.0, 1000 * STALL * ordinary)
    figure("CPU for which abuse of HTTP kept the loop from others", 1000 * cost.stall, "ms", most=longest, row="R-05")
    for probe, (_, almost_all) in cost.waited.items():
        assert almost_all <= WAITING * ordinary, f"{probe}: ordinary {1000 * ordinary:.2f} ms, {cost}"
