"""The catalogue as shipped, and what [lists.NAME] tables make of it: every fault at once, no key ever shown."""

import pytest
from scriptedlists import CATALOGUE, spec, specs

from resolverd.dnsbl.catalogue import load
from resolverd.dnsbl.config import configure
from resolverd.dnsbl.quota import Allowance
from resolverd.failures import ConfigError
from resolverd.wire.names import from_text, to_text

KEY = "sentinelkey0123456789abcd"


def by_id(found):
    return {each.id: each for each in found}


def faults(use="own-mail", **tables):
    with pytest.raises(ConfigError) as caught:
        specs(**tables)
    return [str(fault) for fault in caught.value.faults]


def test_numbers_are_fixed():
    numbers = {entry.name: entry.number for entry in CATALOGUE.entries.values()}
    assert len(set(numbers.values())) == len(numbers)
    assert all(1 <= number <= 99 for number in numbers.values())
    fixed = {
        "spamhaus-zen": 1,
        "spamhaus-dbl": 2,
        "dnswl": 3,
        "spamcop": 4,
        "psbl": 5,
        "mailspike": 6,
        "barracuda": 7,
        "uribl": 8,
        "surbl": 9,
    }
    assert {name: numbers[name] for name in fixed} == fixed


def test_every_entry_is_complete():
    for entry in CATALOGUE.entries.values():
        assert entry.codes.codes, entry.name
        assert all(pattern.inside_loopback for pattern, _ in entry.codes.codes)
        assert entry.terms.link.startswith("http"), entry.name
        assert entry.link.startswith("http"), entry.name
        assert (entry.weight <= 0) is (entry.purpose == "allow" or entry.name == "korea-services"), entry.name


def test_the_dead_are_not_among_the_living():
    alive = {zone for entry in CATALOGUE.entries.values() for zone in (entry.zone, entry.key_zone) if zone}
    for zone in alive:
        assert CATALOGUE.dead_at(zone) is None
    assert len(CATALOGUE.dead) >= 20


def test_tutorial_asks_three_lists():
    assert {each.id: (to_text(each.zone), each.weight, each.purpose) for each in specs("tutorial")} == {
        "spamhaus-zen": ("zen.spamhaus.org.", 6, "block"),
        "spamhaus-dbl": ("dbl.spamhaus.org.", 6, "block"),
        "dnswl": ("list.dnswl.org.", -1, "allow"),
    }


def test_scored_has_its_weights():
    found = by_id(specs("scored"))
    assert {name: each.weight for name, each in found.items()} == {
        "spamhaus-zen": 6, "spamhaus-dbl": 6, "dnswl": -1, "spamcop": 3, "psbl": 3, "mailspike": 4,
    }  # fmt: skip
    assert [code.weight for _, code in found["dnswl"].codes.codes] == [-1, -2, -4, -8]
    abused = [code for _, code in found["spamhaus-dbl"].codes.codes if code.name.startswith("abused")]
    assert abused
    assert all(code.weight == 0 for code in abused)


NEVER_BY_DEFAULT = [
    "uribl",
    "surbl",
    "uceprotect-2",
    "uceprotect-3",
    "backscatterer",
    "hostkarma",
    "barracuda",
    "spamhaus-zen-dqs",
]


@pytest.mark.parametrize("name", NEVER_BY_DEFAULT)
@pytest.mark.parametrize("preset", ["tutorial", "scored"])
def test_never_on_by_default(preset, name):
    assert name not in by_id(specs(preset))


def test_overrides_of_the_catalogue():
    zen = spec("spamhaus-zen", weight=2.5, quota="1000/1d", rate="5/1s", codes={"127.0.0.10": {"means": "pbl", "weight": 1}})
    assert (zen.weight, zen.quota, zen.rate) == (2.5, Allowance(1000, 86400.0), Allowance(5, 1.0))
    reading = zen.codes.interpret([bytes([127, 0, 0, 10])], zen.weight)
    assert [(code.name, code.weight) for code in reading.codes] == [("pbl", 1)]


def octets(*last):
    return [bytes([127, 0, *each]) if isinstance(each, tuple) else bytes([127, 0, 0, each]) for each in last]


# list, codes of the admin's own, what is answered, what counts, what is handed on
OWN_CODES = [
    ("spamhaus-zen", {"127.0.0.[2..9]": "listed"}, octets(10), [], []),
    ("spamhaus-zen", {"127.0.0.[2..9]": "listed"}, octets(4, 10), ["listed"], octets(4)),
    ("spamhaus-zen", {"127.0.0.[2..9]": "listed"}, octets(99), [], octets(99)),
    ("spamhaus-dbl", {"127.0.1.[2..99]": "listed"}, octets((1, 102)), [], []),
    ("spamhaus-dbl", {"127.0.1.[2..99]": "listed"}, octets((1, 2)), ["listed"], octets((1, 2))),
    ("spamhaus-dbl", {"127.0.1.[102..106]": {"means": "abused", "weight": 3}}, octets((1, 104)), ["abused"], octets((1, 104))),
    ("uribl", {"127.0.0.&2": "black"}, octets(4), [], []),
    ("uribl", {"127.0.0.&2": "black"}, octets(6), ["black"], octets(6)),
]


@pytest.mark.parametrize(("name", "own", "answered", "counting", "handed_on"), OWN_CODES)
def test_codes_of_the_admins_own_replace_the_catalogues(name, own, answered, counting, handed_on):
    one = spec(name, codes=own)
    assert [code.name for code in one.codes.interpret(answered, one.weight).codes] == counting
    assert list(one.codes.counting(answered)) == handed_on


def test_error_codes_of_the_catalogue_stay_whatever_codes_are_given():
    one = spec("uribl", codes={"127.0.0.[1..14]": "listed"}, errors={"127.0.0.14": "mine"})
    assert one.codes.interpret(octets(1)).error is not None
    assert one.codes.interpret(octets(14)).error.name == "mine"


def test_a_list_can_be_switched_off_and_on():
    found = by_id(specs(spamhaus_dbl={"enabled": False}, spamcop={"enabled": True}))
    assert "spamhaus-dbl" not in found
    assert "spamcop" in found


def test_quota_can_be_lifted():
    assert spec("spamhaus-zen", quota="unlimited").quota is None


def test_own_list():
    mine = spec(
        "mine",
        zone="rbl.example.net.",
        kinds=["ip4", "ip6", "domain"],
        number=101,
        weight=3,
        codes={"127.0.0.2": "listed", "127.0.0.[4..7]": {"means": "exploited", "weight": 4}},
        errors={"127.0.0.255": "blocked"},
    )
    assert (mine.shown, mine.number, mine.purpose, mine.kinds) == ("rbl.example.net", 101, "block", {"ip4", "ip6", "domain"})
    assert [code.name for code in mine.codes.interpret([bytes([127, 0, 0, 5])]).codes] == ["exploited"]
    assert mine.codes.interpret([bytes([127, 0, 0, 255])]).error.name == "blocked"


@pytest.mark.parametrize(
    ("zone", "error"),
    [("sbl.spamhaus.org", (255, 255, 254)), ("unheard-of.uribl.com", (0, 0, 1)), ("new.dq.spamhaus.net", (255, 255, 252))],
)
def test_an_own_list_of_a_known_operator_knows_its_error_codes(zone, error):
    mine = spec("mine", zone=zone, codes={"127.[0..255].[0..255].[0..255]": "anything"})
    assert mine.codes.interpret([bytes([127, *error])]).error is not None
    assert mine.codes.interpret([bytes([127, 0, 0, 2])]).codes


def test_an_own_list_without_codes_knows_the_usual_one():
    mine = spec("mine", zone="rbl.example.net")
    assert [code.name for code in mine.codes.interpret([bytes([127, 0, 0, 2])]).codes] == ["listed"]
    assert 100 <= mine.number <= 250
    assert mine.number == spec("mine", zone="other.example.net").number


def test_an_own_allow_list_trusts():
    mine = spec("mine", zone="wl.example.net", purpose="allow")
    assert mine.weight < 0
    assert mine.codes.codes[0][1].trust == 1


def test_a_key_goes_into_the_zone_and_nowhere_else():
    zen = spec("spamhaus-zen", key=KEY)
    assert zen.zone == from_text(f"{KEY}.zen.dq.spamhaus.net")
    assert (zen.shown, zen.keyed, zen.number) == ("spamhaus-zen", True, 1)
    assert KEY not in repr(zen)
    assert KEY not in str(zen)
    assert KEY not in zen.terms + zen.link


def test_the_keyed_form_replaces_the_public_one():
    assert set(by_id(specs(spamhaus_zen_dqs={"enabled": True, "key": KEY}))) == {"spamhaus-zen-dqs", "spamhaus-dbl", "dnswl"}


def test_service_leaves_out_what_forbids_it():
    found = {each.id for each in configure(CATALOGUE, "scored", {}, lambda key: key, use="service")}
    assert found == {"spamcop", "psbl", "mailspike"}
    keyed = configure(CATALOGUE, "tutorial", {"spamhaus-zen": {"key": KEY}}, lambda key: key, use="service")
    assert {each.id for each in keyed} == {"spamhaus-zen"}


FAULTS = [
    ({"sorbs": {"enabled": True}}, "lists.sorbs: sorbs is dead since 2024-06-05: "),
    ({"nixspam": {}}, "lists.nixspam: nixspam is dead since 2025-01-16: "),
    ({"mine": {"zone": "dnsbl.sorbs.net"}}, "lists.mine.zone: sorbs is dead since 2024-06-05"),
    ({"mine": {"zone": "spam.DNSBL.sorbs.net"}}, "lists.mine.zone: sorbs is dead"),
    ({"mine": {"zone": "zen.spamhaus.org"}}, "lists.mine.zone: belongs to spamhaus-zen"),
    ({"spamhaus-zne": {"enabled": True}}, "lists.spamhaus-zne: no list of this name is known (nearest: spamhaus-zen)"),
    ({"mine": {"zone": "rbl..example"}}, "lists.mine.zone: 'rbl..example' is no domain name"),
    ({"mine": {"zone": "."}}, "lists.mine.zone: must have"),
    ({"mine": {"zone": "a." * 100 + "example"}}, "lists.mine.zone: must have"),
    ({"mine": {"zone": "x.example", "number": 7}}, "lists.mine.number: must be 100 to 250"),
    ({"mine": {"zone": "x.example", "kinds": ["ip5"]}}, "lists.mine.kinds: must be one or more of"),
    ({"mine": {"zone": "x.example", "kinds": []}}, "lists.mine.kinds: must be one or more of"),
    ({"mine": {"zone": "x.example", "purpose": "deny"}}, "lists.mine.purpose: must be"),
    ({"mine": {"zone": "x.example", "weight": -1}}, "lists.mine.weight: must be points from 0"),
    ({"mine": {"zone": "x.example", "weight": True}}, "lists.mine.weight: must be points from 0"),
    ({"mine": {"zone": "x.example", "purpose": "allow", "weight": 1}}, "lists.mine.weight: must be points from -1000"),
    ({"mine": {"zone": "x.example", "codes": {"127.0.0.x": "a"}}}, "lists.mine.codes: '127.0.0.x'"),
    ({"mine": {"zone": "x.example", "codes": {"192.0.2.1": "a"}}}, 'lists.mine.codes."192.0.2.1": only answers in 127.0.0.0/8'),
    ({"mine": {"zone": "x.example", "codes": {"127.0.0.2": 5}}}, 'lists.mine.codes."127.0.0.2": must be a name'),
    ({"mine": {"zone": "x.example", "codes": {"127.0.0.2": {"means": "a", "wieght": 5}}}}, '"127.0.0.2".wieght: unknown key'),
    ({"mine": {"zone": "x.example", "codes": {"127.0.0.2": {"means": "a", "weight": "5"}}}}, "of the wrong type"),
    ({"mine": {"zone": "x.example", "codes": {"127.0.0.2": {"means": "a", "trust": 2}}}}, "trust: must be 0 to 3"),
    ({"mine": {"zone": "x.example", "codes": ["127.0.0.2"]}}, "lists.mine.codes: must be a table"),
    ({"mine": {"zone": "x.example", "codes": {}}}, "lists.mine.codes: names no code, so the list would list nothing"),
    ({"spamhaus-zen": {"codes": {}}}, "lists.spamhaus-zen.codes: names no code"),
    ({"mine": {"zone": "x.example", "errors": {"1.2.3": "a"}}}, "lists.mine.errors: '1.2.3': 3 fields"),
    ({"mine": {"zone": "x.example", "quota": "many"}}, "lists.mine.quota: 'many' is no allowance"),
    ({"mine": {"zone": "x.example", "rate": "5/0s"}}, "lists.mine.rate: '5/0s' allows nothing"),
    ({"spamcop": {"enabled": True, "number": 101}}, "lists.spamcop.number: is 4 for this list"),
    ({"spamcop": {"enabled": True, "purpose": "allow"}}, "lists.spamcop.purpose: is block for this list"),
    ({"spamcop": {"enabled": True, "key": KEY}}, "lists.spamcop.key: this list takes no key"),
    ({"abusix-combined": {"enabled": True}}, "lists.abusix-combined.key: is needed"),
    ({"invaluement-sip": {"enabled": True}}, "lists.invaluement-sip.zone: is needed"),
    (
        {"one": {"zone": "a.example", "number": 101}, "two": {"zone": "b.example", "number": 101}},
        "lists.two.number: 101 is taken by one",
    ),
    ({"one": {"zone": "a.example"}, "two": {"zone": "a.example", "number": 100}}, "lists.two: is the same list as one"),
    (
        {"spamhaus-zen": {"enabled": True, "key": KEY}, "spamhaus-zen-dqs": {"enabled": True, "key": KEY}},
        "is the same list as spamhaus-zen",
    ),
]


@pytest.mark.parametrize(("tables", "said"), FAULTS)
def test_faults(tables, said):
    with pytest.raises(ConfigError) as caught:
        configure(CATALOGUE, "tutorial", tables, lambda key: key)
    assert any(said in str(fault) for fault in caught.value.faults), caught.value
    assert KEY not in str(caught.value)


def test_every_fault_at_once():
    found = faults(
        sorbs={"enabled": True}, mine={"zone": "x.example", "weight": -1, "quota": "x"}, spamcop={"enabled": True, "rate": "y"}
    )
    assert [text.partition(":")[0] for text in found] == [
        "lists.spamcop.rate",
        "lists.sorbs",
        "lists.mine.quota",
        "lists.mine.weight",
    ]


def test_a_dead_list_that_is_off_is_no_fault():
    assert "sorbs" not in by_id(specs(sorbs={"enabled": False}))


@pytest.mark.parametrize("key", ["has space", "has.dot", "", "x" * 64, "-dash", "sentinelkey\n"])
def test_a_bad_key_is_refused_without_being_shown(key):
    (fault,) = faults(spamhaus_zen={"key": key})
    assert fault.startswith("lists.spamhaus-zen.key: what stands there is no list key")
    assert not key or key not in fault


def test_an_unreadable_key_is_a_fault():
    def read_key(_):
        raise ValueError("cannot read '/etc/key': Permission denied")

    with pytest.raises(ConfigError, match=r"lists\.spamhaus-zen\.key: cannot read"):
        configure(CATALOGUE, "tutorial", {"spamhaus-zen": {"key": {"file": "/etc/key"}}}, read_key)


def test_a_broken_catalogue_says_where():
    text = """
[lists.x]
number = 100
zone = "x.example"
kinds = ["ip4"]
weight = -1
link = ""
terms = {}
codes = {"10.0.0.1" = "a"}
[dead]
"""
    with pytest.raises(ConfigError) as caught:
        load(text)
    assert {fault.path for fault in caught.value.faults} == {
        "catalogue.x.number", "catalogue.x.weight", 'catalogue.x.codes."10.0.0.1"',
    }  # fmt: skip
