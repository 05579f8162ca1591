"""Which recipients a rule means, written as in Postgrey's ``whitelist_recipients``."""

from collections.abc import Iterable

from resolverd.mail.domains import mailbox


def matches(recipient: str, patterns: Iterable[str]) -> bool:
    """Whether one of the patterns means the recipient; letter case and ``+extension`` do not matter, nor how a domain
    is written (IDNA).

    ``name@`` is this name at any domain, the bare name included (RFC 5321 §4.5.1 has ``<postmaster>``);
    ``name@domain`` one address; ``@domain`` all addresses there; ``domain`` all there and below.
    """
    local, _, domain = mailbox(recipient).rpartition("@") if "@" in recipient else (recipient.lower(), "", "")
    names = {local, local.partition("+")[0]}
    return any(_means(pattern.lower(), names, domain) for pattern in patterns if pattern)


def _means(pattern: str, names: set[str], domain: str) -> bool:
    name, at, where = pattern.rpartition("@")
    if at:
        return where in ("", domain) and (name in names or not name)
    return domain == where or domain.endswith(f".{where}")
