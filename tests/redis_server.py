"""Real Valkey or Redis servers, for one test or for many: on a Unix socket in a directory of theirs, or on loopback.

    with RedisServer(tmp_path) as server:
        server.cli("SET", "k", "v")
        server.kill()
        server.restart()

Servers, sentinels and nodes of clusters keep nothing on disk unless told to, and end with the test. Which of the two is run is
for `engines.chosen` to say, unless a test names it; with the fixture `store_engine` it is run with both.
"""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from tests.engines import Engine, chosen

PATIENCE = 20.0
"""Seconds for a server to begin or to end."""


def needed(engine: Engine, *names: str) -> None:
    """Skip the test where one of these programs is missing; fail it where CI is set."""
    missing = [f"{engine.value}-{name}" for name in names if engine.program(name) is None]
    if missing:
        text = f"needs {', '.join(missing)} (tests/install-peers)"
        if os.environ.get("CI"):
            pytest.fail(text)
        pytest.skip(text)


def free_ports(count: int) -> list[int]:
    """Ports of loopback that nobody listens on, each with room for a cluster's bus 10000 above."""
    found: list[int] = []
    while len(found) < count:
        with socket.socket() as first, socket.socket() as second:
            first.bind(("127.0.0.1", 0))
            port = first.getsockname()[1]
            if port > 55000:
                continue
            with contextlib.suppress(OSError):
                second.bind(("127.0.0.1", port + 10000))
                if port not in found:
                    found.append(port)
    return found


class RedisServer:
    """One server as a process of its own; begins when it is made."""

    def __init__(
        self,
        folder: Path,
        *,
        port: int = 0,
        options: Mapping[str, str | int] | None = None,
        name: str = "redis",
        lines: Sequence[str] = (),
        begin: bool = True,
        engine: Engine | None = None,
    ):
        """`port`: 0 for its Unix socket alone; `options`: of its configuration; `lines`: more of those, where one stands
        repeatedly."""
        self.engine = engine or chosen()
        needed(self.engine, "server", "cli")
        self.folder = folder / name
        self.folder.mkdir(parents=True)
        self.path = self.folder / "sock"
        self.port = port
        self.password = str((options or {}).get("requirepass", ""))
        self.log = self.folder / "log"
        settings: dict[str, str | int] = {
            "port": port, "bind": "127.0.0.1", "unixsocket": str(self.path), "unixsocketperm": 700, "dir": str(self.folder),
            "save": '""', "appendonly": "no", "daemonize": "no", "logfile": str(self.log), "loglevel": "notice",
            "enable-debug-command": "local", "repl-diskless-sync-delay": 0, "protected-mode": "no",
        }  # fmt: skip
        settings.update(options or {})
        self.settings = settings
        self.config = self.folder / "conf"
        self.config.write_text("\n".join([*(f"{key} {value}" for key, value in settings.items()), *lines, ""]))
        self.process: subprocess.Popen[bytes] | None = None
        if begin:
            self.start()

    @property
    def url(self) -> str:
        """What `[store] url` says of its Unix socket."""
        return f"unix:{self.path}"

    @property
    def tcp(self) -> str:
        """What it says of its port."""
        return f"redis://127.0.0.1:{self.port}"

    def start(self, *, wait: bool = True) -> None:
        """Begin, and wait until it answers, though it may still be loading."""
        self.path.unlink(missing_ok=True)
        self._launch("server")
        if wait:
            self.wait_for("PONG", "PING", also=("LOADING", "NOAUTH", "MASTERDOWN", "NOPERM"))

    def _launch(self, program: str) -> None:
        words, nowhere = [self.engine.required(program), str(self.config)], subprocess.DEVNULL
        # SIGXFSZ stays ignored, as in Python: for a file that may grow no more it gets an error, and goes on.
        self.process = subprocess.Popen(words, stdout=nowhere, stderr=nowhere, restore_signals=False)

    def wait_for(self, wanted: str, *command: str, also: Sequence[str] = (), patience: float = PATIENCE) -> str:
        """Ask until the answer has `wanted` (or something of `also`); the answer."""
        end = time.monotonic() + patience
        answer = ""
        while time.monotonic() < end:
            answer = self.cli(*command, check=False)
            if wanted in answer or any(each in answer for each in also):
                return answer
            self._pause()
        raise AssertionError(f"{command}: {answer!r} has no {wanted!r}\n{self.log.read_text() if self.log.exists() else ''}")

    def _pause(self) -> None:
        process = self.process
        if process is None:
            return
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.02)
            raise AssertionError(f"it has ended: {self.log.read_text() if self.log.exists() else ''}")

    def cli(self, *command: str | bytes, check: bool = True, stdin: bytes | None = None) -> str:
        """What its client prints for a command, without the last end of line. `stdin`: the command's last word, of any octets."""
        password = ["--no-auth-warning", "-a", self.password] if self.password else []
        extra = ["-x"] if stdin is not None else []
        words = [self.engine.required("cli"), "-s", str(self.path), *password, *extra, *command]
        done = subprocess.run(words, input=stdin, capture_output=True, timeout=PATIENCE, check=False)
        text = done.stdout.decode("utf-8", "replace") + done.stderr.decode("utf-8", "replace")
        if check and done.returncode:
            raise AssertionError(text)
        return text.removesuffix("\n")

    def kill(self) -> None:
        """As a crash would: what it had in memory is gone."""
        if self.process is not None:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
            self.process.wait(PATIENCE)
            self.process = None

    def stop(self) -> None:
        """Let it accept connections (its system does) and say nothing."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def cont(self) -> None:
        """Let it go on."""
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    def limit_files(self, octets: int | None) -> None:
        """Let no file of its grow beyond so many octets, as if the disk were full; None: as far as they want."""
        assert self.process is not None
        most = resource.RLIM_INFINITY
        resource.prlimit(self.process.pid, resource.RLIMIT_FSIZE, (most if octets is None else octets, most))

    def restart(self, *, wait: bool = True) -> None:
        """End it where it runs, and begin anew, with what it has kept on disk."""
        self.kill()
        self.start(wait=wait)

    def close(self) -> None:
        """End it."""
        self.kill()

    def __enter__(self) -> RedisServer:
        return self

    def __exit__(self, *why: object) -> None:
        self.close()


class Sentinels:
    """A master, its replicas, and sentinels that choose another master once half a second has gone by without it."""

    SERVICE = "fleet"

    def __init__(
        self,
        folder: Path,
        *,
        replicas: int = 1,
        sentinels: int = 3,
        options: Mapping[str, str | int] | None = None,
        engine: Engine | None = None,
    ):
        engine = engine or chosen()
        needed(engine, "server", "cli", "sentinel")
        ports = free_ports(1 + replicas + sentinels)
        self.servers = [RedisServer(folder, port=ports[0], name="server0", options=options, engine=engine)]
        for number in range(1, 1 + replicas):
            more = {**(options or {}), "replicaof": f"127.0.0.1 {ports[0]}"}
            if "requirepass" in more:
                more["masterauth"] = more["requirepass"]
            self.servers.append(RedisServer(folder, port=ports[number], name=f"server{number}", options=more, engine=engine))
        for replica in self.servers[1:]:
            replica.wait_for("master_link_status:up", "INFO", "replication")
        self.sentinels: list[RedisServer] = []
        self.ports = ports[1 + replicas :]
        password = (options or {}).get("requirepass")
        for number, port in enumerate(self.ports):
            watched = [
                f"sentinel monitor {self.SERVICE} 127.0.0.1 {ports[0]} {sentinels // 2 + 1}",
                f"sentinel down-after-milliseconds {self.SERVICE} 500",
                f"sentinel failover-timeout {self.SERVICE} 3000",
                *([f"sentinel auth-pass {self.SERVICE} {password}"] if password else []),
            ]
            self.sentinels.append(_Sentinel(folder, port=port, name=f"sentinel{number}", lines=watched, engine=engine))
        for each in self.sentinels:
            each.wait_for(f"num-other-sentinels\n{sentinels - 1}", "SENTINEL", "MASTER", self.SERVICE)
            each.wait_for(f"num-slaves\n{replicas}", "SENTINEL", "MASTER", self.SERVICE)

    @property
    def url(self) -> str:
        """What `[store] url` says of them."""
        return f"redis+sentinel://{','.join(f'127.0.0.1:{port}' for port in self.ports)}/{self.SERVICE}"

    def master(self) -> RedisServer:
        """The server that the first sentinel has for the master."""
        port = self.sentinels[0].cli("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self.SERVICE).split()[1]
        return next(server for server in self.servers if server.port == int(port))

    def close(self) -> None:
        """End all."""
        for each in (*self.sentinels, *self.servers):
            each.close()

    def __enter__(self) -> Sentinels:
        return self

    def __exit__(self, *why: object) -> None:
        self.close()


class _Sentinel(RedisServer):
    def __init__(self, folder: Path, *, port: int, name: str, lines: Sequence[str], engine: Engine):
        super().__init__(folder, port=port, name=name, begin=False, engine=engine)
        self.config.write_text(
            f"port {port}\nbind 127.0.0.1\nprotected-mode no\nunixsocket {self.path}\ndir {self.folder}\nlogfile {self.log}\n"
            + "".join(f"{line}\n" for line in lines)
        )
        self.start()

    def start(self, *, wait: bool = True) -> None:
        self._launch("sentinel")
        if wait:
            self.wait_for("PONG", "PING")


class Cluster:
    """Three masters with a third of the slots each, and no replicas."""

    def __init__(self, folder: Path, *, options: Mapping[str, str | int] | None = None, engine: Engine | None = None):
        ports = free_ports(3)
        more = {**(options or {}), "cluster-enabled": "yes", "cluster-node-timeout": 1000}
        self.servers = [
            RedisServer(folder, port=port, name=f"node{number}", options=more, engine=engine) for number, port in enumerate(ports)
        ]
        third = 16384 // 3
        for number, server in enumerate(self.servers):
            server.cli("CLUSTER", "ADDSLOTSRANGE", str(number * third), str((number + 1) * third - 1 if number < 2 else 16383))
            server.cli("CLUSTER", "SET-CONFIG-EPOCH", str(number + 1))
        for server in self.servers[1:]:
            self.servers[0].cli("CLUSTER", "MEET", "127.0.0.1", str(server.port))
        for server in self.servers:
            server.wait_for("cluster_state:ok", "CLUSTER", "INFO")
            server.wait_for("cluster_known_nodes:3", "CLUSTER", "INFO")

    @property
    def url(self) -> str:
        """What `[store] url` says of it."""
        return f"redis+cluster://{','.join(f'127.0.0.1:{server.port}' for server in self.servers)}"

    def close(self) -> None:
        """End all."""
        for each in self.servers:
            each.close()

    def __enter__(self) -> Cluster:
        return self

    def __exit__(self, *why: object) -> None:
        self.close()


@contextlib.contextmanager
def running(folder: Path, *, tcp: bool = False, **options: str | int) -> Iterator[RedisServer]:
    """A server with these options (``_`` for ``-``); `tcp`: on a free port of loopback too."""
    port = free_ports(1)[0] if tcp else 0
    with RedisServer(folder, port=port, options={key.replace("_", "-"): value for key, value in options.items()}) as server:
        yield server


@pytest.fixture(scope="session", params=list(Engine), ids=lambda engine: engine.value)
def store_engine(request: pytest.FixtureRequest) -> Engine:
    """Both, one after the other: for what they say or do in ways of their own."""
    found: Engine = request.param
    needed(found, "server", "cli")
    return found


@pytest.fixture(scope="session")
def servers_of_engines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[Engine], RedisServer]]:
    """One of each for all tests that do it no harm, begun when the first one wants it: each has a prefix of its own in it."""
    running: dict[Engine, RedisServer] = {}

    def server_of(engine: Engine) -> RedisServer:
        if engine not in running:
            running[engine] = RedisServer(tmp_path_factory.mktemp(engine.value), engine=engine)
        return running[engine]

    yield server_of
    for each in running.values():
        each.close()


@pytest.fixture(scope="session")
def redis_server(servers_of_engines: Callable[[Engine], RedisServer]) -> RedisServer:
    """The one of the engine that is run where one is enough."""
    return servers_of_engines(chosen())
