"""The policy service beside Postgrey: smtpd asks about new triplets of clients that both know."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial

from bench.harness import OURS, RATE, Case, Figures, Turns, at_least, at_most
from bench.measure import resident, serving
from bench.policy_load import CONNECTIONS, LOAD, MEDIAN, TAIL, Load, connected, load, new_triplets
from tests.lab.daemon import Daemon
from tests.lab.lab import Lab
from tests.lab.namespace import LabError, use_nameserver
from tests.lab.postgrey import postgrey
from tests.lab.resolverd import CONFIG, resolverd

SECONDS = 2.0
"""How long a turn is to take, by the rate that the warming-up has shown."""

PRODUCTION = CONFIG.replace('\n[greylist]\ndelay = "1s"\n', "")
"""config.toml's defaults but for the ports, the directory, and the reverse zones where the lab's clients live."""

GREYLISTING_ALONE = f"{PRODUCTION}\n[dnsbl]\nenabled = false\n" + "".join(
    f'[checks.{name}]\naction = "off"\n' for name in ("ptr", "fcrdns", "helo", "sender_domain", "spf", "dnsbl", "rhsbl", "dnswl")
)  # fmt: skip

Asked = Callable[[int], Load]


@contextmanager
def beside_postgrey(config: str) -> Iterator[dict[str, tuple[Daemon, Asked, int]]]:
    """resolverd and Postgrey, both warm: each with what puts so many new triplets to it, and with how many take a turn."""
    use_nameserver("127.0.0.1")
    with Lab() as lab:
        servers = {OURS: (resolverd(lab.mail, config), 10023), "postgrey": (postgrey(lab.mail, delay=300, port=10024), 10024)}
        with serving(*(daemon for daemon, _ in servers.values())):
            warm = {}
            for name, (daemon, port) in servers.items():
                ask = partial(_all_deferred, daemon, port, new_triplets())
                ask(600)                                  # it has met the clients then
                first = ask(600)
                warm[name] = daemon, ask, int(SECONDS * 600 / first.spent.seconds)
            yield warm


def _all_deferred(daemon: Daemon, port: int, requests: Iterator[bytes], number: int) -> Load:
    done = load(daemon, port, requests, number)
    if done.deferred != number:
        raise LabError(f"{daemon.name} deferred {done.deferred} of {number} new triplets:\n{daemon.log_tail()}")
    return done


@contextmanager
def new(config: str) -> Iterator[Turns]:
    """Turns of new triplets."""
    with beside_postgrey(config) as servers:
        yield {name: partial(_turn, ask, number) for name, (_, ask, number) in servers.items()}


def _turn(ask: Asked, number: int) -> Figures:
    return ask(number).figures()


IDLE = (0, 300, 1000)
"""Connections that say nothing meanwhile. More than a thousand and some smtpd processes are a large mail server."""

GROWTH = f"{MEDIAN} with {IDLE[-1]} idle connections, over that with none"


@contextmanager
def idle() -> Iterator[Turns]:
    """Turns of new triplets while more and more connections lie idle; a turn asks less, and has a curve."""
    with beside_postgrey(PRODUCTION) as servers:
        yield {
            name: partial(_beside_idle, daemon, {OURS: 10023}.get(name, 10024), ask, number // 6)
            for name, (daemon, ask, number) in servers.items()
        }


def _beside_idle(daemon: Daemon, port: int, ask: Asked, number: int) -> Figures:
    figures: dict[str, float] = {}
    medians: list[float] = []
    with ExitStack() as lying:
        held: list[socket.socket] = []
        for count in IDLE:
            held += [lying.enter_context(connected(port)) for _ in range(count - len(held))]
            done = ask(number)
            medians.append(done.quantile(0.5))
            figures |= {f"{MEDIAN} @ {count}": medians[-1] * 1000, f"{TAIL} @ {count}": done.quantile(0.99) * 1000,
                        f"MiB @ {count}": resident(daemon.pid)}
    return {**figures, GROWTH: medians[-1] / medians[0]}


_NOTE = (f"{CONNECTIONS} connections, each waiting for its reply before it asks again; both at their defaults (delay 300 s), "
         f"storing to disk. \"{LOAD}\" near 1 would mean that the client set the rate.")

CASES = (
    Case("policy-whole", "Whole verdict beside Postgrey, which only greylists: known clients, new triplets, stored",
         partial(new, PRODUCTION), (at_least(1.5, RATE, "postgrey"), at_most(1.0, TAIL, "postgrey")),
         peers=("postgrey",), note=_NOTE),
    Case("policy-greylisting", "Greylisting alone beside Postgrey: all other checks off, new triplets, stored",
         partial(new, GREYLISTING_ALONE), (at_least(3.0, RATE, "postgrey"), at_most(1.0, TAIL, "postgrey")),
         peers=("postgrey",), note=_NOTE),
    Case("policy-idle", "Idle policy connections: the same requests beside 0 to 1 000 that say nothing", idle,
         (at_most(1.0, GROWTH, "postgrey"),), turns=2, peers=("postgrey",), note=_NOTE),
)
