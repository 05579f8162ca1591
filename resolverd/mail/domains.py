"""Which text is a domain that a list may be asked about, and which part of it is the registered domain.

The only module that knows the Public Suffix List (publicsuffix.org), which is compiled in: nothing is fetched.
"""

import re
from functools import cache, lru_cache

from publicsuffixlist import PSLFILE, PublicSuffixList

from resolverd import bounds
from resolverd.wire.alabels import a_labels, in_ascii

_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")
_MAX_TEXT = 253



@cache
def _suffixes(only_icann: bool) -> PublicSuffixList:
    """The list, read once: with the private part (``github.io``) or only what registries delegate."""
    with open(PSLFILE, encoding="utf-8") as lines:
        # Names are looked up as A-labels; encoding the few that need it here takes a third of the time.
        return PublicSuffixList(map(_encoded, lines), False, accept_encoded_idn=False, only_icann=only_icann)


def _encoded(line: str) -> str:
    if line.isascii() or line.startswith("//"):
        return line
    mark, name = ("!", line[1:]) if line.startswith("!") else ("", line)
    return mark + a_labels(name.strip())


def warm() -> None:
    """Read the list now, and what IDNA knows of letters: when a verdict waits for it, everybody waits."""
    _suffixes(False)
    _suffixes(True)
    a_labels("\u00fc")


@lru_cache(bounds.MAIL_NAMES)
def canonical(text: str) -> str | None:
    """The domain in lower case, as A-labels, without final dot; None for what is no host name at all.

    Address literals, addresses and anything else whose last label is all digits are none (as for Postfix's reject_rhsbl_*).
    """
    text = text.removesuffix(".")
    if not text.isascii():
        try:
            text = a_labels(text)
        except UnicodeError:
            return None
    text = text.lower()
    labels = text.split(".")
    if len(text) > _MAX_TEXT or labels[-1].isdigit() or not all(_LABEL.fullmatch(label) for label in labels):
        return None
    return text


def mailbox(address: str) -> str:
    """A mail address as addresses are compared: in lower case, its domain as A-labels where it has them."""
    local, at, domain = address.lower().rpartition("@")
    return f"{local}@{in_ascii(domain)}" if at else domain


@lru_cache(bounds.MAIL_NAMES)
def registrable(domain: str) -> str | None:
    """The registered domain of a canonical domain; None if its top level domain is unknown or it is itself a registry's suffix.

    Under suffixes that anybody hands out (``user.github.io``) it is the part that one user holds.
    """
    held = _suffixes(False).privatesuffix(domain) or _suffixes(True).privatesuffix(domain)
    return str(held) if held else None


def is_suffix(domain: str) -> bool:
    """Whether a canonical domain is a suffix under which registries register: ``com``, ``co.uk``."""
    return bool(_suffixes(True).publicsuffix(domain) == domain)
