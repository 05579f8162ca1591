"""What the lines of a mail log say, a record each. ``""`` and None are unknown.

`at` is in seconds, see `stamps`. `client_name` is ``unknown`` where the client has no verified name.
"""

from typing import TypeAlias

from resolverd.values import Value


class Connection(Value, frozen=True):
    """A client has connected, to smtpd or to postscreen."""

    at: int
    client_name: str
    client_address: str
    screened: bool
    """To postscreen, which hands those who pass on to smtpd: they are counted there again."""


class Received(Value, frozen=True):
    """A message has got a queue id: from a client, or from this machine (pickup: no client)."""

    at: int
    queue_id: str
    client_name: str
    client_address: str


class Queued(Value, frozen=True):
    """A message has come into the queue, told once a queue id however often it is tried again."""

    at: int
    queue_id: str
    sender: str
    size: int
    received: bool
    """Where it came from is known: it isn't another's forwarded copy or bounce."""
    client_name: str = ""
    client_address: str = ""


class Delivery(Value, frozen=True):
    """An attempt to deliver a message to one recipient. `status`: sent, deferred, bounced, expired, undeliverable, …"""

    at: int
    queue_id: str
    service: str
    recipient: str
    relay: str
    delay: float
    dsn: str
    status: str
    text: str
    sender: str | None = None
    """None: not in the log."""
    size: int | None = None
    client_name: str = ""
    client_address: str = ""
    original_recipient: str = ""
    """As the client named it, where an alias has made another of it."""


class Rejection(Value, frozen=True):
    """A message or a recipient not taken: a line of smtpd, postscreen or cleanup.

    `kind`: ``reject``, ``reject_warning``, ``hold``, ``discard``, ``milter-reject`` as Postfix says it, and ``warning`` of
    header and body checks. `stage`: CONNECT, HELO, MAIL, RCPT, DATA, END-OF-MESSAGE, header, body.
    """

    at: int
    kind: str
    stage: str
    service: str
    queue_id: str
    client_name: str
    client_address: str
    code: int
    """Of the reply; 0: none is logged."""
    dsn: str
    text: str
    """The whole reply behind code and DSN."""
    reason: str
    """What of it is the same for all refused for one reason: no addresses, links or references."""
    list: str
    """The zone or id of the list that is named as the reason."""
    reference: str
    """Ours: the verdict's id."""
    sender: str
    recipient: str
    helo_name: str

    @property
    def counts(self) -> bool:
        """Whether something was refused, be it for a while."""
        return self.kind in ("reject", "milter-reject")

    @property
    def greylisted(self) -> bool:
        """Whether it is greylisting's reply."""
        return self.reason.startswith("Greylisted")


class Decision(Value, frozen=True):
    """Our own line of a decision, or Postgrey's. `action`: pass, reject, defer, greylist; Postgrey knows pass and greylist."""

    at: int
    action: str
    reason: str
    client_name: str
    client_address: str
    sender: str
    recipient: str
    helo_name: str
    queue_id: str
    delay: int | None
    """Seconds from the first attempt to the one that passed greylisting."""
    score: float | None
    codes: tuple[str, ...]
    """Of the findings that counted."""
    id: str


class Pregreet(Value, frozen=True):
    """A client that talked before it was greeted, and what it said."""

    at: int
    client_address: str
    said: str


class AuthFailure(Value, frozen=True):
    """A login refused by smtpd."""

    at: int
    client_name: str
    client_address: str
    mechanism: str


class LostConnection(Value, frozen=True):
    """A client that left, or was sent away, in the middle.

    `after`: the command. `why`: ``lost connection``, ``timeout``, ``too many errors``, ``improper command pipelining``.
    """

    at: int
    client_name: str
    client_address: str
    after: str
    why: str


class Trouble(Value, frozen=True):
    """A warning or worse of a program of Postfix. `level`: warning, error, fatal, panic."""

    at: int
    level: str
    service: str
    text: str

    @property
    def policy(self) -> bool:
        """Whether it is about a policy service that cannot be asked."""
        return self.text.startswith("problem talking to server") or "access policy delegation" in self.text


Record: TypeAlias = (
    Connection | Received | Queued | Delivery | Rejection | Decision | Pregreet | AuthFailure | LostConnection | Trouble
)
