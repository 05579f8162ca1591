"""The fold of list replies."""

import pytest
from scriptedlists import specs

from resolverd.dnsbl.aggregate import fold
from resolverd.failures import Unknown, Why
from resolverd.mail.lookups import Clear, Listed

SPECS = {each.id: each for each in specs("scored")}


def listed(name, weight, ttl=300, trust=0):
    return Listed(name, ("code",), ("127.0.0.2",), weight, f"listed by {name}", "", ttl, trust=trust)


def test_strongest_first_and_summed():
    reputation = fold(
        SPECS,
        {
            "spamcop": listed("spamcop", 3),
            "psbl": listed("psbl", 3, ttl=90),
            "spamhaus-zen": listed("spamhaus-zen", 6),
            "mailspike": Clear("mailspike", 120),
            "dnswl": Clear("dnswl", 600),
        },
    )
    assert [reply.list_id for reply in reputation.listings] == ["spamhaus-zen", "spamcop", "psbl"]
    assert (reputation.score, reputation.ttl, reputation.partial, reputation.allowed) == (12, 90, False, False)


@pytest.mark.parametrize(("trust", "allowed"), [(0, False), (1, True), (3, True)])
def test_only_trust_allow_lists(trust, allowed):
    reputation = fold(SPECS, {"dnswl": listed("dnswl", -1, trust=trust)})
    assert reputation.allowed is allowed
    assert reputation.score == 0
    assert not reputation.reaches(None)


@pytest.mark.parametrize("why", Why)
def test_nothing_unknown_counts(why):
    reputation = fold(SPECS, {"spamhaus-zen": Unknown(why), "dnswl": Unknown(why)})
    assert (reputation.listings, reputation.allow_listings, reputation.score) == ((), (), 0)
    assert (reputation.ttl, reputation.partial) == (None, True)
    assert not reputation.reaches(None)
    assert not reputation.reaches(0)


@pytest.mark.parametrize(
    ("weight", "threshold", "reached"),
    [(6, 6, True), (3, 6, False), (3, None, True), (0, None, False), (0, 6, False), (0, 0, False)],
)
def test_thresholds(weight, threshold, reached):
    assert fold(SPECS, {"spamcop": listed("spamcop", weight)}).reaches(threshold) is reached


def test_nobody_asked():
    reputation = fold(SPECS, {})
    assert (reputation.ttl, reputation.partial, reputation.reaches(None)) == (None, False, False)
