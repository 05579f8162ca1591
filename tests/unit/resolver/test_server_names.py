"""A delegation whose only glue leads to a dead server: the other server's name is looked up rather than patience spent."""

from pathlib import Path

from scriptednet import Net, ScriptedResolver, addresses
from virtualtime import virtual

DEAD, GOOD = "45.66.0.1", "45.1.1.1"


def half_dead() -> Net:
    """dark.com on a dead server with glue, and on a good one in another zone, without."""
    net = Net()
    com = net.zone("com", {"ns.com": "45.1.0.1"})
    org = net.zone("org", {"ns.org": "45.1.0.2"})
    net.zone("good.org", {"ns0.good.org": "45.1.0.3"}, f"ns 3600 A {GOOD}", parent=org)
    net.zone("dark.com", {"ns.good.org": GOOD}, "www.sub 300 A 193.0.0.1\nmail.sub 300 A 193.0.0.2", parent=com)
    com.add(f"dark.com. 3600 NS ns.dark.com.\nns.dark.com. 3600 A {DEAD}")
    return net


@virtual
async def test_silence_is_suffered_once(tmp_path: Path) -> None:
    net = half_dead()
    resolver = ScriptedResolver(net, tmp_path)
    begun = resolver.clock.monotonic()
    assert addresses(await resolver.ask("www.sub.dark.com")) == ["193.0.0.1"]
    assert resolver.clock.monotonic() - begun < 1.0
    # Neither the full name behind the minimised one, nor the next name, goes to the dead server first.
    assert net.names(DEAD) == [("sub.dark.com.", "A")]
    assert addresses(await resolver.ask("mail.sub.dark.com")) == ["193.0.0.2"]
    assert len(net.names(DEAD)) == 1


@virtual
async def test_a_server_known_to_be_silent_comes_after_names_not_looked_up_yet(tmp_path: Path) -> None:
    net = half_dead()
    resolver = ScriptedResolver(net, tmp_path)
    net.root.add("gone. 3600 NS ns.gone.\nns.gone. 3600 A 45.66.0.1")
    await resolver.ask("www.gone")                              # the same address, silent for another zone
    asked = len(net.names(DEAD))
    begun = resolver.clock.monotonic()
    assert addresses(await resolver.ask("www.sub.dark.com")) == ["193.0.0.1"]
    assert resolver.clock.monotonic() - begun < 0.5
    assert len(net.names(DEAD)) == asked
