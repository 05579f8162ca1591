"""Whose mail an attempt is, by what is verified of it: the name under which greylisting remembers where it comes from.

Big senders retry from any of their hosts, in any of their networks; a triplet of network, sender and recipient then is new
at every try, for hours. What their hosts have in common is the domain that they can be shown to belong to. In order:

1. the domain whose SPF record authorises the client, unless it authorises everybody
2. the registered domain of the client's hostname, if that leads back to the client
3. the network

That is ``key = "organisation"``. By network, too, the senders of an organisation are learnt (`greylist.decide`), but for the
first of these alone: whoever names its hosts in SPF answers for them, while all the lines of an access provider have hostnames
that lead back, those of its customers' bots among them.

A retry is looked up under each name that it has, in this order, and remembered under the first and the last: nobody is a
stranger because something could be verified at one try and not at the other, and Postgrey's records count as they are.
"""

from functools import lru_cache
from typing import NamedTuple

from resolverd import bounds
from resolverd.greylist.triplet import MAX_KEY
from resolverd.mail.domains import canonical, registrable


class VerifiedDomains(NamedTuple):
    """The domains verified of a client; empty for none.

    `spf_domain`: the domain (of the sender, or of HELO for the null sender) whose SPF record gives the client ``pass`` by a
    mechanism that does not pass everybody. `hostname`: a name of the client that leads back to its address.
    """

    spf_domain: str = ""
    hostname: str = ""

    @property
    def by_spf(self) -> "VerifiedDomains":
        """What of this SPF verifies."""
        return VerifiedDomains(self.spf_domain)

    @property
    def organisations(self) -> tuple[str, ...]:
        """The registered domains that it belongs to, the strongest verification first."""
        return _organisations(*self)


@lru_cache(bounds.MAIL_NAMES)
def _organisations(*names: str) -> tuple[str, ...]:
    domains = (canonical(text) for text in names if text)
    return tuple(dict.fromkeys(held for domain in domains if domain and (held := registrable(domain))))


def sender_key(organisation: str, sender_domain: str) -> bytes | None:
    """The key under which a sender domain of an organisation is learnt; None where there is nothing to learn."""
    domain = canonical(sender_domain)
    key = f"{organisation}/{domain}".encode()
    return key if organisation and domain and len(key) <= MAX_KEY else None
