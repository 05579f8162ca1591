"""Internationalised domain names as the DNS has them: A-labels of IDNA 2008 (RFC 5891), ``straße.example`` by itself.

What people write is mapped first, letter case and full stops of other scripts, as UTS 46 has it without its transitional part:
so do Postfix (``enable_idna2003_compatibility = no``) and today's browsers. Symbols, which IDNA 2008 leaves out although they
are registered, are looked up all the same, as there.
"""

import re

import idna

MAX_TEXT = 255
"""Characters of a name that can have A-labels: none is shorter in them (RFC 1035 §2.3.4). Longer text is not worth the work,
which grows with its square."""
_MAX_LABEL = 59
"""Characters of a label in other letters: ``xn--`` and at least one letter for each of them make 63."""


_PLAIN = re.compile(r"[A-Za-z0-9_-]*", re.ASCII)


class TooLong(UnicodeError):
    """Longer than any name is: there is no such domain, whatever its letters."""


def a_labels(domain: str) -> str:
    """A domain in ASCII; labels that are so already stay as they are. Raises TooLong, UnicodeError where it has no such form."""
    if domain.isascii():
        return domain
    if len(domain) > MAX_TEXT:
        raise TooLong(f"more than {MAX_TEXT} characters")
    mapped = idna.uts46_remap(domain, std3_rules=False, transitional=False)
    return ".".join(label if label.isascii() else _a_label(label) for label in mapped.split("."))


def _a_label(label: str) -> str:
    if len(label) > _MAX_LABEL or len(encoded := b"xn--" + label.encode("punycode")) > 63:
        raise TooLong("a label that is too long")
    try:
        return idna.alabel(label).decode("ascii")
    except idna.InvalidCodepoint:
        if not _PLAIN.fullmatch("".join(filter(str.isascii, label))):
            raise
        return encoded.decode("ascii")


def in_ascii(domain: str) -> str:
    """A domain as A-labels; as it is where it has none."""
    try:
        return a_labels(domain)
    except UnicodeError:
        return domain


def is_malformed(domain: str) -> bool:
    """Whether it has no A-labels, although it is no longer than a domain may be: who wrote it may know better than we do."""
    try:
        a_labels(domain)
    except TooLong:
        return False
    except UnicodeError:
        return True
    return False
