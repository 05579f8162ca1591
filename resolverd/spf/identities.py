"""Who the client of an attempt says it is (RFC 7208 §2.3, §2.4), and which of that its address may say."""

from enum import StrEnum

from resolverd.mail.domains import canonical
from resolverd.mail.lookups import Replies
from resolverd.mail.request import Attempt
from resolverd.spf.evaluate import SpfSubject
from resolverd.spf.record import Result
from resolverd.spf.resume import progress
from resolverd.wire.alabels import in_ascii


class Identity(StrEnum):
    """Whose name was checked (RFC 7208 §9.1)."""

    MAILFROM = "mailfrom"
    HELO = "helo"


def claims(attempt: Attempt, hostname: str = "unknown", *, helo: bool = True) -> list[tuple[Identity, SpfSubject]]:
    """What to check of who the client says it is, the sender first. The null sender is ``postmaster`` at the HELO name."""
    found = []
    helo_domain = canonical(attempt.helo_name) or ""
    postmaster = f"postmaster@{helo_domain}"
    if attempt.has_sender and not attempt.sender:
        if helo_domain:
            found.append((Identity.HELO, subject_of(attempt, helo_domain, postmaster, hostname)))
        return found
    if attempt.has_sender and attempt.sender_domain:
        local, domain = attempt.sender.rpartition("@")[0], in_ascii(attempt.sender_domain)
        found.append((Identity.MAILFROM, subject_of(attempt, domain, f"{local}@{domain}", hostname)))
    if helo and "." in helo_domain:
        found.append((Identity.HELO, subject_of(attempt, helo_domain, postmaster, hostname)))
    return found


def authorised(attempt: Attempt, replies: Replies) -> str:
    """The domain of the sender (of HELO for the null sender) whose record lets the client pass, and not everybody; as these
    replies have it, empty for none."""
    if attempt.client_address is None:
        return ""
    for _, subject in claims(attempt, helo=False):
        outcome = progress(subject, replies).outcome
        if outcome is not None and outcome.result is Result.PASS and not outcome.worthless:
            return subject.domain
    return ""


def subject_of(attempt: Attempt, domain: str, sender: str, hostname: str) -> SpfSubject:
    """What is checked of an attempt that has a client address."""
    assert attempt.client_address is not None
    return SpfSubject(attempt.client_address, domain, sender, attempt.helo_name, hostname, attempt.at)
