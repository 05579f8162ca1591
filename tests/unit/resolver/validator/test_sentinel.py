"""The root key sentinel (RFC 8509): which questions it answers, and how."""

from pathlib import Path

import pytest
from scriptednet import addresses, errors, rcode
from signednet import SignedNet, ad, ask
from virtualtime import virtual

from resolverd.resolver.validator.sentinel import Sentinel
from resolverd.wire import codes
from resolverd.wire.answer import Answer
from resolverd.wire.names import from_text
from resolverd.wire.rrset import Security

TAG, OTHER = 123, 20326
IS, NOT = "root-key-sentinel-is-ta-", "root-key-sentinel-not-ta-"


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        (f"{IS}{TAG:05}.example", True),
        (f"{IS}{OTHER}.example", False),
        (f"{NOT}{TAG:05}.example", False),
        (f"{NOT}{OTHER}.example", True),
        (f"{IS}{OTHER}", False),
        # RFC 8509 §2: five digits, in the leftmost label, as the whole of it
        (f"{IS}2032.example", True),
        (f"{NOT}{TAG}.example", True),
        (f"{IS}2032x.example", True),
        (f"{IS}120326.example", True),
        (f"x.{IS}{OTHER}.example", True),
        (f"x{IS}{OTHER}.example", True),
        (f"root-key-sentinel-as-ta-{OTHER}.example", True),
        ("www.example", True),
    ],
)
@pytest.mark.parametrize("rtype", [codes.A, codes.AAAA])
def test_which_names_are_sentinels(name: str, kept: bool, rtype: int) -> None:
    answer = Answer(codes.NOERROR, security=Security.SECURE)
    assert (Sentinel(lambda: {TAG}).judged(from_text(name), rtype, answer) is answer) is kept


@pytest.mark.parametrize(
    ("rtype", "security"),
    [(codes.MX, Security.SECURE), (codes.A, Security.INSECURE), (codes.A, Security.UNKNOWN), (codes.A, Security.BOGUS)],
)
def test_others_are_answered_as_they_are(rtype: int, security: Security) -> None:
    answer = Answer(codes.NOERROR, security=security)
    assert Sentinel(lambda: {TAG}).judged(from_text(f"{IS}{OTHER}.example"), rtype, answer) is answer


@virtual
async def test_a_client_finds_out(tmp_path: Path) -> None:
    net = SignedNet(tmp_path)
    net.signed("shop", {"ns.shop": "45.1.0.1"}, "* A 193.0.0.1", number=1)
    tag = net.root.key.tag
    resolver = net.resolver()
    for _ in range(2):  # just asked, and from memory
        for name, wanted in ((f"{IS}{tag:05}", "NOERROR"), (f"{IS}{tag ^ 1:05}", "SERVFAIL"), (f"{NOT}{tag:05}", "SERVFAIL"),
                             (f"{NOT}{tag ^ 1:05}", "NOERROR")):  # fmt: skip
            reply = await ask(resolver, f"{name.title()}.shop")
            assert (rcode(reply), ad(reply)) == (wanted, wanted == "NOERROR"), name
            assert errors(reply) == ([0] if wanted == "SERVFAIL" else [])
            unchecked = await ask(resolver, f"{name}.shop", cd=True)
            assert addresses(unchecked) == ["193.0.0.1"]


@virtual
async def test_it_can_be_turned_off(tmp_path: Path) -> None:
    net = SignedNet(tmp_path)
    net.signed("shop", {"ns.shop": "45.1.0.1"}, "* A 193.0.0.1", number=1)
    assert ad(await ask(net.resolver(sentinel=False), f"{NOT}{net.root.key.tag:05}.shop"))
