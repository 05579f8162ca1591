"""Which names are questions to a list."""

from ipaddress import ip_address

import pytest
from scriptedlists import CATALOGUE, specs

from resolverd.mail.guard import GuardTable, unused
from resolverd.wire.names import from_text

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
    "example.com.zen.spamhaus.org",
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
