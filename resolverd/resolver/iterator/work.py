"""What validating the answer to one client question may cost (KeyTrap, CVE-2023-50387; NSEC3, CVE-2023-50868).

Signatures and hashes are what an attacker makes cheaply and a validator pays dearly for. One `Work` is handed through all
that is validated for a question, other servers' answers to it and the chains of its aliases included, and is never reset.
"""

from resolverd import bounds


class TooMuch(Exception):
    """The question has cost what one may: what is not validated by now is not; the message says what there was too much of."""


class Work:
    """What has been spent. Whoever is about to spend calls `charge_…` first and gets TooMuch where that is beyond the bounds."""

    __slots__ = ("failures", "hashes", "verifications", "working_keys")

    def __init__(self) -> None:
        self.verifications = 0
        self.failures = 0
        self.hashes = 0
        self.working_keys: set[bytes] = set()
        """Keys by their rdata that have verified something: tried first where keys share a tag."""

    def charge_verification(self) -> None:
        """A signature is going to be verified. Raises TooMuch."""
        if self.verifications >= bounds.MAX_VERIFICATIONS:
            raise TooMuch(f"more than {bounds.MAX_VERIFICATIONS} signatures to verify for one question")
        self.verifications += 1

    def charge_failure(self) -> None:
        """One has turned out not to be what its key would have signed. Raises TooMuch."""
        self.failures += 1
        if self.failures > bounds.MAX_FAILED_VERIFICATIONS:
            raise TooMuch(f"more than {bounds.MAX_FAILED_VERIFICATIONS} signatures that fail for one question")

    def charge_hashes(self, count: int = 1) -> None:
        """Names are going to be hashed. Raises TooMuch."""
        if self.hashes + count > bounds.MAX_HASHES:
            raise TooMuch(f"more than {bounds.MAX_HASHES} NSEC3 hashes for one question")
        self.hashes += count
