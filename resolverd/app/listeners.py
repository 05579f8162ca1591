"""All sockets that the daemon listens on: bound by itself, or by systemd's socket units in its place.

They are bound before anything else begins, so that all faults are told at once, and while the process may still be root.
"""

import socket
from dataclasses import dataclass, field

from resolverd.app import sockets
from resolverd.app.systemd import Passed
from resolverd.config import Listen, Settings
from resolverd.failures import ConfigFault
from resolverd.servers import unix_socket
from resolverd.servers.dns import tcp as dns_tcp
from resolverd.servers.dns import udp as dns_udp

POLICY_MODE = 0o666
"""Of the policy service's UNIX socket, as Postfix's own have it: who may reach it, its directory says, and Postfix's
``private`` lets in nobody but Postfix."""
_NAMES = ("dns", "dot", "policy", "http")


@dataclass
class Listeners:
    """The sockets, by what they serve, and what is to be said of them: (what, where)."""

    udp: list[socket.socket] = field(default_factory=list)
    tcp: list[socket.socket] = field(default_factory=list)
    tls: list[socket.socket] = field(default_factory=list)
    """For DNS over TLS."""
    policy: list[tuple[socket.socket, Listen | None]] = field(default_factory=list)
    """With what the configuration says of those that are not systemd's."""
    http: list[socket.socket] = field(default_factory=list)
    shown: list[tuple[str, str]] = field(default_factory=list)

    def first_dns(self) -> str:
        """An address at which questions are answered."""
        return next(where.split()[0] for what, where in self.shown if what == "DNS")


def listeners(settings: Settings, passed: list[Passed], faults: list[ConfigFault], warnings: list[str]) -> Listeners:
    """All that the configuration wants and what was `passed`; an address that was passed is not bound again."""
    found = Listeners()
    _sort(settings, passed, found, faults)
    streams = {_address(each) for each in found.tcp}
    halves = [where for where in map(_address, found.udp) if where not in streams]
    warnings += [f"systemd passes {where} for UDP alone: large answers need TCP (ListenStream=) too" for where in halves]
    taken = {_address(each.sock) for each in passed}
    bind_dns(settings, found, taken, faults, warnings)
    for each in settings.dns.tls.listen if settings.dns.tls is not None else ():
        if str(each) not in taken:
            sock = sockets.bind(dns_tcp.bind, each.host, each.port, "dns.tls.listen", faults, warnings)
            if sock is not None:
                found.tls.append(sock)
                found.shown.append(("DoT", _address(sock)))
    for each in settings.policy.listen:
        if str(each) not in taken:
            _bind_policy(each, found, faults, warnings)
    listen = settings.http.listen
    if str(listen) not in taken:
        sock = sockets.bind(dns_tcp.bind, listen.host, listen.port, "http.listen", faults, warnings)
        if sock is not None:
            found.http.append(sock)
            found.shown.append(("HTTP", f"http://{_address(sock)}/"))
    return found


def _sort(settings: Settings, passed: list[Passed], found: Listeners, faults: list[ConfigFault]) -> None:
    datagrams = {_address(sock) for sock, _ in passed if sock.type == socket.SOCK_DGRAM}
    for sock, name in passed:
        where = _address(sock)
        match _purpose(settings, sock, name, datagrams):
            case "dns" if sock.type == socket.SOCK_DGRAM:
                dns_udp.prepare(sock)
                found.udp.append(sock)
                found.shown.append(("DNS", f"{where} (UDP, of systemd)"))
            case "dns":
                found.tcp.append(sock)
                found.shown.append(("DNS", f"{where} (TCP, of systemd)"))
            case "dot":
                found.tls.append(sock)
                found.shown.append(("DoT", f"{where} (of systemd)"))
                if settings.dns.tls is None:
                    faults.append(ConfigFault("dns.tls", f"systemd passes {where} for DNS over TLS, which needs a certificate"))
            case "policy":
                found.policy.append((sock, None))
                found.shown.append(("policy", f"{where} (of systemd)"))
            case "http":
                found.http.append(sock)
                found.shown.append(("HTTP", f"http://{where}/ (of systemd)"))
            case _:
                text = f"systemd passes {where}; its unit must say what for: FileDescriptorName=dns, dot, policy or http"
                faults.append(ConfigFault("", text))


def _purpose(settings: Settings, sock: socket.socket, name: str, datagrams: set[str]) -> str:
    """What a socket is for: what its unit says, else what only it can be, else what the configuration has at its address."""
    where = _address(sock)
    if name in _NAMES:
        return name
    if settings.dns.tls is not None and sock.type == socket.SOCK_STREAM and where in map(str, settings.dns.tls.listen):
        return "dot"
    if sock.type == socket.SOCK_DGRAM or where in datagrams or where in map(str, settings.dns.listen):
        return "dns"
    if sock.family == socket.AF_UNIX or where in map(str, settings.policy.listen):
        return "policy"
    return "http" if where == str(settings.http.listen) else ""


def bind_dns(
    settings: Settings, found: Listeners, taken: set[str], faults: list[ConfigFault], warnings: list[str]
) -> None:
    """UDP and TCP on each address that is not taken."""
    for each in settings.dns.listen:
        if str(each) in taken:
            continue
        # A port that the system chose for UDP may be somebody's for TCP.
        for last in (each.port != 0, False, False, True):
            noted: list[ConfigFault] = []
            tcp = None
            udp = sockets.bind(dns_udp.bind, each.host, each.port, "dns.listen", noted, warnings)
            if udp is not None:
                tcp = sockets.bind(dns_tcp.bind, each.host, udp.getsockname()[1], "dns.listen", noted, warnings)
            if udp is not None and tcp is None:
                udp.close()
            if last or udp is None or tcp is not None:
                break
        faults += noted
        if udp is not None and tcp is not None:
            found.udp.append(udp)
            found.tcp.append(tcp)
            found.shown.append(("DNS", f"{_address(udp)} (UDP and TCP)"))
    if not found.udp and not faults:
        faults.append(ConfigFault("dns.listen", "none of these addresses can be had"))


def _bind_policy(listen: Listen, found: Listeners, faults: list[ConfigFault], warnings: list[str]) -> None:
    if listen.path is None:
        sock = sockets.bind(dns_tcp.bind, listen.host, listen.port, "policy.listen", faults, warnings)
    else:
        try:
            sock = unix_socket.bind(listen.path, POLICY_MODE)
        except OSError as error:
            faults.append(ConfigFault("policy.listen", f"{listen}: {error.strerror or error}"))
            return
    if sock is not None:
        found.policy.append((sock, listen))
        found.shown.append(("policy", str(listen) if listen.path is not None else _address(sock)))


def _address(sock: socket.socket) -> str:
    """As the configuration writes it."""
    name = sock.getsockname()
    if sock.family == socket.AF_UNIX:
        return f"unix:{name if isinstance(name, str) else name.decode(errors='replace')}"
    host, port = name[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
