"""Attempts at delivery, each as it should end: what the tutorial's stack and ours are compared on, and why they may differ."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from tests.lab.postfix import DOMAIN

ANNA: Final = f"anna@{DOMAIN}"
BERT: Final = f"bert@{DOMAIN}"

MAX_DIFFERENCES: Final = 5
"""Cases that may end otherwise than with the tutorial's stack."""

OK: Final = "250 accepted"
LATER: Final = "450 Greylisted"
ZEN: Final = "554 blocked using zen.spamhaus.org"
DBL: Final = "554 blocked using dbl.spamhaus.org"
NO_NAME: Final = "450 cannot find your reverse hostname"
NOT_ITS_NAME: Final = "450 cannot find your hostname"
NO_DOMAIN: Final = "450 Domain not found"
NO_HELO: Final = "450 Host not found"
NOT_FQDN: Final = "504 need fully-qualified hostname"
SPF_FAIL: Final = "550 SPF fail"
NOBODY: Final = "550 User unknown"

_REASONS: Final = (
    r"blocked using \S+\w", "Greylisted", "cannot find your reverse hostname", "cannot find your hostname", "Domain not found",
    "Host not found", "need fully-qualified hostname", "Invalid name", "invalid ip address", "SPF fail", "User unknown",
    "Relay access denied", "Access denied",
)  # fmt: skip


class Case(NamedTuple):
    """An attempt, and what each recipient is told at the first try; then whether the mail is taken once it comes again.

    `theirs`: what the tutorial's stack says instead, and `why` that is worth a difference. `words`: what the reasons have in
    common where the stacks do not give the same one of two, or one says more. `spf`: the result that Received-SPF has on the
    delivered mail.
    """

    title: str
    client: str
    helo: str
    sender: str
    says: tuple[str, ...]
    to: tuple[str, ...] = (ANNA,)
    theirs: tuple[str, ...] = ()
    why: str = ""
    words: str = ""
    spf: str = "none"

_POSTPONED: Final = {
    "your reverse hostname could not be looked up": "cannot find your reverse hostname",
    "your hostname could not be looked up": "cannot find your hostname",
    "the sender's domain could not be looked up": "Domain not found",
    "the HELO name could not be looked up": "Host not found",
    "blocked using": "Service unavailable",
}
"""What we say of a trouble that passes, in words of its own, and what smtpd says, which has the same words for both."""


def reason(code: int, text: str, words: str = "") -> str:
    """A reply as it is compared: its code, and the words that say why, which both stacks have in common."""
    if 200 <= code < 300:
        return OK
    if "Message deferred" in text:
        return f"{code} {next(theirs for ours, theirs in _POSTPONED.items() if ours in text)}"
    if words and words in text:
        return f"{code} {words}"
    if "null MX" in text or "nullMX" in text:
        return f"{code} null MX"
    found = next((match[0] for each in _REASONS if (match := re.search(each, text))), text)
    return f"{code} {found}"


_H4, _H6, _HELO = "192.0.2.10", "2001:db8:10::10", "mail.honest-mail.com"
_NEWS = ("198.51.100.10", "out.friendly-news.com")
_CLUB = ("192.0.2.20", "mx.gardening-club.org")
_BANK = ("198.51.100.50", "mx.trusted-bank.com")
_SPAM = "mail.spam-factory.net"
_DRIP = ("198.51.100.80", "out.dripemail2.com")

_DNSWL = "Who is vouched for comes back anyway: Postgrey, asked before the allow list, delays good mail and catches nobody."
_HARSHER = "Listed, and without a name: a listed client shall not be invited to try again, whichever fault is found first."
_FIRST = "Whether there is such a recipient is asked first: guesses at names spend no list's quota, and learn nothing by waiting."
_ERROR = "127.255.255.254 tells us that the list does not serve us. It says nothing of the client, who must not pay for it."

CASES: Final = (
    # good clients: greylisted once, then let through
    Case("an honest server", _H4, _HELO, "carol@honest-mail.com", (LATER,), spf="pass"),
    Case("the same over IPv6", _H6, _HELO, "carol6@honest-mail.com", (LATER,), spf="pass"),
    Case("the second server", "192.0.2.11", "mail2.honest-mail.com", "dave@honest-mail.com", (LATER,), spf="pass"),
    Case("no SPF record", *_CLUB, "tulips@gardening-club.org", (LATER,)),
    Case("a newsletter", *_NEWS, "weekly@friendly-news.com", (LATER,)),
    Case("on the allow list, without trust", "198.51.100.11", "out2.friendly-news.com", "daily@friendly-news.com", (LATER,)),
    Case("HELO in capitals", _H4, "MAIL.HONEST-MAIL.COM", "erin@honest-mail.com", (LATER,), spf="pass"),
    Case("HELO is an address literal", _H4, "[192.0.2.10]", "frank@honest-mail.com", (LATER,), spf="pass"),
    Case("HELO is an IPv6 literal", _H6, "[IPv6:2001:db8:10::10]", "frank6@honest-mail.com", (LATER,), spf="pass"),
    Case("HELO has only a mail server", _H4, "helo.honest-mail.com", "grace@honest-mail.com", (LATER,), spf="pass"),
    Case("a sender with extension", _H4, _HELO, "heidi+list@honest-mail.com", (LATER,), spf="pass"),
    Case("a sender domain with an address only", *_CLUB, "ivan@only-address.net", (LATER,)),
    Case("a sender at an address literal", *_CLUB, "judy@[192.0.2.20]", (LATER,)),
    Case("a sender of a sub-domain", *_CLUB, "kim@mx.gardening-club.org", (LATER,)),
    Case("null sender", *_CLUB, "", (LATER,), (BERT,)),
    Case("null sender, SPF of the HELO name", _H6, "honest-mail.com", "", (LATER,), spf="pass"),
    Case("null sender over IPv6", _H6, _HELO, "", (LATER,), (BERT,)),
    Case("to postmaster, who is in Postgrey's files", *_CLUB, "lilies@gardening-club.org", (OK,), (f"postmaster@{DOMAIN}",)),
    Case("to Bert", *_CLUB, "roses@gardening-club.org", (LATER,), (BERT,)),
    Case("to two", *_CLUB, "mallory@gardening-club.org", (LATER, LATER), (ANNA, BERT)),
    Case("to three, one of whom is nobody", *_CLUB, "nina@gardening-club.org", (LATER, NOBODY, LATER),
         (ANNA, f"nobody@{DOMAIN}", BERT), theirs=(LATER, LATER, LATER), why=_FIRST),
    Case("to two, from a passing sender over IPv6", _H6, _HELO, "oscar@honest-mail.com", (LATER, LATER), (ANNA, BERT),
         spf="pass"),
    Case("SPF softfail", *_CLUB, "peggy@soft-spoken.org", (LATER,), spf="softfail"),
    Case("SPF that lets anybody send", *_CLUB, "quentin@anybody-may.com", (LATER,), spf="pass"),
    Case("SPF with a faulty record", *_CLUB, "rupert@misspelt.net", (LATER,), spf="permerror"),
    Case("SPF that passes through an include", _H4, _HELO, "sybil@through-others.com", (LATER,), spf="pass"),
    # on an address list
    Case("listed", "192.0.2.66", _SPAM, "offer@spam-factory.net", (ZEN,)),
    Case("listed, over IPv6", "2001:db8:66::66", _SPAM, "offer@spam-factory.net", (ZEN,)),
    Case("in a dynamic range", "192.0.2.67", "host-67.spam-factory.net", "bot@spam-factory.net", (ZEN,)),
    Case("listed, null sender", "192.0.2.66", _SPAM, "", (ZEN,)),
    Case("listed, HELO literal", "192.0.2.66", "[192.0.2.66]", "offer@spam-factory.net", (ZEN,)),
    Case("listed, to postmaster", "192.0.2.66", _SPAM, "offer@spam-factory.net", (ZEN,), (f"postmaster@{DOMAIN}",)),
    Case("listed, to two", "192.0.2.66", _SPAM, "offer@spam-factory.net", (ZEN, ZEN), (ANNA, BERT)),
    Case("listed, its domain as well", "198.51.100.66", "blast.casino-deals.net", "win@casino-deals.net",
         ("554 blocked using",), words="blocked using"),
    Case("listed, bad HELO", "192.0.2.66", "spambot", "offer@spam-factory.net", (NOT_FQDN,)),
    Case("listed and nameless", "192.0.2.98", _HELO, "x@gardening-club.org", (ZEN,), theirs=(NO_NAME,), why=_HARSHER),
    # on a list of domains
    Case("the sender's domain listed", *_NEWS, "win@casino-deals.net", (DBL,)),
    Case("a sub-domain of a listed one", *_NEWS, "win@blast.casino-deals.net", (DBL,)),
    Case("the HELO name listed", _NEWS[0], "blast.casino-deals.net", "monthly@friendly-news.com", (DBL,)),
    Case("the client's name listed", "198.51.100.67", _NEWS[1], "monthly@friendly-news.com", (DBL,)),
    # on the allow list
    Case("vouched for", *_BANK, "statements@trusted-bank.com", (OK,), theirs=(LATER,), why=_DNSWL),
    Case("vouched for and listed", "192.0.2.70", "mail.both-lists.org", "post@both-lists.org", (OK,), theirs=(LATER,),
         why=_DNSWL),
    Case("vouched for, listed sender", *_BANK, "win@casino-deals.net", (DBL,)),
    Case("vouched for, forged sender", *_BANK, "forged@honest-mail.com", (SPF_FAIL,)),
    # without a name, or with one that lies
    Case("nameless", "192.0.2.99", _HELO, "bob@gardening-club.org", (NO_NAME,)),
    Case("nameless, over IPv6", "2001:db8:99::99", _HELO, "bob@gardening-club.org", (NO_NAME,)),
    Case("nameless, null sender", "192.0.2.99", _HELO, "", (NO_NAME,)),
    Case("a name that is not there", "192.0.2.90", _HELO, "bob@gardening-club.org", (NOT_ITS_NAME,)),
    Case("a name that is not there, over IPv6", "2001:db8:90::90", _HELO, "bob@gardening-club.org", (NOT_ITS_NAME,)),
    Case("a name of another address", "192.0.2.91", _HELO, "bob@gardening-club.org", (NOT_ITS_NAME,)),
    Case("its name's server dead", "198.51.100.200", _HELO, "bob@gardening-club.org", (NO_NAME,)),
    Case("its name's server lame", "198.51.100.201", _HELO, "bob@gardening-club.org", (NO_NAME,)),
    # HELO
    Case("HELO with one label", *_CLUB[:1], "localhost", "a@gardening-club.org", (NOT_FQDN,)),
    Case("HELO is a bare address", *_CLUB[:1], "192.0.2.20", "a@gardening-club.org", (NOT_FQDN,)),
    Case("HELO is no name", *_CLUB[:1], "-odd-.honest-mail.com", "a@gardening-club.org", ("501 Invalid name",)),
    Case("HELO is no literal", *_CLUB[:1], "[300.0.2.20]", "a@gardening-club.org", ("501 invalid ip address",)),
    Case("HELO is not there", *_CLUB[:1], "no-such.honest-mail.com", "a@gardening-club.org", (NO_HELO,)),
    Case("HELO's servers lame", *_CLUB[:1], "www.all-lame.com", "a@gardening-club.org", (NO_HELO,)),
    Case("HELO is not fully qualified, over IPv6", _H6, "ylmf-pc", "a@honest-mail.com", (NOT_FQDN,)),
    # the sender
    Case("no such sender domain", *_CLUB, "a@no-such-domain.com", (NO_DOMAIN,)),
    Case("a sender domain without mail or address", *_CLUB, "a@no-mail.org", (NO_DOMAIN,)),
    Case("a sender domain that takes no mail", *_CLUB, "a@null-mx.com", ("550 null MX",)),
    Case("a lame sender domain", *_CLUB, "a@all-lame.com", (NO_DOMAIN,)),
    Case("a dead sender domain", *_CLUB, "a@all-closed.com", (NO_DOMAIN,)),
    # SPF
    Case("a forged sender", *_CLUB, "forged@honest-mail.com", (SPF_FAIL,)),
    Case("a forged sender, over IPv6", "2001:db8:50::50", "mx.trusted-bank.com", "forged@honest-mail.com", (SPF_FAIL,)),
    Case("a forged HELO name", _CLUB[0], "honest-mail.com", "rose@gardening-club.org", (SPF_FAIL,)),
    Case("a forged HELO name, null sender", _CLUB[0], "honest-mail.com", "", (SPF_FAIL,)),
    Case("a domain that sends no mail", *_CLUB, "a@never-sends.org", (SPF_FAIL,)),
    Case("a fail through an include", *_CLUB, "a@through-others.com", (SPF_FAIL,)),
    # access maps
    Case("in rbl_override, listed", *_DRIP, "news@dripemail2.com", (LATER,)),
    Case("in rbl_override, listed over IPv6", "2001:db8:66::81", "mx.mlsend.com", "news@mlsend.com", (LATER,)),
    Case("in rbl_override, listed sender", *_DRIP, "prize@casino-deals.net", (LATER,)),
    Case("in rbl_override, bad HELO", _DRIP[0], "localhost", "news@dripemail2.com", (NOT_FQDN,)),
    Case("in rbl_override, forged sender", *_DRIP, "forged@honest-mail.com", (SPF_FAIL,)),
    Case("in helo_access", _CLUB[0], "optimus-webapi-prod-2.localdomain", "b@gardening-club.org", (LATER,)),
    Case("below a name in helo_access", _CLUB[0], "out.va-massmail-02.rakutenmarketing.com", "c@gardening-club.org", (LATER,)),
    Case("in helo_access, listed", "192.0.2.66", "optimus-webapi-prod-2.localdomain", "offer@spam-factory.net", (ZEN,)),
    # recipients
    Case("to somebody elsewhere", *_CLUB, "a@gardening-club.org", ("454 Relay access denied",), ("joe@honest-mail.com",)),
)

_SOFT = ("192.0.2.40", "mail.soft-spoken.org", "victor@soft-spoken.org")

ALLOW_LIST_DOWN: Final = (
    Case("dnswl down, listed by zen", "192.0.2.68", "host-68.spam-factory.net", "bot@spam-factory.net",
         ("450 Service unavailable",), words="Service unavailable"),
    Case("dnswl down, good client", "192.0.2.41", "mail.anybody-may.com", "uma@gardening-club.org", (LATER,)),
)
BLOCKED: Final = (Case("zen does not serve us, good client", *_SOFT, (LATER,), theirs=(ZEN,), why=_ERROR, spf="pass"),)
DOWN: Final = (
    Case("zen down, listed there", "192.0.2.69", "host-69.spam-factory.net", "bot2@spam-factory.net", (LATER,)),
    Case("zen down, good client", "192.0.2.43", "mail.through-others.com", "trent@gardening-club.org", (LATER,)),
    Case("zen down, listed sender", *_NEWS, "more@casino-deals.net", (DBL,)),
)
EVERY: Final = (*CASES, *ALLOW_LIST_DOWN, *BLOCKED, *DOWN)
