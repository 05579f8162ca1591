"""Asks resolverd and Unbound everything, in namespaces of its own, and writes what they said: ``rounds WHAT FILE``.

`agreement`   every question with DO and without, and whether the lab itself is right; then part of them of an Unbound that has
              everything from resolverd
`mutations`   every spoilt answer, also with checking disabled, and what NSD says when nobody spoils it
`dane`        mail to domains with TLSA records, through real Postfix

RESOLVER=unbound in the environment puts a second Unbound in resolverd's place: what the lab itself differs by.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.lab import namespace
from tests.lab.daemon import Daemon
from tests.lab.namespace import LabError, Side
from tests.lab.signed import dane
from tests.lab.signed.mutations import TEMPLATES, TLD
from tests.lab.signed.questions import Asked, questions
from tests.lab.signed.running import BEHIND, NSD_BEHIND, OURS, THEIRS, SignedLab, behind_ours, gather, ours, running, theirs
from tests.lab.signed.world import SCAFFOLD, Internet, internet, spoilt_zones

BOTH = {"ours": OURS, "theirs": THEIRS}

WITHIN = "SIGNED_LAB"
"""Set in the environment where the namespaces are this lab's own: those of other labs have another root."""


def truths(net: Internet) -> list[tuple[Asked, str]]:
    """Questions whose answers the data itself foretells, with the security that they have."""
    found = []
    for name, made in net.zones.items():
        if "www " in made.zone.records:
            for relative, truth in zip(("www", "nonexistent-name"), made.truth, strict=True):
                if truth is not None:
                    found.append((Asked(made.zone.kind, f"{relative}.{name}.", "A"), truth))
    return found


def agreement() -> dict[str, Any]:
    """Ask everything of both."""
    net = internet()
    asked = questions(net)
    foretold = truths(net)
    result: dict[str, Any] = {"truth": foretold, "asked": asked}
    with SignedLab(net) as lab, running(_ours(lab.side), theirs(lab.side)):
        result["foretold"] = _hex(gather(BOTH, [each for each, _ in foretold], False))
        for dnssec in (True, False):
            result["DO" if dnssec else "plain"] = _hex(gather(BOTH, asked, dnssec))
        behind = [number for number, each in enumerate(asked) if not each.checking_disabled][::3]
        with running(behind_ours(lab.side)):
            said = _hex(gather({"behind": BEHIND}, [asked[number] for number in behind], True))["behind"]
        result["behind"] = dict(zip(behind, said, strict=True))
    return result


def mutations() -> dict[str, Any]:
    """Ask every case of both."""
    net = _scaffold()
    spoilt_zones(net)
    cases: list[Asked] = []
    for name, template in TEMPLATES.items():
        for number in range(template.cases):
            relative, rdtype = template.asked
            zone = f"{name}-{number}.{TLD}."
            cases.append(Asked(f"{name} {number}", zone if relative == "@" else f"{relative}.{zone}", rdtype))
    with SignedLab(net) as lab, running(_ours(lab.side), theirs(lab.side)):
        labels = lab.labels()
        said = _hex(gather(BOTH, cases, True))
        disabled = _hex(gather(BOTH, [each._replace(checking_disabled=True) for each in cases], True))
        truth = _hex(gather({"truth": NSD_BEHIND}, cases, True))
    return {"labels": labels, "asked": cases, "said": said, "disabled": disabled, "truth": truth["truth"]}


def mail() -> dict[str, Any]:
    """Send mail to domains with TLSA records."""
    return dane.session(_scaffold())


def _scaffold() -> Internet:
    return Internet({name: made for name, made in internet().zones.items() if name in SCAFFOLD})


def _ours(side: Side) -> Daemon:
    return theirs(side, OURS) if os.environ.get("RESOLVER") == "unbound" else ours(side)


def _hex(said: dict[str, list[bytes]]) -> dict[str, list[str]]:
    return {who: [each.hex() for each in answers] for who, answers in said.items()}


def gathered(what: str, file: Path) -> Any:
    """Ask everything in namespaces of its own, as the signed internet has a root of its own; give what was written to `file`."""
    argv = [sys.executable, "-m", "tests.lab.signed.rounds", what, str(file)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=600)
    if done.returncode:
        raise LabError(done.stderr)
    return json.loads(file.read_text())


def main(argv: Sequence[str]) -> int:
    """Ask, write; give the exit status."""
    what, file = argv
    if not os.environ.get(WITHIN):
        os.environ[WITHIN] = "1"
        return namespace.enter([sys.executable, "-m", "tests.lab.signed.rounds", *argv])
    began = time.monotonic()
    result = {"agreement": agreement, "mutations": mutations, "dane": mail}[what]()
    print(f"{what}: {time.monotonic() - began:.1f} s", file=sys.stderr)
    Path(file).write_text(json.dumps(result))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
