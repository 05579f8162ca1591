"""Real OpenDMARC behind us: it refuses forged mail, and lets pass what is aligned, by the header that we put on it alone."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.lab.daemon import Daemon
from tests.lab.lab import RECIPIENT, Lab
from tests.lab.opendmarc import opendmarc
from tests.lab.resolverd import CONFIG
from tests.lab.smtp import Reply, Session

QUIET = CONFIG.replace('delay = "1s"', "enabled = false")
HONEST = ("192.0.2.10", "mail.honest-mail.com", "carol@honest-mail.com")
CLUB = ("192.0.2.20", "mx.gardening-club.org", "rose@gardening-club.org")


def send(lab: Lab, client: tuple[str, str, str], author: str) -> Reply:
    address, helo, sender = client
    with Session(address, lab.internet) as session:
        session.say(f"EHLO {helo}")
        session.say(f"MAIL FROM:<{sender}>")
        assert session.say(f"RCPT TO:<{RECIPIENT}>").code == 250
        assert session.say("DATA").code == 354
        head = f"From: <{author}>\r\nTo: <{RECIPIENT}>\r\nDate: Mon, 1 Jun 2026 12:00:00 +0000\r\nSubject: hello"
        return session.say(f"{head}\r\n\r\nHello.\r\n.")


@pytest.fixture(scope="module")
def milter(lab: Lab) -> Iterator[Daemon]:
    """OpenDMARC; it keeps nothing, so it is not asked to end in order, which takes it five seconds."""
    daemon = opendmarc(lab.mail)
    daemon.start()
    lab.daemons.append(daemon)
    yield daemon
    lab.daemons.remove(daemon)
    daemon.kill()


@pytest.mark.parametrize(("header", "aligned"), [("received-spf", True), ("authentication-results", True), ("none", False)])
def test_opendmarc_goes_by_our_header(lab: Lab, milter: Daemon, header: str, aligned: bool) -> None:
    """honest-mail.com has ``p=reject``; gardening-club.org has no policy, and no SPF record."""
    with lab.stack("resolverd", "dmarc", f'{QUIET}\n[checks.spf]\nheader = "{header}"\n') as postfix:
        forged = send(lab, CLUB, "carol@honest-mail.com")
        assert forged.code == 550, forged
        assert "rejected by DMARC policy for honest-mail.com" in forged.text
        assert send(lab, CLUB, CLUB[2]).code == 250
        mine = send(lab, HONEST, HONEST[2])
        assert mine.code == (250 if aligned else 550), mine
        passed = [message for message in postfix.delivered(RECIPIENT, 1 + aligned) if HONEST[2] in message["From"]]
        assert len(passed) == aligned
        for message in passed:
            assert "dmarc=pass" in "".join(message.get_all("Authentication-Results", []))
