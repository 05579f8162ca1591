"""Random zones and questions: what the zone's authority says is proven by the records it sends, and nothing else ever is."""

from collections.abc import Callable
from itertools import combinations

import dns.name
from denialzone import EVERYTHING, FORMS, NAMES, QTYPES, ModelZone, Nsec3Form, Says, Work, question, rtype, wire, zones
from hypothesis import given
from hypothesis import strategies as st

from resolverd import bounds
from resolverd.resolver.validator import denial
from resolverd.resolver.validator.denial import NoDs, Proof
from resolverd.wire.rrset import RRset


class Asked:
    """All that can be asked of a set of records about one name."""

    def __init__(self, records: list[RRset], zone: ModelZone, name: dns.name.Name):
        self.given = records, wire(zone.apex)
        self.name = wire(name)

    def nodata(self, text: str) -> Proof:
        return denial.nodata(*self.given, self.name, rtype(text), Work()).proof

    def nxdomain(self) -> Proof:
        return denial.nxdomain(*self.given, self.name, Work()).proof

    def wildcard(self, encloser: dns.name.Name) -> Proof:
        return denial.wildcard(*self.given, self.name, wire(encloser), Work()).proof

    def no_ds(self) -> NoDs:
        return denial.no_ds(*self.given, self.name, Work()).result


def agrees(zone: ModelZone, name: dns.name.Name, asked: Asked, *, opt_out: bool = False) -> None:
    """Nothing is proven that the zone would not say."""
    for text in QTYPES:
        if asked.nodata(text) is Proof.PROVEN:
            assert zone.answer(name, text) is Says.NODATA, text
    if asked.nxdomain() is Proof.PROVEN:
        assert zone.answer(name, "A") is Says.NXDOMAIN
    for encloser in zone.above(name):
        # The signature over the expanded RRset says that the wildcard exists.
        wildcard = dns.name.from_text("*", encloser)
        if wildcard in zone.names and asked.wildcard(encloser) is Proof.PROVEN:
            assert not zone.hidden_by(name)
            assert name not in zone.exists
            assert encloser == zone.encloser(name)
    if name != zone.apex:
        found = asked.no_ds()
        hidden = zone.hidden_by(name)
        if found is NoDs.INSECURE_DELEGATION and not opt_out:
            assert not hidden
            assert zone.is_cut(name)
        if found is not NoDs.MISSING:
            assert "DS" not in zone.names.get(name, ())
        if found is NoDs.NO_CUT:
            assert not hidden
            assert not zone.is_cut(name)


@EVERYTHING
@given(zones(), NAMES, st.data())
def test_all_of_the_nsec_chain_proves_what_is_true(zone: ModelZone, name: str, data: st.DataObject) -> None:
    asked_name = question(name, zone)
    chain = zone.nsec()
    asked = Asked(list(chain.values()), zone, asked_name)
    agrees(zone, asked_name, asked)
    for text in QTYPES:
        says = zone.answer(asked_name, text)
        assert (asked.nodata(text) is Proof.PROVEN) is (says is Says.NODATA), text
        assert (asked.nxdomain() is Proof.PROVEN) is (says is Says.NXDOMAIN), text
    some = data.draw(st.lists(st.sampled_from(list(chain.values()))))
    agrees(zone, asked_name, Asked(some, zone, asked_name))


@EVERYTHING
@given(zones(), NAMES, zones("other."))
def test_the_nsec_denial_is_complete_and_needs_each_record(zone: ModelZone, name: str, other: ModelZone) -> None:
    asked_name = question(name, zone)
    needed_by_all(zone, asked_name, zone.nsec(), zone.nsec_proof, list(other.nsec().values()), Nsec3Form())


@EVERYTHING
@given(zones(), NAMES, FORMS, st.data())
def test_any_of_the_nsec3_chain_proves_only_what_is_true(
    zone: ModelZone, name: str, form: Nsec3Form, data: st.DataObject
) -> None:
    asked_name = question(name, zone)
    chain = list(zone.nsec3(form).values())
    some = data.draw(st.lists(st.sampled_from(chain), max_size=bounds.MAX_NSEC3_RECORDS))
    # Records of other parameters say nothing, and take nothing away.
    others = list(zone.nsec3(Nsec3Form("cc", 2, form.opt_out)).values())
    for records in (some, chain[: bounds.MAX_NSEC3_RECORDS], [*some, *others][: bounds.MAX_NSEC3_RECORDS]):
        agrees(zone, asked_name, Asked(records, zone, asked_name), opt_out=form.opt_out)


@EVERYTHING
@given(zones(), NAMES, FORMS, zones("other."))
def test_the_nsec3_denial_is_complete_and_needs_each_record(
    zone: ModelZone, name: str, form: Nsec3Form, other: ModelZone
) -> None:
    asked_name = question(name, zone)
    foreign = list(other.nsec3(form).values())
    needed_by_all(zone, asked_name, zone.nsec3(form), lambda each: zone.nsec3_proof(each, form), foreign, form)


def needed_by_all(
    zone: ModelZone,
    name: dns.name.Name,
    chain: dict[dns.name.Name, RRset],
    proof_of: Callable[[dns.name.Name], set[dns.name.Name]],
    foreign: list[RRset],
    form: Nsec3Form,
) -> None:
    """What the authority sends proves its denial; with one record less, or another zone's in its place, it is missing."""
    if zone.hidden_by(name):
        return
    records = [chain[owner] for owner in sorted(proof_of(name))]
    said = {text: zone.answer(name, text) for text in QTYPES}

    def proven(given: list[RRset]) -> dict[str, Proof | NoDs]:
        asked = Asked(given, zone, name)
        out: dict[str, Proof | NoDs] = {text: asked.nodata(text) for text, says in said.items() if says is Says.NODATA}
        if said["A"] is Says.NXDOMAIN:
            out["NXDOMAIN"] = asked.nxdomain()
        return out

    hidden = form.opt_out and name not in zone.nsec3_owners(form)
    expected = Proof.INSECURE if hidden else Proof.PROVEN
    complete = proven(records)
    if hidden and zone.provable_wildcard(name, form) in zone.exists:
        # The real encloser is one that Opt-Out hides, so that this wildcard, which exists, is not the one to deny; but RFC 5155
        # §8.4 asks for that, and has no such NXDOMAIN.
        complete.pop("NXDOMAIN", None)
    assert set(complete.values()) <= {expected}, complete
    for fewer in combinations(records, len(records) - 1):
        for instead in ([], foreign[:1]):
            # Under Opt-Out the wildcard's record is not needed to know that nothing is known.
            weak = set(proven([*fewer, *instead]).values())
            assert weak <= ({Proof.MISSING, Proof.INSECURE} if hidden else {Proof.MISSING}), weak
    if said["DS"] in (Says.NODATA, Says.NXDOMAIN):
        cut = hidden or zone.is_cut(name)
        assert Asked(records, zone, name).no_ds() is (NoDs.INSECURE_DELEGATION if cut else NoDs.NO_CUT)
    if name not in zone.exists and zone.wildcard(name) in zone.names:
        assert Asked(records, zone, name).wildcard(zone.encloser(name)) is expected
