"""Which names are questions to a list."""

from ipaddress import ip_address

import pytest
from scriptedlists import CATALOGUE, specs

from resolverd.wire.names import ancestors, from_text, to_text
from resolverd.zones.guard import GuardTable, unused

KEY = "sentinelkey"
TABLE = GuardTable(
    CATALOGUE,
    specs(mine={"zone": "rbl.example.net", "kinds": ["ip4", "domain"]}, abusix_combined={"enabled": True, "key": KEY}),
)
NIBBLES = "1." + "0." * 23 + "8.b.d.0.1.0.0.2"

QUESTIONS = [
    ("4.3.2.1.zen.spamhaus.org", "spamhaus-zen", ip_address("1.2.3.4"), False),
    (f"{NIBBLES}.zen.spamhaus.org", "spamhaus-zen", ip_address("2001:db8::1"), False),
    ("example.com.dbl.spamhaus.org", "spamhaus-dbl", "example.com", False),
    ("4.3.2.1.dbl.spamhaus.org", "spamhaus-dbl", ip_address("1.2.3.4"), False),
    ("test.dbl.spamhaus.org", "spamhaus-dbl", "test", False),
    ("4.3.2.1.bl.spamcop.net", "spamcop", ip_address("1.2.3.4"), False),
    ("4.3.2.1.rbl.example.net", "mine", ip_address("1.2.3.4"), False),
    ("example.org.rbl.example.net", "mine", "example.org", False),
    ("4.3.2.1.somekey.zen.dq.spamhaus.net", "spamhaus-zen", ip_address("1.2.3.4"), True),
    ("example.com.somekey.zrd.dq.spamhaus.net", "spamhaus-zrd-dqs", "example.com", True),
    (f"4.3.2.1.{KEY}.combined.mail.abusix.zone", "abusix-combined", ip_address("1.2.3.4"), True),
    ("4.3.2.1.otherkey.combined.mail.abusix.zone", "abusix-combined", ip_address("1.2.3.4"), True),
    ("abcdef.ebl.msbl.org", "msbl-ebl", "abcdef", False),
    ("4.3.2.1.dnsbl.sorbs.net", None, "", False),
    ("4.3.2.1.spam.dnsbl.sorbs.net", None, "", False),
    ("4.3.2.1.ix.dnsbl.manitu.net", None, "", False),
    # parts, mirrors, older names
    ("4.3.2.1.sbl.spamhaus.org", "spamhaus-sbl", ip_address("1.2.3.4"), False),
    ("4.3.2.1.xbl.spamhaus.org", "spamhaus-xbl", ip_address("1.2.3.4"), False),
    ("4.3.2.1.pbl.spamhaus.org", "spamhaus-pbl", ip_address("1.2.3.4"), False),
    ("4.3.2.1.sbl-xbl.spamhaus.org", "spamhaus-sbl-xbl", ip_address("1.2.3.4"), False),
    ("example.com.black.uribl.com", "uribl-black", "example.com", False),
    ("example.com.grey.uribl.com", "uribl-grey", "example.com", False),
    ("example.com.ws.surbl.org", "surbl-single", "example.com", False),
    ("4.3.2.1.bb.barracudacentral.org", "barracuda-bb", ip_address("1.2.3.4"), False),
    ("4.3.2.1.dnsbl-0.uceprotect.net", "uceprotect-0", ip_address("1.2.3.4"), False),
    ("4.3.2.1.aspews.ext.sorbs.net", None, "", False),
    # names of one kind below a list of the other
    ("example.com.zen.spamhaus.org", "spamhaus-zen", "example.com", False),
    ("www.example.co.uk.sbl.spamhaus.org", "spamhaus-sbl", "www.example.co.uk", False),
    ("4.3.2.1.black.uribl.com", "uribl-black", ip_address("1.2.3.4"), False),
    # keys that are none, and none at all
    ("4.3.2.1.zen.dq.spamhaus.net", None, "", False),
    ("example.com.dbl.dq.spamhaus.net", None, "", False),
    ("4.3.2.1.some_key.zen.dq.spamhaus.net", None, "", True),
    ("4.3.2.1.\\200\\255.zen.dq.spamhaus.net", None, "", True),
    ("4.3.2.1.somekey.unheard-of.dq.spamhaus.net", None, "", True),
]


@pytest.mark.parametrize(("name", "one", "subject", "keyed"), QUESTIONS)
def test_questions(name, one, subject, keyed):
    found = TABLE.find(from_text(name))
    assert found is not None
    assert (found.spec.id if found.spec else None, found.subject, found.keyed) == (one, subject, keyed)
    if found.spec:
        assert from_text(name).endswith(found.spec.zone)


OTHERS = [
    ".",
    "org",
    "spamhaus.org",
    "zen.spamhaus.org",
    "dbl.spamhaus.org",
    "www.spamhaus.org",
    "ns1.zen.spamhaus.org",
    "3.2.1.zen.spamhaus.org",
    "5.4.3.2.1.zen.spamhaus.org",
    "256.3.2.1.zen.spamhaus.org",
    "ns1.dbl.spamhaus.org",
    "xzen.spamhaus.org",
    "4.3.2.1.xzen.spamhaus.org",
    "zen.dq.spamhaus.net",
    "somekey.zen.dq.spamhaus.net",
    "www.example.net",
    "rbl.example.net",
    "dnsbl.sorbs.net",
    "4.3.2.1.in-addr.arpa",
]


@pytest.mark.parametrize("name", OTHERS)
def test_everything_else_recurses(name):
    assert TABLE.find(from_text(name)) is None


@pytest.mark.parametrize(
    ("name", "listed", "answers"),
    [
        ("2.0.0.127.zen.spamhaus.org", True, 3),
        ("1.0.0.127.zen.spamhaus.org", False, 0),
        ("2.0.0.127.list.dnswl.org", True, 1),
        ("2.0.0.127.bl.spamcop.net", True, 0),
        ("test.dbl.spamhaus.org", True, 0),
        ("dbltest.com.dbl.spamhaus.org", True, 0),
    ],
)
def test_canaries_are_known(name, listed, answers):
    canary = TABLE.find(from_text(name)).canary
    assert (canary.listed, len(canary.answers)) == (listed, answers)


@pytest.mark.parametrize(
    "name",
    ["3.0.0.127.zen.spamhaus.org", "4.3.2.1.zen.spamhaus.org", "2.0.0.127.dbl.spamhaus.org", "example.com.dbl.spamhaus.org"],
)
def test_nothing_else_is_a_canary(name):
    assert TABLE.find(from_text(name)).canary is None


def test_unused_lists_have_zones_and_no_keys():
    found = unused(CATALOGUE, specs())
    assert {"spamcop", "barracuda", "uribl"} <= {each.id for each in found}
    assert not {"spamhaus-zen", "abusix-combined"} & {each.id for each in found}
    assert not any(each.keyed for each in found)


def test_zones_names_every_zone():
    zones = TABLE.zones
    assert {
        from_text(name) for name in ("zen.spamhaus.org", "zen.dq.spamhaus.net", "rbl.example.net", "dnsbl.sorbs.net")
    } <= zones


# name, what it may answer, what it may not
SCREENED = [
    ("localhost.dbl.spamhaus.org", ["192.0.2.1"], ["127.0.1.2", "127.255.255.254"]),
    ("foo_bar.zen.spamhaus.org", ["192.0.2.1"], ["127.0.0.2"]),
    ("3.2.1.zen.spamhaus.org", ["192.0.2.1"], ["127.0.0.2"]),
    ("a.gns.spamhaus.org", ["192.0.2.1", "127.0.0.2"], ["127.255.255.252"]),
    ("4.3.2.1.unheard-of.spamhaus.org", ["127.0.0.2"], ["127.255.255.252", "127.255.255.254", "192.0.2.1"]),
    (f"{NIBBLES}.unheard-of.spamhaus.org", ["127.0.0.2"], ["127.255.255.252", "192.0.2.1"]),
    ("example.com.unheard-of.uribl.com", ["127.0.0.2"], ["127.0.0.1", "127.0.0.3"]),
    ("localhost.unheard-of.uribl.com", ["127.0.0.2"], ["127.0.0.1"]),
    ("4.3.2.1.unheard-of.dnswl.org", ["127.0.5.1"], ["127.0.10.3", "127.0.0.255"]),
]


@pytest.mark.parametrize(("name", "told", "kept_back"), SCREENED)
def test_what_is_no_question_lists_nobody(name, told, kept_back):
    assert TABLE.find(from_text(name)) is None
    screen = TABLE.answer_filter(from_text(name))
    assert all(screen.passes(ip_address(each).packed) for each in told)
    assert not any(screen.passes(ip_address(each).packed) for each in kept_back)


@pytest.mark.parametrize("name", [".", "org", "www.spamhaus.org", "spamhaus.org", "www.example.net", "4.3.2.1.in-addr.arpa"])
def test_names_that_have_nothing_to_do_with_lists_are_not_screened(name):
    assert TABLE.answer_filter(from_text(name)) is None


def test_every_zone_has_an_operator_or_one_list_only():
    """Whoever adds a list of a known operator finds its domain in [operators]."""
    for part in CATALOGUE.parts.values():
        assert part.of in CATALOGUE.entries
        assert part.entry.codes.codes
        for zone in (*part.zones, *part.key_zones):
            assert CATALOGUE.dead_at(zone) is None
            assert not any(zone in (entry.zone, entry.key_zone) for entry in CATALOGUE.entries.values())


@pytest.mark.parametrize("name", [name for name, *_ in QUESTIONS] + ["x.y.spamhaus.org", "4.3.2.1.x.uribl.com"])
def test_zones_around_a_question_or_a_filtered_answer_are_touched(name):
    name = from_text(name)
    assert TABLE.find(name) is not None or TABLE.answer_filter(name) is not None
    assert [to_text(zone) for zone in ancestors(name) if not TABLE.touches(zone)] == []


@pytest.mark.parametrize("name", ["example.com", "other.example.net", "rbl.example.org", "zen.spamhaus.org.example.com"])
def test_zones_apart_are_not_touched(name):
    assert not TABLE.touches(from_text(name))
