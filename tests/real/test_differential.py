"""resolverd, Unbound and PowerDNS Recursor on 10 000 names of a generated tree, over 40 % of them where something is broken.

The measure is the majority of three: RCODE and the set of the answer's records, aliases included; every failure (SERVFAIL, or
nothing in time) is one and the same. Where the three say three things there is no majority; that needs an explanation too.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.lab.grove import FAILURE, RESOLVERS, ROUNDS, Outcome
from tests.lab.grower import Named, Tree
from tests.lab.tree import SIZE, tree

AGREEMENT = 0.995
BROKEN = 0.3

RIGHT, FAILS, CHANCE = "right", "fails", "chance"
"""What resolverd does where it is alone: gives the zone's true records; fails, which mail survives; or gives what the server
said that it happened to ask, where one of two lies: for a part of the names of the kind only, and never untrue records."""

EXPLAINED = {
    "EDNS: BADVERS": (RIGHT, """Asks again without EDNS (RFC 6891 §6.1.3). Unbound takes it for an empty
        answer, as if only the four bits of the header counted; PowerDNS fails."""),
    "EDNS: NOTIMP": (RIGHT, "Asks again without EDNS, as Unbound does; PowerDNS fails."),
    "wrong ID (all servers)": (RIGHT, """A wrong ID may be somebody guessing, so the question goes over TCP, where these servers
        are right. Unbound waits for another packet, PowerDNS gives up."""),
    "answer for another zone (all servers)": (FAILS, """A server that answers with another zone's names is lame: it says nothing
        of this name (RFC 1034 §5.3.3 4d). Unbound and PowerDNS drop its records and take the empty rest for NODATA."""),
    "answer for another zone (one server)": (RIGHT, "As above, but the other server knows."),
    "referral to itself (one server)": (RIGHT, """A referral to where we are is lame; the other server knows. Unbound takes it for
        an empty answer, PowerDNS fails."""),
    "sideways referral (one server)": (RIGHT, """A referral out of the zone is lame; the other server knows. Unbound takes it for
        an empty answer."""),
    "referral without end (one server)": (CHANCE, """One of two servers delegates the very name to itself, as a zone may (RFC 1034
        §4.2.1): who asks it is led astray, who asks the other is not."""),
    "answer of another type (one server)": (CHANCE, "One of two servers says, with authority, that there is no such type."),
    "empty names denied (one server)": (CHANCE, "One of two servers denies empty non-terminals, the other does not."),
    "NXDOMAIN with an answer (one server)": (CHANCE, "One of two servers has a wrong RCODE beside the right records."),
    "CNAME chain of 12": (FAILS, """Eleven aliases are followed, in whatever messages they come. Unbound answers; PowerDNS
        fails with an empty cache and may answer later."""),
    "CNAME chain of 14": (FAILS, "As above."),
}
"""Beginnings of kinds whose names may be disagreed about: what resolverd does there, and why."""


class Compared(NamedTuple):
    """A name and what came of it."""

    named: Named
    outcomes: dict[str, Outcome]
    errors: dict[str, str]
    truth: Outcome | None

    @property
    def ours(self) -> Outcome:
        return self.outcomes["resolverd"]

    @property
    def majority(self) -> Outcome | None:
        """What two of three say, or None."""
        for outcome in self.outcomes.values():
            if list(self.outcomes.values()).count(outcome) >= 2:
                return outcome
        return None

    @property
    def agreed(self) -> bool:
        return self.ours == self.majority

    def __str__(self) -> str:
        said = "".join(f"\n    {who:10} {rcode} {', '.join(records)[:300]}{self.errors[who]}"
                       for who, (rcode, records) in self.outcomes.items())
        return f"{self.named.kind}: {self.named.name} {self.named.rdtype}{said}"


@pytest.fixture(scope="module")
def grown(_inside: None) -> Tree:
    return tree()


@pytest.fixture(scope="module")
def rounds(grown: Tree, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Compared]]:
    """Every name asked of all three, cold and warm, in namespaces of their own."""
    file = tmp_path_factory.mktemp("differential") / "answers.json"
    argv = [sys.executable, "-m", "tests.lab", "enter", "--", sys.executable, "-m", "tests.lab.grove", str(file)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    said = json.loads(Path(file).read_text())
    return {
        temperature: [
            Compared(
                named,
                {who: said[temperature][who][number][0] for who in RESOLVERS},
                {who: said[temperature][who][number][1] for who in RESOLVERS},
                said["truth"][number],
            )
            for number, named in enumerate(grown.names)
        ]
        for temperature in ROUNDS
    }


def test_the_mix(grown: Tree, show: Callable[[str], None]) -> None:
    broken = sum(each.broken for each in grown.names)
    shares = [f"  {number / SIZE:6.2%}  {'broken' if is_broken else '':8}{kind}" for kind, is_broken, number in grown.shares()]
    show("\n".join([
        f"{len(grown.names)} names in {len(grown.world.zones)} zones; {broken / SIZE:.1%} where something is broken", *shares]))
    assert len({(each.name.lower(), each.rdtype) for each in grown.names}) == SIZE
    assert broken / SIZE >= BROKEN
    again = tree()
    assert (grown.names, grown.faulty, grown.world.zones, grown.world.hosts) == (
        again.names, again.faulty, again.world.zones, again.world.hosts), "a tree grows the same way twice"


@pytest.mark.parametrize("temperature", ROUNDS)
def test_agreement_with_the_majority(
    rounds: dict[str, list[Compared]], temperature: str, show: Callable[[str], None]
) -> None:
    """Names where chance decides are left to `test_every_disagreement_is_explained`."""
    judged = [each for each in rounds[temperature] if each.majority is not None and _stance(each.named.kind) != CHANCE]
    agreed = [each for each in judged if each.agreed]
    show(report(rounds[temperature], temperature))
    assert len(agreed) / len(judged) >= AGREEMENT


@pytest.mark.parametrize("temperature", ROUNDS)
def test_every_disagreement_is_explained(rounds: dict[str, list[Compared]], temperature: str) -> None:
    alone = [each for each in rounds[temperature] if not each.agreed]
    unexplained = [str(each) for each in alone if not _is_explained(each)]
    assert not unexplained, "\n".join(unexplained)
    kinds = Counter(each.named.kind for each in rounds[temperature])
    by_chance = Counter(each.named.kind for each in alone if _stance(each.named.kind) == CHANCE)
    assert not {kind: number for kind, number in by_chance.items() if number > kinds[kind] * 2 / 3}


@pytest.mark.parametrize("temperature", ROUNDS)
def test_all_agree_where_nothing_is_broken(rounds: dict[str, list[Compared]], temperature: str) -> None:
    """Nothing but the limit on aliases may part resolverd from the others where every server and zone is sound."""
    alone = [str(each) for each in rounds[temperature]
             if not each.named.broken and not each.agreed and not each.named.kind.startswith("CNAME chain of 1")]
    assert not alone, "\n".join(alone)


@pytest.mark.parametrize("temperature", ROUNDS)
def test_what_faulty_servers_say_of_others_is_not_believed(rounds: dict[str, list[Compared]], temperature: str) -> None:
    held = [each for each in rounds[temperature] if each.named.kind == "bystander"]
    assert held
    for each in held:
        assert each.ours == ["NOERROR", [f"{each.named.name}. a 45.20.0.9"]], str(each)


def test_a_second_question_gets_the_same_answer(rounds: dict[str, list[Compared]]) -> None:
    """What was an answer stays one; only where one of two servers lies may the other have been asked the second time."""
    changed = [f"{cold}\n then {warm.ours}" for cold, warm in zip(rounds["cold"], rounds["warm"], strict=True)
               if cold.ours not in (FAILURE, warm.ours) and _stance(cold.named.kind) != CHANCE]
    assert not changed, "\n".join(changed)


def report(compared: list[Compared], temperature: str) -> str:
    """Say how far the three agree, by kind, and where resolverd is alone."""
    lines = [f"{temperature}: agreement with the majority by kind (no majority: not counted there, but explained below)"]
    kinds: dict[str, list[Compared]] = {}
    for each in compared:
        kinds.setdefault(each.named.kind, []).append(each)
    for kind, members in kinds.items():
        none = sum(each.majority is None for each in members)
        agreed, judged = sum(each.agreed for each in members), len(members) - none
        share = f"{agreed / judged:7.1%}" if judged else "      –"
        lines.append(f"  {share}  {agreed:5} of {judged:<5}{f'{none} without majority' if none else '':22}"
                     f"{'broken' if members[0].named.broken else '':8}{kind}")
    patterns = Counter(
        (each.named.kind, *(f"{rcode}{' and records' if records else ''}" for rcode, records in each.outcomes.values()))
        for each in compared if not each.agreed
    )
    lines.append(f"  resolverd alone, or no two agree ({' / '.join(RESOLVERS)}):")
    for (kind, *said), number in sorted(patterns.items()):
        lines.append(f"    {number:4} {kind}: {' / '.join(said)}")
    agreed, judged = sum(each.agreed for each in compared), sum(each.majority is not None for each in compared)
    lines.append(f"  {agreed} of {judged} names with a majority: {agreed / judged:.2%}; {len(compared) - judged} without one; "
                 f"of all names {agreed / len(compared):.2%}")
    for who in RESOLVERS:
        alone = sum(each.majority not in (None, each.outcomes[who]) for each in compared)
        lines.append(f"  {who} differs from the majority on {alone}")
    return "\n".join(lines)


def _stance(kind: str) -> str | None:
    return next((stance for beginning, (stance, _) in EXPLAINED.items() if kind.startswith(beginning)), None)


def _is_explained(each: Compared) -> bool:
    match _stance(each.named.kind):
        case "right":
            return each.ours == each.truth
        case "fails":
            return each.ours == FAILURE
        case "chance":
            # The links of a chain may be asked of different servers: the true ones as far as the honest one was asked.
            return each.truth is not None and set(each.ours[1]) <= set(each.truth[1])
    return False
