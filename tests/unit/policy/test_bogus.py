"""What is bogus is a temporary trouble for mail, and no definite finding: the same data, signed rightly and not."""

from pathlib import Path

import msgspec
import pytest
from served import configured
from signednet import SignedNet
from signing import key
from virtualtime import VirtualClock, virtual

from resolverd.app.service import Service
from resolverd.metrics import Counters
from resolverd.servers.http import parameters
from resolverd.servers.http.routes import verdict
from resolverd.state.memory import MemoryStore

CLIENT = "81.2.69.1"
ZONES = {
    "com": "",
    "sender.com": "@ MX 10 mail.sender.com.\n@ TXT \"v=spf1 ip4:81.2.69.1 -all\"\nmail A 81.2.69.3",
    "client.com": "mx A 81.2.69.1",
    "arpa": "1.69.2.81.in-addr PTR mx.client.com.",
    "org": "",
    "spamhaus.org": "2.0.0.127.zen A 127.0.0.2\ntest.dbl A 127.0.1.2",
    "dnswl.org": "2.0.0.127.list A 127.0.10.0",
}


async def judged(folder: Path, changes: dict[str, str], broken: str | None = None) -> verdict.Verdict:
    """The verdict on mail of sender.com, with other data in some zones, and one of them signed by a key that is not its own."""
    net = SignedNet(folder)
    net.root.add("@ NS k.root-servers.net.\nk.root-servers.net. A 198.41.0.4")
    made = {}
    for number, (zone, text) in enumerate(ZONES.items(), 1):
        parent = made.get(zone.partition(".")[2])
        made[zone] = net.signed(zone, {f"ns.{zone}": f"45.1.0.{number}"}, changes.get(zone, text), parent=parent, number=number)
    if broken is not None:
        made[broken].key = key(13, 99)
    anchors = folder / "anchors"
    anchors.write_text(f". 3600 DS {net.root.ds}\n")
    settings = configured(folder, resolver={"trust_anchors": anchors})
    settings = msgspec.structs.replace(settings, greylist=msgspec.structs.replace(settings.greylist, enabled=False))
    service = Service(settings, net, MemoryStore(), VirtualClock(), Counters())
    await service.prepare()
    try:
        given = {"client_address": CLIENT, "helo_name": "mx.client.com", "sender": "a@sender.com", "recipient": "b@example.com"}
        attempt = parameters.convert(verdict.Attributes, given.items()).attempt
        return verdict.Verdict.of(await service.capabilities().policy.verdict_on(attempt, record=False))
    finally:
        await service.aclose()


def codes(found: verdict.Verdict) -> set[str]:
    return {each.code for each in found.findings}


NULL_MX = ZONES["sender.com"].replace("MX 10 mail.sender.com.", "MX 0 .")
CASES = [
    # the zone that is signed wrongly, other data in it, what that says, and what it says where it is bogus
    ("arpa", "x PTR mx.client.com.", "ptr_missing", "ptr_unknown"),
    ("client.com", "mx A 81.2.69.9", "fcrdns_mismatch", "fcrdns_unknown"),
    ("client.com", "other A 81.2.69.1", "helo_not_found", "helo_unknown"),
    ("sender.com", NULL_MX, "sender_domain_null_mx", "sender_domain_unknown"),
    ("sender.com", "other A 81.2.69.3", "sender_domain_not_found", "sender_domain_unknown"),
    ("sender.com", ZONES["sender.com"].replace("ip4:81.2.69.1 ", ""), "spf_fail", "spf_temperror"),
    ("spamhaus.org", ZONES["spamhaus.org"] + "\n1.69.2.81.zen A 127.0.0.2", "dnsbl_listed", "dnsbl_unknown"),
    ("spamhaus.org", ZONES["spamhaus.org"] + "\nsender.com.dbl A 127.0.1.2", "rhsbl_sender_listed", "rhsbl_unknown"),
    ("dnswl.org", ZONES["dnswl.org"] + "\n1.69.2.81.list A 127.0.5.3", "dnswl_listed", "dnswl_unreachable"),
]


@pytest.mark.parametrize(("zone", "data", "definite", "temporary"), CASES)
@virtual
async def test_nothing_bogus_is_definite(
    tmp_path: Path, zone: str, data: str, definite: str, temporary: str
) -> None:
    signed = await judged(tmp_path, {zone: data})
    assert definite in codes(signed)
    bogus = await judged(tmp_path, {zone: data}, zone)
    assert temporary in codes(bogus)
    assert definite not in codes(bogus)
    assert bogus.action != "reject"


@virtual
async def test_mail_whose_zones_are_signed_rightly_passes(tmp_path: Path) -> None:
    found = await judged(tmp_path, {})
    assert found.action == "accept", codes(found)


@virtual
async def test_a_sender_whose_domain_is_bogus_may_come_again(tmp_path: Path) -> None:
    assert (await judged(tmp_path, {}, "sender.com")).action == "defer"
