"""A daemon in process behind its HTTP server: its own objects, on a memory store and a scripted internet.

    served = Served(folder)
    await served.start()                        # a port of its own, and the socket for commands in FOLDER/var
    with serving(folder) as served:             # the same in a thread with a loop of its own, for commands

The internet has what its fixed lists say of LISTED and GOOD, their names, and ``example.org``. Nothing is asked but for the sake
of a call: `asked` names what the lists were asked of clients.
"""

import asyncio
import socket
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from scriptednet import ROOT_SERVER, Net, reply_to

from resolverd.app.service import Service
from resolverd.clock import SystemClock
from resolverd.config.settings import Settings
from resolverd.metrics import Counters
from resolverd.servers import unix_socket
from resolverd.servers.http.app import HttpServer
from resolverd.servers.http.daemon import Daemon
from resolverd.state.memory import MemoryStore
from tests.replay.stack import root_hints, settings

TOKEN = "token-of-the-test"
LISTED = "81.2.69.1"
"""A client that zen lists, whose name leads back to it."""
GOOD = "81.2.69.2"
"""A client that no list lists, whose name leads back to it."""

DNSWL = "193.0.9.3"
"""The server of dnswl.org."""

_Result = TypeVar("_Result")


def internet() -> Net:
    """Lists (zen, dbl, dnswl), reverse names, a domain with mail."""
    net = Net(rtt=0.001)
    net.root.add("@ NS k.root-servers.net.")
    net.root.add(f"k.root-servers.net. A {ROOT_SERVER}")
    org = net.zone("org", {"ns.org": "193.0.9.1"}, """
        example MX 10 mail.example.org.
        example TXT "v=spf1 ip4:81.2.69.1 -all"
        mail.example A 81.2.69.1
        good.example A 81.2.69.2
        2.0.0.127.zen.spamhaus A 127.0.0.2
        1.69.2.81.zen.spamhaus A 127.0.0.2
        1.69.2.81.zen.spamhaus TXT "spam source"
        test.dbl.spamhaus A 127.0.1.2
    """)
    net.zone("dnswl.org", {"ns.dnswl.org": DNSWL}, "2.0.0.127.list A 127.0.10.0", parent=org)
    net.zone("arpa", {"ns.arpa": "193.0.9.2"}, """
        1.69.2.81.in-addr PTR mail.example.org.
        2.69.2.81.in-addr PTR good.example.org.
    """)
    return net


def configured(folder: Path, **changes: Any) -> Settings:
    """Settings for that internet, with `changes` by section."""
    hints = root_hints(folder, "k.root-servers.net", [ROOT_SERVER])
    made = settings(hints, resolver={"ipv6": False})
    sections = {name: msgspec.structs.replace(getattr(made, name), **values) for name, values in changes.items()}
    return msgspec.structs.replace(made, **sections)


def bound() -> socket.socket:
    """A TCP socket on a loopback port that the system chose."""
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    return sock


def for_commands(state: Path) -> socket.socket:
    """The socket that commands use, in a state directory."""
    state.mkdir(exist_ok=True)
    return unix_socket.bind(state / "resolverd.sock", 0o660)


class Served:
    """The daemon; `token` is what its HTTP server wants to see."""

    def __init__(self, folder: Path, token: str | None = TOKEN, load: Callable[[], Settings] | None = None, **changes: Any):
        self.folder = folder
        self.net = internet()
        self.counters = Counters()
        self.clock = SystemClock()
        self.store = MemoryStore()
        self.settings = configured(folder, **changes)
        self.loads = 0
        self.load = load or (lambda: self.settings)
        self.loop: asyncio.AbstractEventLoop | None = None
        self.altered: Callable[[Daemon], Daemon] = lambda daemon: daemon
        """What HTTP calls work on, where that is to be something else."""
        self._token = token
        self.port = 0

    async def start(self) -> None:
        """Build it, and listen."""
        self.loop = asyncio.get_running_loop()
        self.service = Service(self.settings, self.net, self.store, self.clock, self.counters, self._load)
        await self.service.prepare()
        self.server = HttpServer(
            lambda: self.altered(self.service.capabilities()), self.counters, token=self._token, hosts=["mail.example.org"]
        )
        sock = bound()
        self.port = sock.getsockname()[1]
        await self.server.serve(sock)
        await self.server.serve(for_commands(self.folder / "var"))

    async def end(self) -> None:
        """End both."""
        await self.server.close(0.1)
        await self.service.aclose()

    def _load(self) -> Settings:
        self.loads += 1
        return self.load()

    @property
    def socket(self) -> Path:
        """The socket for commands."""
        return self.folder / "var" / "resolverd.sock"

    @property
    def config(self) -> str:
        """The configuration file that commands find it by."""
        return str(self.folder / "config.toml")

    def refuse(self, server: str) -> None:
        """Have a server refuse every question from now on."""
        self.net.serve(server, lambda query, ask: reply_to(query, rcode="REFUSED", aa=False))

    @property
    def asked(self) -> list[str]:
        """What any list was asked of the clients."""
        return [name for name, _ in self.net.names() if ".69.2.81." in name and not name.endswith(".arpa.")]

    @property
    def judged(self) -> int:
        """Verdicts that were recorded."""
        return sum(value for name, _, value in self.counters.snapshot() if name == "verdicts")

    def do(self, work: Coroutine[Any, Any, _Result]) -> _Result:
        """Run something on its loop, from another thread."""
        assert self.loop is not None
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(10)


@contextmanager
def serving(
    folder: Path, token: str | None = TOKEN, *, prepare: Callable[[Served], None] = lambda served: None, **changes: Any
) -> Iterator[Served]:
    """The daemon in a thread; its configuration file is written as an empty one. `prepare`: what is done before it begins."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    served = Served(folder, token, **changes)
    prepare(served)
    try:
        asyncio.run_coroutine_threadsafe(served.start(), loop).result(10)
        (folder / "config.toml").touch()
        yield served
        served.do(served.end())
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(5)
        loop.close()
