"""What has been found out about the client of a message, so that it is found out once, however many recipients there are.

Postfix asks once for each recipient, and all requests of one message share their ``instance`` (SMTPD_POLICY_README).
"""

from collections import OrderedDict
from typing import Final, NamedTuple

from resolverd import bounds
from resolverd.generation import Generation
from resolverd.mail.findings import Finding
from resolverd.mail.request import Attempt
from resolverd.policy.lookup_budget import LookupBudgets
from resolverd.policy.lookups import LookupResults
from resolverd.values import replace

MAX_AGE: Final = 60.0
"""Seconds for which what came back stands for the client: its recipients follow one another, lists change meanwhile."""
_EXPIRED_AT_ONCE: Final = 4
"""Messages that have expired, forgotten with each that is remembered."""


class Transaction(NamedTuple):
    """What came back and what the checks made of it. `reverified`: the listings that would refuse have been
    asked about again. `budgets` pay for what is asked for any of the recipients."""

    results: LookupResults
    findings: list[Finding]
    reverified: bool
    budgets: LookupBudgets


class TransactionCache:
    """A bounded memory, oldest out first; `now` is monotonic seconds.

    `generation`: that of what is found out: names, lists and overrides. Nothing found out counts beyond a change of it.
    """

    def __init__(
        self, generation: Generation | None = None, *, max_messages: int = bounds.MAIL_TRANSACTIONS, max_age: float = MAX_AGE
    ) -> None:
        self.generation = generation or Generation()
        self._transactions: OrderedDict[Attempt, tuple[float, Transaction, int]] = OrderedDict()
        self._max_messages = max_messages
        self._max_age = max_age

    def __len__(self) -> int:
        """Messages remembered."""
        return len(self._transactions)

    def put(self, attempt: Attempt, transaction: Transaction, now: float, begun: int) -> None:
        """Remember it for the message of this attempt; one without ``instance`` is none.

        `begun`: the generation in which it was begun to find it out. Of an earlier one nothing counts but what it has cost.
        """
        if not attempt.instance:
            return
        key = _message(attempt)
        since, *_ = self._transactions.pop(key, (now,))
        self._transactions[key] = (since, transaction, begun)
        if len(self._transactions) > self._max_messages:
            self._transactions.popitem(last=False)
        self._expire(now)

    def _expire(self, now: float) -> None:
        """Forget the oldest that count no more: a few at a time, for each is hundreds of objects that have to be freed."""
        for _ in range(_EXPIRED_AT_ONCE):
            oldest = next(iter(self._transactions.values()), None)
            if oldest is None or now - oldest[0] <= self._max_age:
                return
            self._transactions.popitem(last=False)

    def get(self, attempt: Attempt, now: float) -> Transaction | None:
        """What is known of the message of this attempt."""
        since, transaction, begun = self._transactions.get(_message(attempt), (now, None, 0))
        return transaction if now - since <= self._max_age and begun == self.generation.number else None

    def budgets(self, attempt: Attempt, now: float) -> LookupBudgets | None:
        """What pays for the message of this attempt, whatever has changed since it was begun."""
        since, transaction, _ = self._transactions.get(_message(attempt), (now, None, 0))
        return transaction.budgets if transaction is not None and now - since <= self._max_age else None


def _message(attempt: Attempt) -> Attempt:
    """What an attempt has in common with those for the other recipients; also what checks look at, for instances may meet."""
    return replace(attempt, recipient="", recipient_count=0, queue_id="", size=0, at=0)
