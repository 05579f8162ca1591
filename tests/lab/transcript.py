"""The sessions that `make lab` shows: six sessions, what each client is told, and why."""

from __future__ import annotations

import sys
from dataclasses import dataclass

from tests.lab.lab import RECIPIENT, Lab
from tests.lab.postfix import Postfix
from tests.lab.smtp import Delivery

STACKS = {
    "resolverd": "resolverd answers DNS, asks the lists and greylists",
    "tutorial": "Unbound answers DNS, Postfix asks the lists itself, Postgrey greylists",
}


@dataclass(frozen=True, slots=True)
class Scene:
    """One mail client, and what should become of its message."""

    title: str
    address: str
    helo: str
    sender: str
    outcome: str
    """refused, deferred, delayed (deferred first, then accepted) or accepted."""
    says: str
    """What the first reply must say."""
    why: str
    with_tutorial: tuple[str, str] | None = None
    """Outcome and reason where the tutorial's own stack does otherwise."""

    def expected(self, stack: str) -> tuple[str, str]:
        """Give the outcome and the reason on a stack."""
        return self.with_tutorial if stack == "tutorial" and self.with_tutorial else (self.outcome, self.why)


SCENES = (
    Scene("A machine that the block lists know", "192.0.2.66", "mail.spam-factory.net", "offer@spam-factory.net",
          "refused", "blocked using zen.spamhaus.org",
          "zen.spamhaus.org lists the address; the reply names the list and links to the reason."),
    Scene("The same spammer over IPv6", "2001:db8:66::66", "mail.spam-factory.net", "offer@spam-factory.net",
          "refused", "blocked using zen.spamhaus.org",
          "the list has the whole IPv6 network."),
    Scene("A machine without a name", "192.0.2.99", "mail.honest-mail.com", "bob@gardening-club.org",
          "deferred", "cannot find your reverse hostname",
          "the address has no PTR record; real mail servers have one. 4xx rather than 5xx: DNS may be at fault."),
    Scene("A spammer's domain through an honest server", "198.51.100.10", "out.friendly-news.com", "win@casino-deals.net",
          "refused", "blocked using dbl.spamhaus.org",
          "dbl.spamhaus.org lists the sender's domain, whoever delivers it."),
    Scene("A stranger with nothing against it", "192.0.2.10", "mail.honest-mail.com", "carol@honest-mail.com",
          "delayed", "Greylisted",
          "greylisted at its first try, let through at its second: mail servers come back, spammers rarely do."),
    Scene("A bank on the allow list", "198.51.100.50", "mx.trusted-bank.com", "statements@trusted-bank.com",
          "accepted", "",
          "list.dnswl.org vouches for the address (trust: high), so nothing holds it up.",
          ("delayed", "list.dnswl.org vouches for it, but Postgrey is asked before the allow list, and delays it.")),
)


def play(lab: Lab, postfix: Postfix, stack: str) -> bool:
    """Play every scene, print what is said, and say whether each ended as it should."""
    accepted, right = 0, True
    for number, scene in enumerate(SCENES, 1):
        print(f"\n{bold(f'{number}. {scene.title}')}: {scene.address}, sender {scene.sender}")
        expected, why = scene.expected(stack)
        attempts = [lab.deliver(scene.address, scene.helo, scene.sender)]
        show(attempts[0])
        if expected == "delayed" and attempts[0].deferred:
            print("   … the client keeps the message and tries again, as mail servers do …")
            attempts += lab.deliver_patiently(scene.address, scene.helo, scene.sender)
            show(attempts[-1])
        outcome = judge(attempts)
        accepted += attempts[-1].accepted
        if outcome == expected and scene.says in attempts[0].reply.text:
            print(f"   {bold(outcome.upper())}: {why}")
        else:
            right = False
            print(f"   {bold(outcome.upper())}, but it should have been {expected} ({scene.says}): {why}")
        if expected == "delayed" and attempts[-1].accepted:
            message = postfix.delivered(RECIPIENT, accepted)[-1]
            print(f"   In the delivered file:  X-Greylist: {message['X-Greylist']}")
    return right


def judge(attempts: list[Delivery]) -> str:
    """Name what became of a message after these attempts."""
    last = attempts[-1]
    if last.accepted:
        return "delayed" if attempts[0].deferred else "accepted"
    return "refused" if last.refused else "deferred"


def show(delivery: Delivery) -> None:
    """Print a session from MAIL FROM on; what comes before is the same for everybody."""
    start = next((n for n, line in enumerate(delivery.transcript) if line.startswith("C: MAIL")), 0)
    for line in delivery.transcript[start:]:
        if line not in ("C: QUIT", "S: 221 2.0.0 Bye"):
            print(f"     {line}")


def bold(text: str) -> str:
    """Make text bold on a terminal."""
    return f"\x1b[1m{text}\x1b[0m" if sys.stdout.isatty() else text
