"""The tables that the hosts of a fleet share: what each keeps of them for itself, and how two accounts of a record become one.

===========================================  ====================  =====================================================
table                                        copied to own store   of two accounts
===========================================  ====================  =====================================================
greylist                                     what is met           passed wins, earliest first try, latest last one
greylist-clients, -senders                   what is met           higher count, latest success
clients                                      what is met           earliest first contact, latest of all else
overrides                                    all (watched)         later one, higher count of hits
negative_trust_anchors                       all (watched)         later one
fleet-verdicts                               nothing               never change
fleet-verdict-index, -heads                  nothing               each host writes its own
list-health                                  own (watched)         each host writes its own
hosts                                        nothing (watched)     each host writes its own
audit                                        own (watched)         never change
duties                                       nothing (watched)     what is there
list-replies                                 nothing               the one that counts longer
list-quotas                                  nothing (watched)     what is there: counts are added only, never put late
list-budgets, and all others                 nothing               what is there
===========================================  ====================  =====================================================

A deletion wins over whatever is older than it.
"""

from typing import Final

from resolverd.clients import history
from resolverd.clients.record import decode_record, encode_record
from resolverd.dnsbl import quota_slots
from resolverd.fleet import audit
from resolverd.greylist import service as greylist
from resolverd.greylist.decide import decode_client, decode_triplet, encode_client, encode_triplet
from resolverd.overrides import records
from resolverd.overrides import store as overrides
from resolverd.policy import published_verdicts
from resolverd.resolver import negative_anchors
from resolverd.resolver.validator import nta
from resolverd.state.base import StoredValue
from resolverd.state.merging import Copied, SharedTable, joined, longer_lived, of_one_writer, theirs_stays, written_once

_NO_CLOCK: Final = float(2**40)
"""A wall second so late that what is decoded at it is left as it is written."""

_TRIPLET = joined(lambda key, octets: decode_triplet(octets), encode_triplet, lambda each: each.last)
_CLIENT = joined(lambda key, octets: decode_client(octets), encode_client, lambda each: each.last)
_CONTACT = joined(lambda key, octets: decode_record(octets), encode_record, lambda each: each.last)
_OVERRIDE = joined(records.decode, records.encode, lambda each: each.since, lambda each: float(each.until or overrides.FOREVER))
_ANCHOR = joined(
    lambda key, octets: nta.decode(key, octets, _NO_CLOCK), nta.encode, lambda each: each.since, lambda each: float(each.until)
)

SHARED_TABLES: Final = {
    greylist.TRIPLETS: SharedTable(_TRIPLET, Copied.ALL, goes_on=True),
    greylist.CLIENTS: SharedTable(_CLIENT, Copied.ALL, goes_on=True),
    greylist.SENDERS: SharedTable(_CLIENT, Copied.ALL, goes_on=True),
    history.TABLE: SharedTable(_CONTACT, Copied.ALL, goes_on=True),
    overrides.TABLE: SharedTable(
        _OVERRIDE, Copied.ALL, small=True, readable=lambda key, octets: records.decode(key, octets) is not None
    ),
    negative_anchors.TABLE: SharedTable(
        _ANCHOR, Copied.ALL, small=True, readable=lambda key, octets: nta.decode(key, octets, _NO_CLOCK) is not None
    ),
    published_verdicts.PAGES: SharedTable(written_once, Copied.NOTHING),
    published_verdicts.INDEX: SharedTable(of_one_writer, Copied.NOTHING),
    published_verdicts.HEADS: SharedTable(of_one_writer, Copied.NOTHING, small=True),
    audit.TABLE: SharedTable(written_once, Copied.OWN, small=True),
    "list-health": SharedTable(of_one_writer, Copied.OWN, small=True),
    "hosts": SharedTable(of_one_writer, Copied.NOTHING, small=True),
    quota_slots.TABLE: SharedTable(theirs_stays, Copied.NOTHING, small=True),
    "duties": SharedTable(theirs_stays, Copied.NOTHING, small=True),
    "list-replies": SharedTable(longer_lived, Copied.NOTHING),
}
"""All that are not as `OTHERS`."""
OTHERS: Final = SharedTable(theirs_stays, Copied.NOTHING)
SMALL: Final = frozenset(name for name, table in SHARED_TABLES.items() if table.small)


def shared_table(name: str) -> SharedTable:
    """What is to be known of the table of this name."""
    return SHARED_TABLES.get(name, OTHERS)


def merge(table: str, key: bytes, ours: StoredValue | None, at: float, theirs: StoredValue | None) -> StoredValue | None:
    """What is to be at a key, of what this host could not write in time and what is there (`state.shared.Merge`)."""
    return shared_table(table).merge(key, ours, at, theirs)
