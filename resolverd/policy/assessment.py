"""What evaluating an attempt has come to, apart from what is new with every mail: greylisting, reference, counting."""

import math
from typing import NamedTuple

from resolverd.greylist.organisation import VerifiedDomains
from resolverd.mail.findings import HeaderField, Listing
from resolverd.mail.lookups import ListLookup
from resolverd.overrides.matching import OverrideMatch
from resolverd.policy.verdict import Decision
from resolverd.policy.what_if import WhatIfs


class Assessment(NamedTuple):
    """The `decision` without what greylisting says, and what else a verdict needs.

    `partial`: something that was asked stayed unknown. `overrides` have counted. `cleared`: the lists (by id) that do not list
    what they were asked about. `header` tells of a finding on delivered mail. `listed_by`: the lists that list somebody.

    Of one that is kept besides: `cleared_since`, from when the oldest of those replies is (monotonic seconds); `listings`, those
    without which the mail would not be refused; `name`, the client's, verified; and to whom it belongs (`verified`).
    """

    decision: Decision
    what_ifs: WhatIfs
    partial: bool
    overrides: tuple[OverrideMatch, ...]
    cleared: tuple[str, ...]
    header: HeaderField | None
    listed_by: tuple[Listing, ...] = ()
    cleared_since: float = math.inf
    listings: tuple[ListLookup, ...] = ()
    name: str = ""
    verified: VerifiedDomains = VerifiedDomains()
