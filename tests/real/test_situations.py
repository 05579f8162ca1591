"""resolverd beside Unbound and PowerDNS Recursor where a resolver needs patience or tolerance: what either answers, it answers.

And no later than 1.5 times the quicker of the two, plus 100 ms. Its client has an answer within 4 s, so what the others answer
after that is not compared. Where many alike are asked and chance decides which of them a fault hits, they are compared in the
order of time: the quickest with the quickest, the slowest with the slowest. A busy machine makes late as well, so what was late
is played again from the start, by fresh processes, and is late if it was so each time.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

import dns.asyncquery
import dns.exception
import dns.flags
import dns.message
import dns.rcode
import pytest

from tests.lab import namespace
from tests.lab.grove import RESOLVER_ONLY, RESOLVERS
from tests.lab.namespace import Side
from tests.lab.pdns import pdns
from tests.lab.resolverd import resolverd
from tests.lab.situations import LOCAL, SITUATIONS, SOURCES, Situation, servers
from tests.lab.unbound import unbound

PATIENCE = 12.0
"""Seconds after which nothing is waited for any more."""

IN_TIME = 4.0
"""Seconds within which an answer counts as one."""

NEVER = 1000.0
"""Stands for the seconds until an answer where there was none in time."""

SIDE_BY_SIDE = 16
"""Situations that are played at once."""

PLAYS = 3
"""How often at most a situation is played in which something was late."""

KINDER = {
    "reads-one": (0.2, """Thirty questions at once share one connection to a server that nobody knows, as RFC 7766 §6.2.2 wants
        it, until its silence shows that it reads but one; PowerDNS opens thirty."""),
}
"""Situations in which more than the 100 ms are granted: how much more, in seconds, and for what."""

Said = tuple[str, float]
"""RCODE (or ``nothing``) and the seconds that it took."""


async def ask(address: str, name: str, rtype: str) -> Said:
    query = dns.message.make_query(name, rtype, use_edns=0, payload=1232)
    began = time.monotonic()
    try:
        message, _ = await dns.asyncquery.udp_with_fallback(query, address, timeout=PATIENCE)
        said = dns.rcode.to_text(message.rcode())
    except (dns.exception.DNSException, OSError, EOFError):
        said = "nothing"
    return said, time.monotonic() - began


async def play(situation: Situation, address: str) -> list[Said]:
    """What one resolver makes of a situation: of each judged question the worst that any of its clients is told."""
    for label, rtype in situation.first:
        await ask(address, f"{label}.{situation.zone}", rtype)

    async def judged(label: str, rtype: str) -> Said:
        told = await asyncio.gather(
            *(ask(address, f"{label}.{situation.zone}", rtype) for _ in range(situation.clients)))
        failed = [each for each in told if each[0] not in ("NOERROR", "NXDOMAIN")]
        return max(failed or told, key=lambda each: each[1])

    if situation.together:
        return list(await asyncio.gather(*(judged(*each) for each in situation.then)))
    return [await judged(*each) for each in situation.then]


async def play_all(situations: Sequence[Situation]) -> dict[str, dict[str, list[Said]]]:
    turns = asyncio.Semaphore(SIDE_BY_SIDE)

    async def one(situation: Situation) -> dict[str, list[Said]]:
        async with turns:
            told = await asyncio.gather(*(play(situation, address) for address in RESOLVERS.values()))
            return dict(zip(RESOLVERS, told, strict=True))

    # Where much is asked at once, each resolver has the machine to itself: else they would measure one another.
    crowded = [each for each in situations if each.together or each.clients > 1]
    others = [each for each in situations if each not in crowded]
    played = dict(zip((each.name for each in others), await asyncio.gather(*map(one, others)), strict=True))
    for situation in crowded:
        played[situation.name] = {who: await play(situation, address) for who, address in RESOLVERS.items()}
    return played


def judge(situation: Situation, told: dict[str, list[Said]]) -> tuple[list[str], list[str]]:
    """What resolverd does not answer although another does, and what it answers too late."""
    unanswered = [
        f"{question}: {ours}; Unbound {unbound_}, PowerDNS {pdns_}"
        for question, ours, unbound_, pdns_ in zip(
            situation.then, told["resolverd"], told["unbound"], told["pdns"], strict=True)
        if not _is_answered(ours) and (_is_answered(unbound_) or _is_answered(pdns_))
    ]
    times = {who: [seconds if _is_answered((said, seconds)) else NEVER for said, seconds in each] for who, each in told.items()}
    if situation.chance:
        times = {who: sorted(each) for who, each in times.items()}
    late = [
        f"{question if not situation.chance else place}: {ours:.2f} s; Unbound {unbound_:.2f}, PowerDNS {pdns_:.2f}"
        for place, (question, ours, unbound_, pdns_) in enumerate(
            zip(situation.then, times["resolverd"], times["unbound"], times["pdns"], strict=True))
        if ours < NEVER and ours > 1.5 * min(unbound_, pdns_) + 0.1 + KINDER.get(situation.name, (0.0, ""))[0]
    ]
    return unanswered, late


def main(file: str) -> int:
    """Play everything in namespaces of its own (the situations have a root of their own) and write what was said."""
    side = Side("mail")
    namespace.localise(side, LOCAL)
    ours = RESOLVER_ONLY.replace("[resolver]\n", f'[resolver]\noutgoing_addresses = ["{SOURCES["resolverd"]}"]\n')
    told: dict[str, dict[str, list[Said]]] = {}
    late: Sequence[Situation] = SITUATIONS
    for _ in range(PLAYS):
        daemons = [
            servers(side),
            resolverd(side, ours),
            unbound(RESOLVERS["unbound"], side, more=(f"  outgoing-interface: {SOURCES['unbound']}",)),
            pdns(RESOLVERS["pdns"], side, source=SOURCES["pdns"]),
        ]
        with ExitStack() as running:
            for daemon in daemons:
                daemon.start()
                running.callback(daemon.stop)
            told.update(asyncio.run(play_all(late)))
            log = daemons[0].log_tail()
        if "Traceback" in log:
            print(log, file=sys.stderr)
            return 1
        # What was not answered is not played again: that is no matter of time.
        late = [each for each in late if (found := judge(each, told[each.name]))[1] and not found[0]]
        if not late:
            break
    Path(file).write_text(json.dumps(told))
    return 0


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, list[Said]]]:
    file = tmp_path_factory.mktemp("situations") / "told.json"
    argv = [sys.executable, "-m", "tests.lab", "enter", "--", sys.executable, "-m", "tests.real.test_situations", str(file)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    result: dict[str, dict[str, list[Said]]] = json.loads(file.read_text())
    return result


def _is_answered(said: Said) -> bool:
    return said[0] in ("NOERROR", "NXDOMAIN") and said[1] <= IN_TIME


@pytest.mark.parametrize("situation", SITUATIONS, ids=[each.name for each in SITUATIONS])
def test_what_either_answers_is_answered(situation: Situation, told: dict[str, dict[str, list[Said]]]) -> None:
    unanswered, late = judge(situation, told[situation.name])
    assert not unanswered, "\n".join(unanswered)
    assert not late, "\n".join(late)


def test_the_figures(told: dict[str, dict[str, list[Said]]], show: Callable[[str], None]) -> None:
    lines = [f"  {'answered, median s, slowest s':24} " + "   ".join(f"{who:^22}" for who in RESOLVERS)]
    for name, of in told.items():
        cells = []
        for who in RESOLVERS:
            answered = sorted(seconds for said, seconds in of[who] if _is_answered((said, seconds)))
            middle, last = (f"{answered[len(answered) // 2]:.3f}", f"{answered[-1]:.3f}") if answered else ("-", "-")
            cells.append(f"{len(answered):3} of {len(of[who]):<3} {middle:>6} {last:>6}")
        lines.append(f"  {name:24} " + "   ".join(cells))
    show("\n".join(lines))
    assert all(_is_answered(said) for of in told["sound"].values() for said in of)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
