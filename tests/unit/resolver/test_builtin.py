"""Built-in zones for who validates behind us."""

from pathlib import Path

import pytest
from scriptednet import rcode
from signednet import SignedNet, ad, ask
from virtualtime import virtual

from resolverd.wire import codes


@pytest.mark.parametrize("name", ["test", "onion", "localhost"])
@virtual
async def test_the_ds_of_a_built_in_zone_is_its_parents_to_deny(tmp_path: Path, name: str) -> None:
    """RFC 8375 §4: without the proof, what is in the zone would be bogus behind us; and that stays here."""
    net = SignedNet(tmp_path)
    resolver = net.resolver(builtin_zones=True)
    reply = await ask(resolver, name, "DS")
    assert ad(reply)
    assert {each.rdtype for each in reply.authority} == {codes.SOA, codes.NSEC, codes.RRSIG}
    asked = len(net.asked)
    assert rcode(await ask(resolver, f"x.{name}", "DS")) == ("NOERROR" if name == "localhost" else "NXDOMAIN")
    assert not ad(await ask(resolver, name, "SOA"))
    assert len(net.asked) == asked


@virtual
async def test_its_parents_are_asked_where_that_is_no_top_level_domain(tmp_path: Path) -> None:
    net = SignedNet(tmp_path)
    net.signed("arpa", {"ns.arpa": "45.3.0.1"})
    assert ad(await ask(net.resolver(builtin_zones=True), "home.arpa", "DS"))
    assert ("home.arpa.", "DS") in net.names("45.3.0.1")
