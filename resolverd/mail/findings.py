"""What checks find and what becomes of it: Finding, Verdict, and the words both are made of."""

import re
from enum import StrEnum
from typing import Final, NamedTuple

from resolverd.mail.lookups import DnsLookup
from resolverd.mail.request import Attempt
from resolverd.mail.sanitize import sanitize
from resolverd.values import Value
from resolverd.wire.codes import type_text
from resolverd.wire.names import Address, to_text
from resolverd.wire.rdata import summary

POSTPONED: Final = "Message deferred"
"""How a reply begins that tells of a trouble that passes, whatever it is about. Filters that ban who was refused (fail2ban's
``postfix``, in all its modes and versions) go by the words of Postfix's refusals, so none of them stands there."""

_REFUSED = re.compile(r"(?:Message rejected|(.+?) rejected|Service unavailable) \((.*)\)")


class Consequence(StrEnum):
    """What a check's finding is configured to do (``[checks.NAME] action``)."""

    REJECT = "reject"
    DEFER = "defer"
    GREYLIST = "greylist"
    SCORE = "score"
    TAG = "tag"
    WARN = "warn"
    OFF = "off"


class Action(StrEnum):
    """The outcome of a verdict."""

    ACCEPT = "accept"
    REJECT = "reject"
    DEFER = "defer"
    GREYLIST = "greylist"


class SmtpReply(NamedTuple):
    """An SMTP refusal as the replaced Postfix restriction words it: ``450 4.7.25 Client host rejected (…)``."""

    code: int
    enhanced: str
    text: str

    @property
    def permanent(self) -> bool:
        """5xx."""
        return self.code >= 500

    @property
    def deferred(self) -> "SmtpReply":
        """The same words with a code that invites another try."""
        return SmtpReply(450, f"4{self.enhanced[1:]}", self.text) if self.permanent else self

    @property
    def postponed(self) -> "SmtpReply":
        """What is said where a trouble that passes keeps this from being said: in words that no filter counts."""
        found = _REFUSED.fullmatch(self.text)
        about = ": ".join(filter(None, found.groups())) if found else self.text
        return self.deferred._replace(text=f"{POSTPONED} ({about})")

    def __str__(self) -> str:
        return f"{self.code} {self.enhanced} {self.text}"


class Data(NamedTuple):
    """Records that came back: the first ones, and how many `more`."""

    rdatas: tuple[bytes, ...]
    more: int


class Evidence(NamedTuple):
    """One question asked and what came back; `age` in seconds where it came from a cache, when the checks asked it.

    What is not in words as yet is worded when it is read, by `asked` and `answered`.
    """

    question: DnsLookup | str
    reply: Data | str
    age: int | None = None
    ms: int | None = None

    @property
    def asked(self) -> str:
        """What was asked, in words."""
        question = self.question
        if isinstance(question, str):
            return sanitize(question)
        return sanitize(f"{to_text(question.name).removesuffix('.')} {type_text(question.rtype)}")

    @property
    def answered(self) -> str:
        """What came back, in words."""
        reply, question = self.reply, self.question
        if isinstance(reply, str):
            return sanitize(reply, 200)
        if isinstance(question, str):
            return f"{len(reply.rdatas) + reply.more} records"
        texts = [summary(question.rtype, rdata).removesuffix(".") for rdata in reply.rdatas]
        return sanitize(", ".join(texts) + (f" and {reply.more} more" if reply.more else ""), 200)


class Status(StrEnum):
    """What a finding rests on."""

    KNOWN = "known"
    UNKNOWN = "unknown"
    """Something that the check wanted to know could not be found out."""
    NOTHING = "nothing"
    """There was nothing to look at, or nobody looked."""


class Topic(NamedTuple):
    """What a finding is about (``address`` and ``client``, which is its names, ``helo``, ``sender``, ``recipient``), and who
    says it (``dns``, ``lists``, ``spf``, ``greylist``). In what is suppressed, an empty part stands for any."""

    about: str = ""
    source: str = ""

    def covers(self, topic: "Topic | None") -> bool:
        """Whether findings on this other topic are meant."""
        return topic is not None and self.about in ("", topic.about) and self.source in ("", topic.source)


ANYTHING: Final = Topic()
"""In `Effect.suppresses`: every finding that speaks against the client, and greylisting."""
GREYLISTING: Final = Topic(source="greylist")


class Effect(NamedTuple):
    """What a finding does to the others.

    What it `suppresses` does not count. What it `may_suppress`, had an allow list been reached, refuses for now only.
    `allow_listed`: an allow list has the client. `final`: nothing suppresses it, and no other refusal takes its place.
    """

    suppresses: tuple[Topic, ...] = ()
    may_suppress: tuple[Topic, ...] = ()
    allow_listed: bool = False
    final: bool = False


NO_EFFECT: Final = Effect()


class HeaderField:
    """A header field that tells of a finding on delivered mail."""

    __slots__ = ()

    def line(self, attempt: Attempt) -> str:
        """The whole field, name included, for this attempt."""
        raise NotImplementedError


class Finding(NamedTuple):
    """What one check has to say of one attempt; every check that ran says something, neutral or not.

    `code` is from a closed set (metrics, tests, JSON: ``ptr_missing``), `text` is for people. `score` is in points, as it
    counts. `consequence` is None for neutral findings. `reply` is what SMTP says where the finding refuses; a tempfail
    carries a 4xx reply. `link`: where the sender can read on. `topic`: what it is about, None where nothing but ANYTHING
    suppresses it. `header` tells of it on delivered mail; it may name the sender, which nothing else of a finding has to.
    `list_id`: the list whose listing it is.
    """

    check: str
    code: str
    text: str
    score: float = 0
    consequence: Consequence | None = None
    reply: SmtpReply | None = None
    link: str = ""
    evidence: tuple[Evidence, ...] = ()
    ms: int = 0
    status: Status = Status.KNOWN
    topic: Topic | None = None
    effect: Effect = NO_EFFECT
    header: HeaderField | None = None
    list_id: str = ""


class GreylistOutcome(Value, frozen=True, array_like=True):
    """What greylisting did: `state` new, early-retry, passed (first success), known, allowed (the client), or skipped.

    `missing`: seconds still to wait; `delayed`: seconds the sender was held up, on `passed`; `reason`: Postgrey's word
    for the log (``early-retry (173s missing)``, ``triplet found``, ``client AWL``), or why skipped.
    """

    state: str
    missing: int = 0
    delayed: int = 0
    reason: str = ""


class Listing(NamedTuple):
    """A list that lists whom a verdict is about, or a name of theirs.

    `unique`: no other list of its purpose that was waited for does. `decisive`: without it the verdict would have been another
    one: milder without a block list, harsher without an allow list.
    """

    list_id: str
    unique: bool
    decisive: bool


class WhatIf(NamedTuple):
    """One thing that would have changed what becomes of the mail: `without` these findings (by code) it would be `action`;
    where `without` is empty, `text` says what else."""

    without: tuple[str, ...]
    action: Action
    text: str


class Verdict(Value, frozen=True):
    """The outcome of one attempt, with everything that led to it.

    `reply` is the refusal to be said, ``; LINK; ref ID`` included, or None. `header` is the one header due with *this*
    reply (one action carries one header), empty for none. `partial`: something that was asked stayed unknown.
    `what_if`: what would have changed it. `client`: whom it is about. `listings`: the lists that have them, and what they did.
    `cause`: the code of the finding that refuses or defers, the heaviest one where points do; empty where nothing does.
    """

    id: str
    action: Action
    score: float
    reason: str
    findings: tuple[Finding, ...] = ()
    reply: SmtpReply | None = None
    greylist: GreylistOutcome | None = None
    header: str = ""
    partial: bool = False
    ms: int = 0
    what_if: tuple[WhatIf, ...] = ()
    client: Address | None = None
    listings: tuple[Listing, ...] = ()
    cause: str = ""
