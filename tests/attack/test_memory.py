"""What strangers can make the caches take of the machine's memory, measured as RSS of a process of its own.

And what answering from memory costs: no more than in proportion to the reply, whatever lies there.
"""

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from resolverd.resolver.cache.rrsets import RRsetCache
from resolverd.resolver.iterator import lookup
from resolverd.wire import codes, peek
from resolverd.wire.names import from_text
from resolverd.wire.render import question, render
from resolverd.wire.rrset import RRset, Trust
from tests.attacks import Figure

HOARD = Path(__file__).with_name("hoard.py")
MIB = 1024 * 1024
SHORT = ("everything", "delegations", "list_replies", "aggressive")
ALL = (
    "fat_denials", "large_packets", "tiny_records", "many_types", "long_aliases", "large_sets", "signed", "denials",
    "tiny_packets", "glued_delegations", "tiny_delegations", "failures", "servers",
)  # fmt: skip


@pytest.mark.attack("R-31")
@pytest.mark.parametrize("what", [*SHORT, *ALL])
def test_caches_take_no_more_than_they_are_given(what: str, at_length: bool, figure: Figure) -> None:
    if what in ALL and not at_length:
        pytest.skip("part of everything; by itself in make soak")
    command = [sys.executable, str(HOARD), what, str((64 if at_length else 6) * MIB)]
    told = subprocess.run(command, capture_output=True, text=True, check=True, cwd=HOARD.parents[2]).stdout
    taken, given = map(int, told.split())
    figure("memory taken, of what is given", 100 * taken / given, "%", most=120)


WWW = from_text("www.evil")
SOA = RRset(from_text("evil"), codes.SOA, 3600, (b"\0\0" + b"\0" * 20,))


def plain(cache: RRsetCache) -> None:
    cache.put_negative(WWW, codes.A, 3600, (SOA,), Trust.AUTHORITATIVE, 0.0)


def fat_denial(cache: RRsetCache) -> None:
    proofs = tuple(RRset(from_text(f"a{number}.evil"), codes.NSEC, 3600, (b"\0\0\1\x40",)) for number in range(4000))
    cache.put_negative(WWW, codes.A, 3600, (SOA, *proofs), Trust.AUTHORITATIVE, 0.0)


def full_denial(cache: RRsetCache) -> None:
    """As many proofs as are kept."""
    proofs = tuple(RRset(from_text(f"a{number}.evil"), codes.NSEC, 3600, (b"\0\0\1\x40",)) for number in range(22))
    cache.put_negative(WWW, codes.A, 3600, (SOA, *proofs), Trust.AUTHORITATIVE, 0.0)
    hit = cache.get(WWW, codes.A, 0.0)
    assert hit is not None
    assert len(hit.authority) == 23


def large_set(cache: RRsetCache) -> None:
    """As many records as are kept, of which UDP takes none."""
    rrset = RRset(WWW, codes.A, 3600, tuple(number.to_bytes(4) for number in range(1000)))
    cache.put(rrset, Trust.AUTHORITATIVE, 0.0, WWW)
    assert cache.get(WWW, codes.A, 0.0) is not None


def cost(fill: Callable[[RRsetCache], None], *, do: bool) -> float:
    """CPU seconds of a hundred replies over UDP from memory, the best of some tries."""
    cache = RRsetCache(10 * MIB)
    fill(cache)
    query = peek.peek(question(1, codes.RD, WWW, codes.A, 1232, do))
    assert isinstance(query, peek.Query)
    best = float("inf")
    for _ in range(7):
        began = time.process_time()
        for _ in range(100):
            answer = lookup.answer(cache, WWW, codes.A, 1.0)
            assert answer is not None
            assert len(render(query, answer, 1232).data) <= 1232
        best = min(best, time.process_time() - began)
    return best


@pytest.mark.attack("R-31")
@pytest.mark.parametrize("fill", [fat_denial, full_denial, large_set])
@pytest.mark.parametrize("do", [True, False])
def test_answering_from_memory_costs_what_the_reply_is_worth(fill: Callable[[RRsetCache], None], do: bool) -> None:
    # It was 5 ms for each question about a denial with thousands of NSEC; a plain one takes some 20 µs.
    assert cost(fill, do=do) <= 20 * cost(plain, do=do)
