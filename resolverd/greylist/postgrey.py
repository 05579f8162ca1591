"""Postgrey's database, as ``db_dump`` writes it: taking it over, and giving it back for programs that read it.

A dump is text: a header up to ``HEADER=END``, then a line a key and a line a value in turn, each with a blank in front, up to
``DATA=END``; several may stand one behind the other. Bytes are hexadecimal (``format=bytevalue``) or themselves, those that
are not printable as ``\\xx`` (``format=print``, ``db_dump -p``).

Postgrey keeps ``NETWORK/SENDER/RECIPIENT`` with the wall seconds ``FIRST,LAST`` in postgrey.db, and ``ADDRESS`` with
``COUNT,LAST`` in postgrey_clients.db. A triplet has passed when these lie as far apart as its `delay`.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from ipaddress import ip_address
from typing import NamedTuple

from resolverd.greylist.decide import Client, GreylistRules, Triplet
from resolverd.greylist.triplet import network, parts, triplet

_LATEST = 2**32 - 1
_ESCAPE = re.compile(rb"\\(\\|[0-9a-fA-F]{2})")
_PAIR = re.compile(rb"([0-9]{1,15}),([0-9]{1,15})(?:,.*)?", re.DOTALL)
_HASHED = re.compile(rb"[0-9a-f]{40}")


class Imported(NamedTuple):
    """What a dump has for us, by our keys. `hashed`: keys of ``--privacy``, which nobody can read; `odd`: entries that are
    neither triplet nor client."""

    triplets: Mapping[bytes, Triplet]
    clients: Mapping[bytes, Client]
    hashed: int = 0
    odd: int = 0


def entries(lines: Iterable[bytes]) -> Iterator[tuple[bytes, bytes]]:
    """Keys and values of a dump, from its lines. Raises ValueError for what is no dump, or not a whole one."""
    plain: bool | None = None
    begun = inside = False
    key: bytes | None = None
    number = 0
    for number, raw in enumerate(lines, 1):
        line = raw.rstrip(b"\r\n")
        if not inside:
            begun = True
            if line.startswith(b"format="):
                if line not in (b"format=print", b"format=bytevalue"):
                    raise ValueError(f"line {number}: a format that is not known")
                plain = line == b"format=print"
            elif line == b"HEADER=END":
                if plain is None:
                    raise ValueError(f"line {number}: the header names no format")
                inside, key = True, None
            elif not re.fullmatch(rb"[A-Za-z_]+=.*", line):
                raise ValueError(f"line {number}: not the header of a dump; db5.3_dump makes one of a database")
        elif line == b"DATA=END":
            if key is not None:
                raise ValueError(f"line {number}: a key without its value")
            begun = inside = False
            plain = None
        elif not line.startswith(b" "):
            raise ValueError(f"line {number}: neither key nor value")
        elif key is None:
            key = _bytes(line[1:], plain, number)
        else:
            yield key, _bytes(line[1:], plain, number)
            key = None
    if begun:
        raise ValueError("the dump ends before its DATA=END: it is not whole")
    if not number:
        raise ValueError("nothing is in it")


def from_postgrey(pairs: Iterable[tuple[bytes, bytes]], delay: int, rules: GreylistRules) -> Imported:
    """What Postgrey's entries are here; `delay` in seconds is what it was run with.

    Networks become those of our own prefix lengths, and senders are levelled once more. Where several entries become one,
    the passed one counts, then the one seen last.
    """
    triplets: dict[bytes, Triplet] = {}
    clients: dict[bytes, Client] = {}
    hashed = odd = 0
    for key, value in pairs:
        pair = _PAIR.fullmatch(value)
        if _HASHED.fullmatch(key):
            hashed += 1
        elif pair is None:
            odd += 1
        elif b"/" in key:
            first, last = (min(int(each), _LATEST) for each in pair.groups())
            try:
                ours = _key(key, rules)
            except ValueError:
                odd += 1
                continue
            new = Triplet(first, last, passed=last - first >= delay)
            triplets[ours] = max(triplets.get(ours, new), new, key=lambda each: (each.passed, each.last))
        else:
            try:
                address = str(ip_address(key.decode("ascii")))
            except ValueError:
                odd += 1
                continue
            clients[address.encode()] = Client(*(min(int(each), _LATEST) for each in pair.groups()))
    return Imported(triplets, clients, hashed, odd)


def to_postgrey(triplets: Iterable[tuple[bytes, Triplet]], delay: int) -> Iterator[bytes]:
    """The lines of a dump of these triplets by key, which ``db_load`` makes a postgrey.db of; `delay` is what its reader
    takes for the delay. Only triplets of networks are given, and none whose key ends in a digest: it knows no others."""
    yield b"VERSION=3\nformat=bytevalue\ntype=btree\nHEADER=END\n"
    for key, known in triplets:
        origin, sender, _ = parts(key)
        try:
            ip_address(origin)
        except ValueError:
            continue
        if sender is None:
            continue
        last = max(known.last, known.first + delay) if known.passed else min(known.last, known.first + max(delay - 1, 0))
        yield b" %s\n %s\n" % (key.hex().encode(), f"{known.first},{last}".encode().hex().encode())
    yield b"DATA=END\n"


def _key(theirs: bytes, rules: GreylistRules) -> bytes:
    """Our key for one of theirs. Raises ValueError for one that begins with no address."""
    text = theirs.decode("utf-8", "backslashreplace")
    origin, sender, recipient = parts(text.encode())
    ours = network(ip_address(origin), rules.ipv4_prefix, rules.ipv6_prefix)
    if sender is None or recipient is None:
        raise ValueError("no triplet")
    return triplet(ours, sender, recipient)


def _bytes(text: bytes, plain: bool | None, number: int) -> bytes:
    if plain:
        return _ESCAPE.sub(lambda found: b"\\" if found[1] == b"\\" else bytes.fromhex(found[1].decode()), text)
    try:
        return bytes.fromhex(text.decode("ascii"))
    except ValueError:
        raise ValueError(f"line {number}: not hexadecimal") from None
