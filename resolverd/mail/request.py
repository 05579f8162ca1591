"""One delivery attempt as a mail server describes it, in Postfix's own attribute names (SMTPD_POLICY_README)."""

from resolverd.values import Value
from resolverd.wire.names import Address


class Attempt(Value, frozen=True):
    """What is known of an attempt before anybody is asked.

    Empty string: not given. `client_name` is Postfix's verified name, `reverse_client_name` its unverified PTR; both are
    ``unknown`` where Postfix found none *or had a temporary failure*, so ``unknown`` proves nothing. `sender` without angle
    brackets, empty for the null sender; `has_sender` tells ``<>`` from "no MAIL FROM yet". `at`: when it is looked at, wall
    seconds; no attribute of Postfix's.
    """

    client_address: Address | None = None
    client_name: str = ""
    reverse_client_name: str = ""
    helo_name: str = ""
    sender: str = ""
    has_sender: bool = True
    recipient: str = ""
    recipient_count: int = 0
    protocol_state: str = "RCPT"
    instance: str = ""
    queue_id: str = ""
    sasl_username: str = ""
    etrn_domain: bool = False
    size: int = 0
    at: int = 0

    @property
    def message(self) -> str:
        """What tells the message from every other one: `instance`; empty where that is not its own.

        Exim as Postgrey's documentation sets it up gives client, sender and recipient there, the same at every try and with the
        next message.
        """
        if "@" not in self.instance:
            return self.instance
        who = (each.lower() for each in (self.recipient, self.sender) if "@" in each)
        return "" if any(each in self.instance.lower() for each in who) else self.instance

    @property
    def sender_domain(self) -> str:
        """What stands behind the last ``@`` of the sender; empty for the null sender and for local names."""
        return self.sender.rpartition("@")[2] if "@" in self.sender else ""

    @property
    def recipient_domain(self) -> str:
        """What stands behind the last ``@`` of the recipient."""
        return self.recipient.rpartition("@")[2] if "@" in self.recipient else ""
