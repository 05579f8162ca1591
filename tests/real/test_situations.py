"""resolverd beside Unbound and PowerDNS Recursor where a resolver needs patience or tolerance: what either answers, it answers.

And no later than 1.5 times the quicker of the two, plus 100 ms. Its client has an answer within 4 s, so what the others answer
after that is not compared.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
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

SIDE_BY_SIDE = 4
"""Situations that are played at once."""

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


async def play_all() -> dict[str, dict[str, list[Said]]]:
    turns = asyncio.Semaphore(SIDE_BY_SIDE)

    async def one(situation: Situation) -> dict[str, list[Said]]:
        async with turns:
            told = await asyncio.gather(*(play(situation, address) for address in RESOLVERS.values()))
            return dict(zip(RESOLVERS, told, strict=True))

    told = await asyncio.gather(*map(one, SITUATIONS))
    return {situation.name: each for situation, each in zip(SITUATIONS, told, strict=True)}


def main(file: str) -> int:
    """Play everything in namespaces of its own (the situations have a root of their own) and write what was said."""
    side = Side("mail")
    namespace.localise(side, LOCAL)
    ours = RESOLVER_ONLY.replace("[resolver]\n", f'[resolver]\noutgoing_addresses = ["{SOURCES["resolverd"]}"]\n')
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
        told = asyncio.run(play_all())
        log = daemons[0].log_tail()
    if "Traceback" in log:
        print(log, file=sys.stderr)
        return 1
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
    of = told[situation.name]
    unanswered, late = [], []
    for question, ours, *theirs in zip(situation.then, of["resolverd"], of["unbound"], of["pdns"], strict=True):
        quickest = min((said[1] for said in theirs if _is_answered(said)), default=None)
        if quickest is None:
            continue
        line = f"{question}: {ours[0]} after {ours[1]:.2f} s; Unbound {theirs[0]}, PowerDNS {theirs[1]}"
        if not _is_answered(ours):
            unanswered.append(line)
        elif ours[1] > 1.5 * quickest + 0.1:
            late.append(line)
    assert not unanswered, "\n".join(unanswered)
    assert not late, "\n".join(late)


def test_the_figures(told: dict[str, dict[str, list[Said]]], capsys: pytest.CaptureFixture[str]) -> None:
    lines = []
    for name, of in told.items():
        cells = []
        for who in RESOLVERS:
            answered = sorted(seconds for said, seconds in of[who] if _is_answered((said, seconds)))
            middle, last = (f"{answered[len(answered) // 2]:.3f}", f"{answered[-1]:.3f}") if answered else ("-", "-")
            cells.append(f"{len(answered):3} of {len(of[who]):<3} {middle:>6} {last:>6}")
        lines.append(f"  {name:24} " + "   ".join(cells))
    with capsys.disabled():
        print(f"\n  {'answered, median s, slowest s':24} " + "   ".join(f"{who:^22}" for who in RESOLVERS))
        print("\n".join(lines))
    assert all(_is_answered(said) for of in told["sound"].values() for said in of)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
