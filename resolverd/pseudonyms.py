"""Log lines that name nobody (``[log] privacy = "hash"``): in place of people, machines and domains stand keyed hashes.

One name has one hash within the life of a key, so that the lines about one sender can still be found together. What a field
holds is hashed as a whole. In free text every word is that looks like a mail address, an address or a domain; what the
configuration names is nobody's secret and stays: its keys, lists, files, and our own addresses. Whatever a stranger may have
written without looking like one of these must not stand in such a text; `logs` sees to that.
"""

import hashlib
import hmac
import re
from collections.abc import Iterable
from ipaddress import ip_address
from typing import Final

_WORD = re.compile(r"[^\s()\[\]<>{}\"'`,;|=]+")
_NAMING = re.compile(r"@|[^.]\.[^.]|:.*:")
_NUMBER = re.compile(r"[+-]?\d+(?:\.\d+){1,2}(?:[a-zA-Z%]{0,3})", re.ASCII)
"""``0.5``, ``250.0ms``, ``3.40.1``: no IPv4 address, and no domain, which does not end in a digit."""
_WITH_PORT = re.compile(r"((?:\d{1,3}\.){3}\d{1,3})(:\d+)", re.ASCII)
_LINE_IN_FILE = re.compile(r":\d+$", re.ASCII)
_LENGTH: Final = 16


class Pseudonyms:
    """Hashes under a key. `public`: words that stay as they are, and paths, which stay together with what is below them."""

    def __init__(self, key: bytes, public: Iterable[str] = ()):
        self._key = key
        self._public: frozenset[str] = frozenset()
        self._paths: tuple[str, ...] = ()
        self.publish(public)

    def publish(self, public: Iterable[str]) -> None:
        """Let these words stay too."""
        words = {word.lower() for word in public if word}
        self._public |= words
        self._paths = tuple(word for word in self._public if word.startswith("/"))

    def of(self, value: object) -> str:
        """The hash of a name, letter case aside; empty for an empty one."""
        text = str(value).lower().encode("utf-8", "replace")
        return hmac.new(self._key, text, hashlib.sha256).hexdigest()[:_LENGTH] if text else ""

    def text(self, text: str) -> str:
        """Free text, with what names somebody hashed."""
        return _WORD.sub(lambda found: self._word(found[0]), text)

    def _word(self, word: str) -> str:
        bare = word.rstrip(".:!?")
        behind = word[len(bare) :]
        if not _NAMING.search(bare) or self._is_public(bare.lower()):
            return word
        if (found := _WITH_PORT.fullmatch(bare)) is not None:
            return f"{self.of(found[1])}{found[2]}{behind}"
        return f"{self.of(bare)}{behind}"

    def _is_public(self, word: str) -> bool:
        if word in self._public or _NUMBER.fullmatch(word):
            return True
        if word.startswith("/"):
            path = _LINE_IN_FILE.sub("", word)
            return "/../" not in path and any(path == own or path.startswith(f"{own.rstrip('/')}/") for own in self._paths)
        try:
            return ip_address(_LINE_IN_FILE.sub("", word) if word.count(":") == 1 else word).is_loopback
        except ValueError:
            return False
