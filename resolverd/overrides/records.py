"""How overrides are kept: a record each, in octets."""

import struct
from typing import Final

from resolverd import bounds
from resolverd.overrides.rules import DENY, Override, OverrideKey, key_of

_LATEST: Final = 2**32 - 1
"""The last second that 32 bits can tell."""
_VERSION: Final = 1
_HEAD = struct.Struct(">BIIII")
_PUT_OFF: Final = "defer"
"""How the action of a temporary denial is written."""


def encode_key(key: OverrideKey) -> bytes:
    """``deny all 192.0.2.7``, ``defer all 192.0.2.7`` (a temporary denial), ``allow lists example.com anna@example.org``: no part
    has a blank in it."""
    action = _PUT_OFF if key.temporary else key.action
    return " ".join(filter(None, (action, key.scope, key.subject, key.recipient))).encode()


def encode(override: Override) -> bytes:
    """Big endian: version 1; since, until, hits, last (32 bits each); owner, reason, reference: a length of 16 bits, UTF-8."""
    texts = [text.encode() for text in (override.owner, override.reason, override.from_id)]
    numbers = (min(each, _LATEST) for each in (override.since, override.until, override.hits, override.last))
    return _HEAD.pack(_VERSION, *numbers) + b"".join(len(each).to_bytes(2, "big") + each for each in texts)


def decode_key(octets: bytes) -> OverrideKey | None:
    """The key, or None for octets that are none."""
    try:
        action, scope, subject, *recipient = octets.decode().split(" ")
        put_off = action == _PUT_OFF
        key = key_of(DENY if put_off else action, subject, scope, *recipient, temporary=put_off)
    except (ValueError, TypeError):
        return None
    return key if encode_key(key) == octets else None


def decode(key: bytes, octets: bytes) -> Override | None:
    """The record, or None for octets that are none: damaged ones count as absent."""
    found = decode_key(key)
    if found is None:
        return None
    try:
        version, since, until, hits, last = _HEAD.unpack_from(octets)
        texts, at = [], _HEAD.size
        for _ in range(3):
            end = at + 2 + int.from_bytes(octets[at : at + 2], "big")
            if end > len(octets) or at + 2 > len(octets):
                return None
            texts.append(octets[at + 2 : end].decode())
            at = end
    except (ValueError, struct.error):
        return None
    if version != _VERSION or at != len(octets):
        return None
    if any(len(text) > bounds.NOTE or not text.isprintable() for text in texts):
        return None
    owner, reason, from_id = texts
    return Override(found, since, until, owner, reason, from_id, hits, last)
