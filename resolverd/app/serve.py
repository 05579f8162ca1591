"""The daemon's life: configuration, sockets, readiness, signals, end.

Sockets are bound before anything else is started, so that all faults are reported at once; readiness is reported last.
"""

import asyncio
import logging
import os
import pwd
import signal
import socket
import sqlite3
import sys
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import uvloop

from resolverd import logs
from resolverd.app import banner, certificate, systemd
from resolverd.app.certificate import Certificate
from resolverd.app.fleet import join
from resolverd.app.listeners import Listeners, listeners
from resolverd.app.privileges import Account, account, become, make_directory
from resolverd.app.process import memory_remarks, raise_descriptor_limit, tune
from resolverd.app.runtime import Runtime
from resolverd.app.service import Service
from resolverd.app.store import directory_key, open_own
from resolverd.app.systemd import take_sockets
from resolverd.clock import SystemClock
from resolverd.config import Settings, find, load, loose, public_words, state_token
from resolverd.config.review import review
from resolverd.failures import ConfigError, ConfigFault
from resolverd.metrics import Counters
from resolverd.net.cookies import Cookies
from resolverd.net.outside import OutsideNetwork
from resolverd.pseudonyms import Pseudonyms
from resolverd.resolver.mesh import Mesh
from resolverd.servers import unix_socket
from resolverd.servers.access import AccessControl
from resolverd.servers.dns.answering import Responder
from resolverd.servers.dns.cookies import CLIENT
from resolverd.servers.dns.tcp import TcpEdge
from resolverd.servers.dns.tls import TlsEdge
from resolverd.servers.dns.udp import UdpEdge
from resolverd.servers.http.app import HttpServer
from resolverd.servers.policy.server import PolicyServer
from resolverd.servers.turns import Turns
from resolverd.syslog import mail_log
from resolverd.wire.peek import Query
from resolverd.wire.redact import Redactor

log = logging.getLogger(__name__)

_COMMANDS_MODE = 0o660
"""The socket for commands is root's, the daemon's user's and its group's."""
_PATIENCE = 0.3
"""Seconds for which the start waits for overrides to be read; a hundred thousand of them are read behind it."""
_GRACE = 1.0
"""Seconds for requests in flight when the daemon is asked to end; the whole end takes less than 2."""


def run(path: Path | None, user: str | None = None, *, keep_capabilities: bool = False) -> NoReturn:
    """Run the daemon until SIGTERM or SIGINT, and end the process. `user`: whom to become once all ports are bound.

    Raises ConfigError, StateInUse and PrivilegeError.
    """
    become_user = account(user) if user is not None else None
    settings = load(path)
    pseudonyms = Pseudonyms(os.urandom(16), public_words(settings))
    _log_by(settings, pseudonyms)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        _leave(runner.run(_Daemon(settings, path, pseudonyms, become_user, keep_capabilities=keep_capabilities).run()))


def _leave(status: int) -> NoReturn:
    """End the process: all is written and closed. Python would wait for threads at work, and free a full cache bit by bit."""
    logging.shutdown()
    sys.stderr.flush()
    os._exit(status)


class _Daemon:
    def __init__(
        self,
        settings: Settings,
        path: Path | None,
        pseudonyms: Pseudonyms,
        user: Account | None = None,
        *,
        keep_capabilities: bool = False,
    ):
        self._settings = settings
        self._path = path
        self._pseudonyms = pseudonyms
        self._counters = Counters()
        self._account = user
        self._keep_capabilities = keep_capabilities
        self._password = settings.store.password
        """Of the server that hosts share, as last configured."""
        self._own_token: str | None = None
        """The one in the state directory, once it was needed."""
        self.responder: Responder
        self.tls: list[TlsEdge] = []
        self.http: HttpServer
        self.policy: PolicyServer

    async def run(self) -> int:
        settings, counters = self._settings, self._counters
        asyncio.get_running_loop().set_exception_handler(partial(_unhandled, counters))
        raise_descriptor_limit()
        faults: list[ConfigFault] = []
        warnings: list[str] = []
        bound = listeners(settings, take_sockets(os.environ), faults, warnings)
        shown = self._read_certificate(faults)
        if faults:
            raise ConfigError(faults)
        if self._account is not None:
            settings = self._become(self._account)
        clock = SystemClock()
        own = await open_own(settings, counters)
        fleet = None
        try:
            network = OutsideNetwork(settings.resolver.outgoing_addresses)
            fleet = await join(settings, own, clock, counters, lambda: self._password)
            service = Service(settings, network, own, clock, counters, self._load, shown, fleet)
            service.name_by(_pseudonyms(settings, self._pseudonyms))
            await service.prepare(_PATIENCE)
        except BaseException:
            await (own if fleet is None else fleet.store).close()
            raise
        self.responder = responder = Responder(
            service.runtime.answerer,
            service.runtime.resolution.packets,
            _access(settings),
            clock,
            counters,
            service.runtime.resolution.packet_share,
            Redactor(service.runtime.plan.guard.key_zones),
            partial(_is_own, network.cookies, service.runtime.resolution.mesh),
        )
        udp = [UdpEdge(sock, responder) for sock in bound.udp]
        turns = Turns()
        tcp = [TcpEdge(responder, turns) for _ in bound.tcp]
        for edge, sock in zip(tcp, bound.tcp, strict=True):
            await edge.serve(sock)
        if shown is not None:
            self.tls = [TlsEdge(responder, shown.context, turns) for _ in bound.tls]
            for tls_edge, sock in zip(self.tls, bound.tls, strict=True):
                await tls_edge.serve(sock)
        references = settings.log.ref_in_reply
        self.policy = policy_server = PolicyServer(service.runtime.policy, counters, turns=turns, references=references)
        service.on_reload.append(
            lambda runtime: policy_server.decide_by(runtime.policy, references=runtime.settings.log.ref_in_reply)
        )
        for sock, listen in bound.policy:
            await policy_server.serve(sock, listen.path if listen is not None else None)
        self.http = http_server = HttpServer(
            service.capabilities,
            counters,
            token=self._token(settings, warnings),
            hosts=settings.http.hosts,
            open_to_loopback=settings.http.open,
        )
        service.on_reload.append(partial(self._apply_reload, service))
        for sock in bound.http:
            await http_server.serve(sock)
        commands = self._bind_for_commands(warnings)
        if commands is not None:
            await http_server.serve(commands)
        service.start()
        told_to_end = self._heed_signals(service)
        self._greet(service, bound, warnings)
        tune()
        systemd.notify("READY=1")
        if (interval := systemd.watchdog_interval()) is not None:
            service.supervisor.run("watchdog", partial(systemd.feed_watchdog, interval))
        await told_to_end.wait()
        systemd.notify("STOPPING=1")
        service.end_feed()
        for udp_edge in udp:
            await udp_edge.aclose()
        for tcp_edge in (*tcp, *self.tls):
            await tcp_edge.aclose()
        if commands is not None and (path := settings.command_socket()) is not None:
            path.unlink(missing_ok=True)
        await asyncio.gather(policy_server.close(_GRACE), http_server.close(_GRACE))
        await service.aclose()
        await network.aclose()
        log.info("ended")
        return 0

    def _read_certificate(self, faults: list[ConfigFault]) -> Certificate | None:
        """That of DNS over TLS, while the process may still be root, whose the key often is."""
        tls = self._settings.dns.tls
        if tls is None:
            return None
        try:
            return certificate.read(tls)
        except ConfigError as error:
            faults += error.faults
            return None

    def _become(self, account: Account) -> Settings:
        """Drop root, now that the ports are bound; the settings as that user reads them, as it will at each reload.

        Raises ConfigError, and PrivilegeError.
        """
        directory = self._settings.state_directory()
        try:
            if directory is not None:
                make_directory(directory, account)
        except OSError as error:
            text = f"{directory} cannot be made: {error.strerror}"
            raise ConfigError([ConfigFault(directory_key(self._settings), text)]) from None
        become(account, keep_capabilities=self._keep_capabilities)
        self._settings = load(self._path)
        return self._settings

    def _load(self) -> Settings:
        """The settings as they are now, read in a thread, as is what can only be read."""
        settings = load(self._path)
        self._pseudonyms.publish(public_words(settings))
        self._token(settings, [])
        return settings

    def _apply_reload(self, service: Service, runtime: Runtime) -> None:
        settings, responder = runtime.settings, self.responder
        responder.answerer = runtime.answerer
        responder.access.configure(settings.dns.allow, settings.dns.client_rate)
        responder.redactor = Redactor(runtime.plan.guard.key_zones)
        responder.keep = runtime.resolution.packet_share
        if runtime.plan.external.certificate is not None:
            for edge in self.tls:
                edge.context = runtime.plan.external.certificate.context
        given = settings.http.token
        token = self._own_token if given is None else None if given.fault else given.reveal()
        self.http.admit(settings.http.hosts, token, settings.http.open)
        self._password = settings.store.password
        _log_by(settings, self._pseudonyms)
        service.name_by(_pseudonyms(settings, self._pseudonyms))

    def _token(self, settings: Settings, warnings: list[str]) -> str | None:
        if (given := settings.http.token) is not None:
            return None if given.fault else given.reveal()
        directory = self._settings.state_directory()
        if directory is not None and self._own_token is None:
            token = state_token(directory)
            warnings += (*token.faults, *loose(directory))
            self._own_token = token.value
        return self._own_token

    def _bind_for_commands(self, warnings: list[str]) -> socket.socket | None:
        """The socket that commands use: who may open it needs no token, and nobody else can take its place."""
        path = self._settings.command_socket()
        if path is None:
            return None
        try:
            return unix_socket.bind(path, _COMMANDS_MODE)
        except OSError as error:
            warnings.append(f"{path} cannot be had ({error.strerror or error}): commands that change something will not work")
            return None

    def _greet(self, service: Service, bound: Listeners, warnings: list[str]) -> None:
        settings = self._settings
        found = find(self._path)
        lines = banner.listening(bound.shown)
        lines.append(f"  {'config':<8} {found.absolute() if found else 'built-in defaults'}")
        lines.append(f"  {'state':<8} {settings.state_directory() or 'in memory'}")
        if settings.store.url.target is not None:
            lines.append(f"  {'shared':<8} {settings.store.url}, keys {settings.store.prefix}:…")
        lines.append(f"  {'user':<8} {_user()}")
        lines += banner.terms(service.runtime.engine.specs)
        lines += banner.next_steps(bound.first_dns(), settings.zone.origin, _command())
        for line in lines:
            log.info("%s", line, extra=logs.OPENLY)
        exceptions = banner.forward_exceptions(settings, service.runtime.engine.specs)
        remarks = [*map(str, review(settings)), *exceptions]
        remarks += certificate.remarks(service.runtime.plan.external.certificate, settings.dns.tls, SystemClock().wall())
        if settings.state_directory() is not None:
            remarks += banner.store_remarks(sqlite3.sqlite_version_info)
        for remark in (*warnings, *remarks, *memory_remarks(settings)):
            log.warning("%s", remark)

    def _heed_signals(self, service: Service) -> asyncio.Event:
        """Reload at SIGHUP; what is set at SIGTERM and SIGINT."""
        loop = asyncio.get_running_loop()
        ended = asyncio.Event()
        reloads: set[asyncio.Task[Any]] = set()

        def reload() -> None:
            systemd.notify_reloading()
            task = loop.create_task(service.reload())
            reloads.add(task)
            task.add_done_callback(reloaded)

        def reloaded(task: asyncio.Task[Any]) -> None:
            reloads.discard(task)
            if not task.cancelled() and (error := task.exception()) is not None:
                logs.bug(log, self._counters, "reload", "the configuration could not be read again", error=error)
            systemd.notify("READY=1")

        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, ended.set)
        loop.add_signal_handler(signal.SIGHUP, reload)
        return ended


def _pseudonyms(settings: Settings, pseudonyms: Pseudonyms) -> Pseudonyms | None:
    """What stands for whoever would be named; None where names may stand."""
    return pseudonyms if settings.log.privacy == "hash" else None


def _log_by(settings: Settings, pseudonyms: Pseudonyms) -> None:
    """Log as configured; `pseudonyms` stay the same as long as the daemon runs, whenever they are wanted."""
    wanted = settings.log
    hidden = _pseudonyms(settings, pseudonyms)
    stream = sys.stderr if wanted.target == "stderr" else mail_log(wanted.ident)
    logs.configure(wanted.level, wanted.format, wanted.ident, stream, pseudonyms=hidden)


def _unhandled(counters: Counters, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """What comes out of a callback or a task that nobody waits for: the last guard, behind those of the entry points."""
    error = context.get("exception")
    if isinstance(error, Exception) and not isinstance(error, OSError):
        logs.bug(log, counters, "loop", "%s", context["message"], error=error)
    else:
        log.error("%s", context["message"], exc_info=error)


def _is_own(cookies: Cookies, mesh: Mesh, query: Query, cookie: bytes) -> bool:
    """Whether a question is one that we have sent, to a server that is ourselves."""
    server = cookies.sent_to(cookie[:CLIENT])
    if server is not None:
        mesh.asks_itself(server, query.qname, query.qtype)
    return server is not None


def _user() -> str:
    if os.geteuid() == 0:
        return "root, which `serve --user NAME` gives up once the ports are bound"
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:  # a container's, say
        return str(os.geteuid())


def _command() -> str:
    called = sys.argv[0]
    return "python -m resolverd" if called.endswith("__main__.py") else called


def _access(settings: Settings) -> AccessControl:
    return AccessControl(settings.dns.allow, settings.dns.client_rate)
