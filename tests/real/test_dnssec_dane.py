"""DANE through real Postfix (RFC 7672): what resolverd says is secure decides whether mail goes out."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.lab.signed.rounds import gathered

SENT, DEFERRED = "sent", "deferred"

STATUS = {
    "dane.net": SENT,
    "dane-hashed.org": SENT,
    "wrong-tlsa.net": DEFERRED,
    "bogus-tlsa.net": DEFERRED,
    "bogus-mx.net": DEFERRED,
    "no-tlsa.net": SENT,
    "unsigned.net": SENT,
}
"""What becomes of mail to each domain (`tests.lab.signed.dane`)."""


@pytest.fixture(scope="module")
def told(_inside: None, tmp_path_factory: pytest.TempPathFactory) -> Any:
    return gathered("dane", tmp_path_factory.mktemp("dnssec") / "dane.json")


@pytest.mark.parametrize("domain", ["dane.net", "dane-hashed.org"])
def test_a_dane_domain_is_verified(told: Any, domain: str) -> None:
    assert "Verified TLS connection established" in told["fingers"][domain], told["fingers"][domain]
    assert re.search(rf"Verified TLS connection established to mail\.{re.escape(domain)}\[", told["log"]), told["log"]


@pytest.mark.parametrize("domain", ["wrong-tlsa.net", "bogus-tlsa.net", "bogus-mx.net", "no-tlsa.net", "unsigned.net"])
def test_nothing_else_is(told: Any, domain: str) -> None:
    assert "Verified" not in told["fingers"][domain], told["fingers"][domain]


@pytest.mark.parametrize("domain", STATUS)
def test_what_becomes_of_mail(told: Any, domain: str) -> None:
    found = re.findall(rf"to=<bert@{re.escape(domain)}>.* status=(\w+)", told["log"])
    assert found[:1] == [STATUS[domain]], told["log"]


def test_postfix_finds_a_validating_resolver(told: Any) -> None:
    """Its own probe (dnssec_probe, `. NS`) must find AD, else it would fall back from DANE."""
    assert told["root is secure"]
    assert "DNSSEC validation may be unavailable" not in told["log"] + "".join(told["fingers"].values())
