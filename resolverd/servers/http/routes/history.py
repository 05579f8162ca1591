"""The history of verdicts: those kept, newest first, a page a call."""

import asyncio
from collections.abc import Mapping
from contextlib import aclosing
from datetime import datetime
from ipaddress import ip_network
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from resolverd import bounds
from resolverd.durations import seconds_of
from resolverd.failures import StoreError
from resolverd.mail.findings import Action
from resolverd.policy.history import Mailbox, Wanted
from resolverd.policy.verdict_records import Summary, summary
from resolverd.policy.verdicts import KEPT_FOR
from resolverd.pseudonyms import Pseudonyms
from resolverd.servers.http.daemon import Daemon
from resolverd.servers.http.parameters import Text, rfc3339
from resolverd.servers.http.problems import Problem, store_failed
from resolverd.servers.http.route import Call, Route
from resolverd.servers.policy.log_line import without_words


def _is_network(text: str) -> bool:
    try:
        ip_network(text, strict=False)
    except ValueError:
        return False
    return True


def _is_time(text: str) -> bool:
    try:
        _wall(text, 0)
    except (ValueError, OverflowError):
        return False
    return True


def _wall(text: str, now: float) -> float:
    """The wall second of a time, or of so long ago. Raises ValueError and OverflowError."""
    try:
        return now - seconds_of(text)
    except ValueError:
        at = datetime.fromisoformat(text.replace(" ", "+"))  # a plus that was not escaped in the query
        if at.tzinfo is None:
            raise
        return at.timestamp()


_Time = Annotated[
    str,
    Meta(
        max_length=64,
        description='a time with its offset, as RFC 3339 has it, or how long ago, as "90m" or "7d"',
        extra={"valid": _is_time},
    ),
]
_Network = Annotated[str, Meta(max_length=64, description="an address or a network", extra={"valid": _is_network})]
_Limit = Annotated[int, Meta(ge=1, le=bounds.HISTORY_ITEMS, description=f"a number from 1 to {bounds.HISTORY_ITEMS}")]


class VerdictFilter(msgspec.Struct, kw_only=True):
    """Which verdicts are wanted; `client` may be a network, `sender` and `recipient` an address, a domain, or ``<>``."""

    action: Literal["accept", "reject", "defer", "greylist"] | None = None
    client: _Network | None = None
    sender: Text | None = None
    recipient: Text | None = None
    code: Text = ""
    list: Text = ""
    text: Text = ""


class HistoryQuestion(VerdictFilter, kw_only=True):
    """The same, given within some time, a page of them."""

    since: _Time | None = None
    until: _Time | None = None
    limit: _Limit = 100
    after: Text = ""


class HistoryItem(msgspec.Struct):
    """A verdict in short. `at`: when it was given (RFC 3339). `codes`: of findings that have a consequence; `lists`: who lists.

    `client_name` and what follows is null where it was not kept, as earlier versions did; `sender` is "" for the null sender.
    With ``[log] privacy = "hash"`` hashes stand for whoever is named. `host`: who gave it; null where no other host shares the
    store.
    """

    id: str
    at: str
    action: Literal["accept", "reject", "defer", "greylist"]
    reason: str
    client_address: str | None
    client_name: str | None
    helo_name: str | None
    sender: str | None
    recipient: str | None
    codes: tuple[str, ...]
    lists: tuple[str, ...]
    score: float
    host: str | None = None

    @classmethod
    def of(
        cls, verdict: Summary, lists: Mapping[str, str], pseudonyms: Pseudonyms | None, host: str = ""
    ) -> "HistoryItem":
        """As JSON has it. `lists`: their ids, by how texts name them. `host`: who gave it, where several share a store."""
        attempt, reason = verdict.attempt, verdict.reason
        client = None if verdict.client is None else str(verdict.client)
        if pseudonyms is not None:
            attempt = attempt and attempt.hashed(pseudonyms)
            client = client and pseudonyms.of(client)
            reason = without_words(reason, verdict.codes, verdict.action)
        return cls(
            id=verdict.id,
            at=rfc3339(verdict.at),
            action=verdict.action.value,
            reason=reason,
            client_address=client,
            client_name=attempt and attempt.client_name,
            helo_name=attempt and attempt.helo_name,
            sender=attempt and attempt.sender,
            recipient=attempt and attempt.recipient,
            codes=verdict.codes,
            lists=tuple(lists.get(each, each) for each in verdict.lists),
            score=verdict.score,
            host=host or None,
        )


class History(msgspec.Struct):
    """Verdicts, newest first. `next`: what to give as `after` to go on; null at the end.

    A call looks through so many verdicts at the most: there may be fewer items than wanted, or none, and still a `next`.
    `partial`: those of other hosts that share the store are missing, as it cannot be reached.
    """

    items: list[HistoryItem]
    next: str | None
    partial: bool = False


def list_ids(daemon: Daemon) -> Mapping[str, str]:
    """The ids of lists, by how texts name them."""
    return {spec.shown: spec.id for spec in daemon.lists.known.values()}


async def get_verdicts(call: Call, given: HistoryQuestion) -> History:
    """The verdicts of the last 7 days, newest first, a page a call."""
    try:
        history = await _history(call.daemon, given)
    except StoreError as error:
        raise store_failed(error) from None
    except KeyError:
        raise Problem(410, "the verdict that this page begins behind is not kept any more; begin without after") from None
    if call.daemon.hosts is not None:
        history.partial = bool((await call.daemon.store.condition()).fault)
    return history


async def _history(daemon: Daemon, given: HistoryQuestion) -> History:
    now = daemon.clock.wall()
    since = max(now - KEPT_FOR, _wall(given.since, now) if given.since else 0.0)
    wanted = verdicts_wanted(daemon, given, since, _wall(given.until, now) if given.until else float("inf"))
    ids, pseudonyms = list_ids(daemon), daemon.verdicts.pseudonyms
    items: list[HistoryItem] = []
    last, read = "", 0
    by_client = wanted.is_client if wanted.client is not None else None
    async with aclosing(daemon.verdicts.back(given.after, wanted.since, wanted.until, by_client)) as back:
        async for some in back:
            for number, kept in enumerate(some):
                if number % bounds.HISTORY_TURN == bounds.HISTORY_TURN - 1:
                    await asyncio.sleep(0)
                read += 1
                found = summary(kept.octets)
                if found is None:
                    continue
                last = found.id
                if wanted.has(found):
                    items.append(HistoryItem.of(found, ids, pseudonyms, kept.host))
                    if len(items) == given.limit:
                        return History(items, last)
            if read >= bounds.HISTORY_READ and last:
                return History(items, last)
            await asyncio.sleep(0)
    return History(items, None)


def verdicts_wanted(daemon: Daemon, given: VerdictFilter, since: float = 0.0, until: float = float("inf")) -> Wanted:
    """What is wanted, of what was given between these wall seconds."""
    pseudonyms = daemon.verdicts.pseudonyms
    shown = {id_: shown for shown, id_ in list_ids(daemon).items()}
    return Wanted(
        since=since,
        until=until,
        action=Action(given.action) if given.action else None,
        client=ip_network(given.client, strict=False) if given.client else None,
        sender=Mailbox.of(given.sender, pseudonyms) if given.sender is not None else None,
        recipient=Mailbox.of(given.recipient, pseudonyms) if given.recipient else None,
        code=given.code,
        listed_by=shown.get(given.list, given.list),
        text=given.text.lower(),
    )


ROUTES = (Route("GET", "/v1/verdicts", get_verdicts, problems=(410, 503)),)
