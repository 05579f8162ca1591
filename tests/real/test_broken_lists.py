"""A list that is dead, hangs, refuses, answers error codes, is parked or lists the world refuses nobody's mail."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.lab.lab import Lab
from tests.lab.rbldnsd import ListServer

CLEAN = [("192.0.2.10", "mail.honest-mail.com"), ("2001:db8:10::10", "mail.honest-mail.com")]

FAULTS: dict[str, Callable[[ListServer], None]] = {
    "stopped": lambda zen: zen.stop(),
    "silent": lambda zen: zen.silence(),
    "refusing": lambda zen: zen.refuse(),
    "blocked": lambda zen: zen.answer_all("127.255.255.254", "Error: open resolver; see https://www.spamhaus.org/"),
    "over quota": lambda zen: zen.answer_all("127.255.255.255", "Error: query volume"),
    "unknown code": lambda zen: zen.answer_all("127.0.0.77"),
    "parked": lambda zen: zen.answer_all("192.0.2.1"),
    "wildcarded": lambda zen: zen.answer_all("127.0.0.2"),
}


@pytest.fixture
def zen(lab: Lab) -> Iterator[ListServer]:
    """The list that everybody asks."""
    server = lab.lists["zen.spamhaus.org"]
    yield server
    server.heal()


@pytest.mark.parametrize("fault", FAULTS)
def test_a_list_broken_from_the_start(lab: Lab, zen: ListServer, fault: str) -> None:
    FAULTS[fault](zen)
    with lab.stack("resolverd", "policy"):
        for address, helo in CLEAN:
            attempts = lab.deliver_patiently(address, helo, "carol@honest-mail.com")
            assert attempts[-1].accepted, attempts[-1]


# A list that begins to list the world while it is believed is found out by its next probe, not at once.
@pytest.mark.parametrize("variant", ["policy", "combined", "guarded"])
def test_a_list_that_breaks_while_it_is_asked(lab: Lab, zen: ListServer, variant: str) -> None:
    with lab.stack("resolverd", variant):
        assert lab.deliver("192.0.2.66", "mail.spam-factory.net", "offer@spam-factory.net").refused
        for number, fault in enumerate(FAULTS):
            if fault == "wildcarded":
                continue
            FAULTS[fault](zen)
            client = (f"192.0.2.{200 + number}", "mail.honest-mail.com", "carol@gardening-club.org")
            delivery = lab.deliver(*client)
            assert not delivery.refused, (fault, str(delivery))
            zen.heal()


def test_a_listed_client_is_only_deferred_while_the_allow_list_cannot_speak_for_it(lab: Lab) -> None:
    dnswl = lab.lists["list.dnswl.org"]
    dnswl.stop()
    try:
        with lab.stack("resolverd", "policy"):
            delivery = lab.deliver("192.0.2.66", "mail.spam-factory.net", "offer@spam-factory.net")
            assert delivery.deferred, delivery
    finally:
        dnswl.heal()


# Every line of it refuses everybody where nobody looks at what the answers mean.
def test_parts_of_lists_and_lists_of_other_things_refuse_nobody(lab: Lab, zen: ListServer) -> None:
    zen.answer_all("127.255.255.254", "Error: open resolver; see https://www.spamhaus.org/")
    with lab.stack("resolverd", "parts"):
        for address, helo in CLEAN:
            for sender in ("carol@honest-mail.com", "carol@gardening-club.org", ""):
                delivery = lab.deliver(address, helo, sender)
                assert delivery.accepted, (sender, str(delivery))
        assert lab.deliver("192.0.2.10", "localhost", "root@localhost").accepted
        listed = lab.deliver("192.0.2.66", "mail.spam-factory.net", "offer@spam-factory.net")
        assert listed.refused
        assert "blocked using xbl.spamhaus.org" in listed.reply.text
