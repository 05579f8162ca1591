"""Under which keys it stands in the store what is known of an attempt."""

from collections.abc import Callable

from resolverd.greylist.decide import GreylistRules
from resolverd.greylist.organisation import VerifiedDomains, sender_key
from resolverd.greylist.triplet import client_text, network, triplets
from resolverd.mail.request import Attempt


class Keys:
    """The keys of one attempt.

    `triplets`: one for each name that the client has, the strongest verification first, the network, which needs none, last.
    `verify` tells to whom the client belongs, and is called at the most once, where that counts.
    """

    __slots__ = ("_attempt", "_by_organisation", "_sender", "_verified", "_verify", "client", "triplets")

    def __init__(self, attempt: Attempt, verify: Callable[[], VerifiedDomains], rules: GreylistRules) -> None:
        address = attempt.client_address
        assert address is not None
        self._attempt = attempt
        self._verify = verify
        self._verified: VerifiedDomains | None = None
        self._by_organisation = rules.key == "organisation"
        self._sender: tuple[bytes | None] | None = None
        own = network(address, rules.ipv4_prefix, rules.ipv6_prefix)
        origins = (*self.verified.organisations, own) if self._by_organisation else (own,)
        self.triplets = triplets(origins, attempt.sender, attempt.recipient)
        self.client = client_text(address).encode()

    @property
    def verified(self) -> VerifiedDomains:
        """To whom the client belongs."""
        if self._verified is None:
            self._verified = self._verify()
        return self._verified

    @property
    def written(self) -> tuple[bytes, ...]:
        """Under which a triplet is remembered: the first and the last."""
        first, last = self.triplets[0], self.triplets[-1]
        return (first,) if first == last else (first, last)

    def sender(self) -> bytes | None:
        """That of the sender domain with the organisation; None where there is nothing to learn. It costs a verification."""
        if self._sender is None:
            verified = self.verified if self._by_organisation else self.verified.by_spf
            owners = verified.organisations
            self._sender = (sender_key(owners[0], self._attempt.sender_domain) if owners else None,)
        return self._sender[0]
