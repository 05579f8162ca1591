"""Trust anchors over time (RFC 5011): rollovers step by step, and what must not bring a key in, or lose one."""

import json
from dataclasses import dataclass, field

import pytest
from signednet import revoked
from signing import DAY, NOW, Key, dnskeys, key, signature

from resolverd import bounds
from resolverd.resolver.validator.algorithms import ED25519, SHA256, Policy, ds_digest
from resolverd.resolver.validator.rfc5011 import HOLD_DOWN, Look, Phase, TrustPoint, decode
from resolverd.values import replace
from resolverd.wire.dnssec import Ds
from resolverd.wire.names import ROOT

ZSK = key(ED25519, 0, 256)
OLD, NEW, THIRD, OTHER = (key(ED25519, number) for number in range(1, 5))


def ds(of: Key) -> Ds:
    return Ds(of.tag, of.algorithm, SHA256, ds_digest(ROOT, of.rdata, SHA256))


@dataclass
class World:
    """A root, its clocks, and who follows its keys; all times in days."""

    base: tuple[Key, ...] = (OLD,)
    wall: float = 0.0
    now: float = 0.0
    point: TrustPoint = field(init=False)

    def __post_init__(self) -> None:
        self.point = TrustPoint(ROOT, tuple(map(ds, self.base)))

    def look(self, *keys: Key, by: tuple[Key, ...] = (OLD,), days: float = 1.0, signed_at: float | None = None) -> Look:
        """What is there after so many days, signed `by` these for three weeks around a time."""
        self.wall += days
        self.now += days
        at = NOW + DAY * (self.wall if signed_at is None else signed_at)
        rrset = dnskeys(ROOT, ZSK, *keys, ttl=172800)
        sigs = tuple(signature(rrset, ROOT, each, int(at - 10 * DAY), int(at + 11 * DAY)) for each in by)
        return self.point.look(replace(rrset, sigs=sigs), NOW + self.wall * DAY, 1000.0 + self.now * DAY, Policy())

    def restart(self, days: float = 0.0) -> None:
        """The daemon is started again after so many days; the monotonic clock begins anew."""
        self.point = decode(ROOT, self.point.base, self.point.encode())
        self.wall += days
        self.now = 0.0

    def trusts(self, *keys: Key) -> bool:
        return set(self.point.trusted) == set(map(ds, keys))


def test_a_whole_rollover() -> None:
    world = World()
    first = world.look(OLD, NEW)
    assert first.news == (f"key {NEW.tag} is new: it is trusted once it has been there for 30 days",)
    assert first.next_look == DAY, "half the TTL (RFC 5011 §2.3)"
    for _ in range(29):
        assert world.look(OLD, NEW).news == ()
        assert world.trusts(OLD)
    assert world.look(OLD, NEW).news == (f"key {NEW.tag} has been there for 30 days: it is trusted from now on",)
    assert world.trusts(OLD, NEW)
    # the new one signs, the old one stands by, and is revoked: both sign that
    for _ in range(90):
        assert world.look(OLD, NEW, by=(NEW,)).valid
    assert world.look(revoked(OLD), NEW, by=(NEW, revoked(OLD))).news == (
        f"key {OLD.tag} is revoked by its owner: it is not trusted any more",
    )
    assert world.trusts(NEW)
    for _ in range(40):
        assert world.look(revoked(OLD), NEW, by=(NEW, revoked(OLD))).news == ()
    for _ in range(10):
        assert world.look(NEW, by=(NEW,)).valid
    assert world.trusts(NEW)
    # the next one
    for _ in range(31):
        world.look(NEW, THIRD, by=(NEW,))
    assert world.trusts(NEW, THIRD)


def test_restarts_cost_no_time_of_the_hold_down() -> None:
    world = World()
    for _ in range(31):
        assert world.trusts(OLD)
        world.look(OLD, NEW)
        world.restart()
    assert world.trusts(OLD, NEW)


@pytest.mark.parametrize(
    ("away", "looks"),
    [
        (10, 4),  # that much counts
        (40, 3),  # longer than a look may take: fifteen days of it count
        (400, 3),
    ],
)
def test_a_daemon_that_was_off_for_long(away: float, looks: int) -> None:
    world = World()
    for number in range(looks):
        assert world.trusts(OLD), number
        world.look(OLD, NEW)
        world.restart(away - 1)
    assert world.trusts(OLD, NEW)


def test_a_key_that_goes_within_the_hold_down_begins_anew() -> None:
    world = World()
    for _ in range(29):
        world.look(OLD, NEW)
    assert world.look(OLD).news == (f"key {NEW.tag} has gone again after 29.0 days: it is not trusted",)
    for _ in range(30):
        world.look(OLD, NEW)
    assert world.trusts(OLD)
    world.look(OLD, NEW)
    assert world.trusts(OLD, NEW)


@pytest.mark.parametrize("jump", [31.0, 10.0, -10.0, -400.0, 10_000.0])
def test_a_wall_clock_that_jumps_brings_no_key_in_early(jump: float) -> None:
    world = World()
    for _ in range(3):
        world.look(OLD, NEW)
    world.wall += jump
    for _ in range(20):
        world.look(OLD, NEW, signed_at=world.wall - jump)
    assert world.trusts(OLD)
    world.wall -= jump
    for _ in range(31):
        world.look(OLD, NEW)
    assert world.trusts(OLD, NEW)


def test_a_clock_set_back_and_forth_counts_no_time_twice() -> None:
    world = World()
    for _ in range(25):
        world.look(OLD, NEW)
        world.wall -= 1.0
    for _ in range(20):
        world.look(OLD, NEW)
    assert world.trusts(OLD)


def test_only_what_is_signed_by_a_trusted_key_counts() -> None:
    world = World()
    for _ in range(40):
        assert not world.look(NEW, by=(NEW,)).valid
        assert not world.look(OLD, NEW, by=(NEW,)).valid
        assert not world.look(OLD, NEW, by=()).valid
        assert not world.look(OLD, NEW, signed_at=world.wall - 30).valid
    assert (world.point.keys, world.trusts(OLD)) == ({}, True)
    # nor does a look that does not count end what has begun
    for _ in range(20):
        world.look(OLD, NEW)
    world.look(OLD, by=())
    for _ in range(11):
        world.look(OLD, NEW)
    assert world.trusts(OLD, NEW)


def test_keys_that_sign_data_are_no_anchors() -> None:
    world = World()
    for _ in range(40):
        world.look(OLD, key(ED25519, 9, 256), key(ED25519, 10, 1))
    assert world.point.keys == {}


def test_a_trusted_key_that_is_gone_is_trusted_all_the_same() -> None:
    world = World()
    for _ in range(31):
        world.look(OLD, NEW)
    assert world.look(OLD).news == (f"key {NEW.tag} is not there, and was not revoked: it is trusted all the same",)
    for _ in range(100):
        world.look(OLD)
    assert world.trusts(OLD, NEW)
    assert world.look(OLD, NEW).news == (f"key {NEW.tag} is there again",)


@pytest.mark.parametrize("by", [(OLD,), (NEW,), (), (OLD, OTHER)])
def test_nobody_else_can_revoke_a_key(by: tuple[Key, ...]) -> None:
    world = World((OLD, NEW))
    world.look(revoked(NEW), OLD, by=by)
    assert world.trusts(OLD, NEW)


def test_a_revocation_that_is_out_of_time_counts_no_more() -> None:
    world = World((OLD, NEW))
    world.look(revoked(NEW), OLD, by=(revoked(NEW),), signed_at=-60)
    assert world.trusts(OLD, NEW)


def test_a_revocation_needs_no_other_signature() -> None:
    world = World((OLD, NEW))
    assert not world.look(revoked(NEW), OLD, by=(revoked(NEW),)).valid
    assert world.trusts(OLD)
    world.restart()
    assert world.trusts(OLD)
    for _ in range(3 * int(HOLD_DOWN / DAY)):
        world.look(OLD)
    world.look(OLD, NEW)
    assert world.trusts(OLD), "a key of the base that was revoked is remembered for as long as it is in the base"


def test_a_key_revoked_within_its_hold_down_never_counts() -> None:
    world = World()
    for _ in range(10):
        world.look(OLD, NEW)
    world.look(OLD, revoked(NEW), by=(OLD, revoked(NEW)))
    for _ in range(20):
        world.look(OLD, NEW)
    assert world.trusts(OLD)


def test_when_all_are_revoked_the_zone_is_not_validated() -> None:
    world = World()
    news = world.look(revoked(OLD), by=(revoked(OLD),)).news
    assert news[-1] == "all keys of . are revoked: it is not validated any more (RFC 5011 §5)"
    assert world.trusts()
    assert world.look(OLD, NEW).news == ()


def test_keys_that_are_followed_are_bounded() -> None:
    world = World()
    many = [key(ED25519, number) for number in range(20, 20 + 2 * bounds.TRACKED_KEYS)]
    for _ in range(31):
        world.look(OLD, *many)
    assert len(world.point.keys) == bounds.TRACKED_KEYS < bounds.MAX_DS


@pytest.mark.parametrize(
    ("base", "kept"),
    [((OLD,), True), ((OLD, OTHER), True), ((OLD, NEW), True), ((OTHER,), False), ((NEW,), False), ((THIRD, OTHER), False)],
)
def test_another_base(base: tuple[Key, ...], kept: bool) -> None:
    """What was learnt by an anchor that is configured no more has nothing to rest on."""
    world = World()
    for _ in range(31):
        world.look(OLD, NEW)
    again = decode(ROOT, tuple(map(ds, base)), world.point.encode())
    world.point.rebase(tuple(map(ds, base)))
    for point in (world.point, again):
        assert set(point.trusted) == {*map(ds, base), *([ds(NEW)] if kept else [])}


def test_what_is_stored_is_as_it_was() -> None:
    world = World((OLD, NEW))
    for _ in range(5):
        world.look(OLD, NEW, THIRD)
    again = decode(ROOT, world.point.base, world.point.encode())
    assert (again.keys, again.trusted, again.encode()) == (world.point.keys, world.point.trusted, world.point.encode())
    assert {each.phase for each in again.keys.values()} == {Phase.PENDING}


def test_damaged_and_newer_records_are_refused() -> None:
    world = World()
    for _ in range(5):
        world.look(OLD, NEW)
    good = world.point.encode()
    members = json.loads(good)
    wrong = [b"", b"{}", b"[]", b"null", b"\xff\xfe", good[:-1], good[: len(good) // 2]]
    others = (("version", 2), ("base", [[1]]), ("base", "x"), ("keys", [{}]), ("keys", 5), ("looked", "x"), ("keys", ["x"]))
    for name, value in others:
        wrong.append(json.dumps({**members, name: value}).encode())
    for name, value in (("rdata", "AAAA"), ("rdata", "?"), ("phase", "x"), ("held", -1), ("held", 1e999), ("held", None)):
        wrong.append(json.dumps({**members, "keys": [{**members["keys"][0], name: value}]}).encode())
    for octets in wrong:
        with pytest.raises(ValueError):
            decode(ROOT, world.point.base, octets)
    for at in range(len(good)):  # whatever becomes of one octet, no key is trusted for it that was not
        broken = good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :]
        try:
            assert ds(NEW) not in decode(ROOT, world.point.base, broken).trusted
        except ValueError:
            pass
