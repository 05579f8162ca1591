"""Sender Policy Framework (RFC 7208): may this address send mail for this domain?

    subject ──check_host──> asks, gets a reply, asks … ──> SpfOutcome
                 record     text to Record, all faults found before anything is evaluated
                 macros     %{…} to text
                 evaluate   the record applied to the subject, a generator over `mail.lookups.DnsLookup`
                 resume     an evaluation run with the replies so far: what is next, or what came of it
                 clientnames  the client's names, confirmed (§5.5)
                 identities   which subjects an attempt has
                 header     the outcome on delivered mail

Only TXT records are asked for (§3.1). `bounds` has the limits of §4.6.4.
"""

from resolverd.spf.evaluate import SpfOutcome, SpfSubject, check_host
from resolverd.spf.header import authentication_results, received_spf
from resolverd.spf.identities import Identity, authorised, claims, subject_of
from resolverd.spf.record import Result
from resolverd.spf.resume import Evaluation, Progress, evaluation, follow, progress

__all__ = [
    "Evaluation",
    "Identity",
    "Progress",
    "Result",
    "SpfOutcome",
    "SpfSubject",
    "authentication_results",
    "authorised",
    "check_host",
    "claims",
    "evaluation",
    "follow",
    "progress",
    "received_spf",
    "subject_of",
]
