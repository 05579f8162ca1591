"""GET /v1/lookup of all lists, and of a domain's mail servers: what is asked, what is not and why, and how much at once."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from rawhttp import Service, is_problem
from scriptednet import Net
from served import GOOD, LISTED, TOKEN

from resolverd import bounds
from resolverd.config.lists import catalogue
from resolverd.dnsbl.on_demand import not_asked

MANY = range(12)
MX = """
    two MX 20 b.two.shop.
    two MX 10 a.two.shop.
    a.two A 81.2.69.1
    b.two A 81.2.69.1
    b.two A 10.0.0.1
    null MX 0 .
    bare A 81.2.69.2
""" + "\n".join(f"many MX {n} m{n}.many.shop.\nm{n}.many A 81.2.70.{n}\nm{n}.many A 81.2.71.{n}" for n in MANY)


def enlarge(net: Net) -> None:
    """Domains with mail servers of all kinds, and a list that is not enabled."""
    net.zone("shop", {"ns.shop": "193.0.9.9"}, MX)
    net.zone("surriel.com", {"ns.surriel.com": "193.0.9.10"}, "2.0.0.127.psbl A 127.0.0.2\n1.69.2.81.psbl A 127.0.0.2")


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Service]:
    service = Service(tmp_path)
    enlarge(service.net)
    await service.start()
    yield service
    await service.end()


async def said(service: Service, subject: str, **query: str) -> Any:
    text = "&".join(f"{name}={value}" for name, value in query.items())
    response = await service.call("GET", f"/v1/lookup/{subject}?{text}")
    assert response.status == 200
    return response.document


def results(said: Any) -> dict[str, str]:
    return {each["id"]: each["result"] for each in said["lists"]}


async def test_all_lists_that_may_be_asked_are_and_of_the_others_it_says_why(service: Service) -> None:
    plain, whole = results(await said(service, LISTED)), await said(service, LISTED, all="true")
    assert "psbl" not in plain
    assert (results(whole)["spamhaus-zen"], results(whole)["psbl"]) == ("listed", "listed")
    assert whole["listed"] == 2
    why = {each["id"]: each["detail"] for each in whole["lists"] if each["result"] == "skipped"}
    assert "key" in why["abusix-combined"]
    assert "registered" in why["barracuda"]
    assert not [name for name, _ in service.net.names() if "barracuda" in name or "abusix" in name]
    assert "surbl" not in results(whole)  # it is for domains
    assert len(results(whole)) == len(whole["lists"])
    off = await service.call("POST", "/v1/lists/psbl/disable", token=TOKEN)
    assert off.status == 200
    assert "psbl" not in results(await said(service, LISTED, all="true"))


@pytest.mark.parametrize(
    ("domain", "servers", "mail"),
    [
        ("two.shop", [("a.two.shop", 10, ["81.2.69.1"]), ("b.two.shop", 20, ["10.0.0.1", "81.2.69.1"])], ""),
        ("null.shop", [], "it takes no mail (null MX)"),
        ("bare.shop", [("bare.shop", None, ["81.2.69.2"])], ""),
        ("nowhere.shop", [], "there is no such domain"),
        (GOOD, [], ""),
    ],
)
async def test_a_domain_is_followed_to_its_mail_servers(
    service: Service, domain: str, servers: list[tuple[str, int | None, list[str]]], mail: str
) -> None:
    found = await said(service, domain)
    assert [
        (each["name"], each["preference"], [of["subject"] for of in each["addresses"]]) for each in found["mail_servers"]
    ] == servers
    assert found["mail"] == mail
    for server in found["mail_servers"]:
        for address in server["addresses"]:
            assert address["listed"] == (1 if address["subject"] == LISTED else 0)


async def test_mail_servers_have_a_bound(service: Service) -> None:
    found = await said(service, "many.shop")
    assert [each["name"] for each in found["mail_servers"]] == [f"m{n}.many.shop" for n in range(bounds.LOOKUP_SERVERS)]
    assert sum(len(each["addresses"]) for each in found["mail_servers"]) == bounds.LOOKUP_ADDRESSES
    assert found["mail"] == "7 more servers and 2 more addresses"


async def test_mail_servers_that_cannot_be_found_out_are_said_to_be_unknown(service: Service) -> None:
    service.refuse("193.0.9.9")
    found = await said(service, "two.shop")
    assert (found["mail_servers"], found["mail"]) == ([], "its mail servers could not be found out (SERVFAIL)")


async def test_two_look_ups_in_all_lists_go_on_at_once(service: Service) -> None:
    on_demand = service.service.capabilities().lists.on_demand
    for _ in range(bounds.LIST_ON_DEMAND):
        await on_demand.acquire()
    response = await service.call("GET", f"/v1/lookup/{LISTED}?all=true")
    assert is_problem(response, 429)
    assert response.headers["retry-after"] == "5"
    assert (await said(service, LISTED))["listed"] == 1
    on_demand.release()
    assert (await said(service, LISTED, all="true"))["listed"] == 2
    assert not on_demand.locked()


async def test_what_is_wrong_with_a_look_up(service: Service) -> None:
    assert is_problem(await service.call("GET", f"/v1/lookup/{LISTED}?all=perhaps"), 400)
    assert is_problem(await service.call("GET", f"/v1/lookup/{LISTED}?everything=true"), 400)
    assert is_problem(await service.call("GET", f"/v1/lookup/{LISTED}?subject=192.0.2.1"), 400)


# -- which may be asked


def test_which_lists_may_be_asked_on_demand() -> None:
    known = catalogue()
    zen = known.entries["spamhaus-zen"]
    assert zen.zone is not None
    specs = (zen.spec(zen.zone, keyed=False),)
    own = not_asked(known, specs, enabled=True, use="own-mail")
    assert {"spamhaus-zen-dqs", "invaluement-sip", "barracuda", "senderscore"} <= own.keys()
    assert not {"spamhaus-zen", "spamhaus-dbl", "psbl", "surbl"} & own.keys()
    service = not_asked(known, specs, enabled=True, use="service")
    assert {"spamhaus-dbl", "surbl", "dnswl"} <= service.keys()
    assert "spamhaus-zen" not in service  # it is asked anyway
    assert not_asked(known, (), enabled=False, use="own-mail").keys() == known.entries.keys()
    keyed = known.entries["spamhaus-zen-dqs"]
    assert keyed.key_zone is not None
    with_key = not_asked(known, (keyed.spec(keyed.key_zone, keyed=True),), enabled=True, use="own-mail")
    assert with_key["spamhaus-zen"] == "spamhaus-zen-dqs is asked in its place"


async def test_one_list_alone_is_asked_if_it_may_be(service: Service) -> None:
    found = (await service.call("GET", f"/v1/lookup/{LISTED}?list=spamhaus-zen")).document
    assert [(each["id"], each["result"]) for each in found["lists"]] == [("spamhaus-zen", "listed")]
    assert found["listed"] == 1
    asked = (await service.call("GET", f"/v1/lookup/{LISTED}?list=psbl")).document["lists"]
    assert [each["id"] for each in asked] == ["psbl"]
    assert (await service.call("GET", f"/v1/lookup/{LISTED}?list=spamhaus-dbl")).document["lists"] == []
    for name in ("nosuch", "barracuda"):
        assert is_problem(await service.call("GET", f"/v1/lookup/{LISTED}?list={name}"), 400)
