"""What is known of each server address, and which to ask next.

Round-trip times are smoothed as TCP does (RFC 6298 §2); patience is srtt + 4·rttvar. A server that was silent several times
in a row is dead and probed now and then. All is forgotten after a while, so that nobody is condemned for ever.
"""

from collections import OrderedDict
from collections.abc import Iterable
from random import Random

from resolverd import bounds
from resolverd.recursion.capabilities import Capabilities
from resolverd.wire.names import Address


class _State:
    __slots__ = ("born", "probed", "rttvar", "silent", "srtt")

    def __init__(self, now: float):
        self.born = now
        self.srtt = -1.0
        self.rttvar = 0.0
        self.silent = 0
        self.probed = now

    @property
    def expected(self) -> float:
        """Seconds after which its answer is to be expected."""
        return (self.srtt if self.srtt >= 0 else bounds.FIRST_TIMEOUT) + bounds.FIRST_TIMEOUT * self.silent

    def is_dead(self, now: float) -> bool:
        return self.silent >= bounds.DEAD_AFTER and now < self.probed + bounds.PROBE_AFTER


class Servers:
    """Memory of server addresses, bounded; what each copes with is in `capabilities`."""

    def __init__(self, entries: int = bounds.MAX_SERVERS):
        self._limit = entries
        self.capabilities = Capabilities(entries)
        self._states: OrderedDict[Address, _State] = OrderedDict()

    def __len__(self) -> int:
        return len(self._states)

    def choose(self, addresses: Iterable[Address], now: float, rng: Random) -> Address | None:
        """Whom to ask: one of those within the band of the fastest, at random; None if all are dead."""
        alive: list[tuple[float, Address]] = []
        for address in addresses:
            state = self._peek(address, now)
            if state is None:
                alive.append((bounds.FIRST_TIMEOUT, address))
            elif not state.is_dead(now):
                alive.append((state.expected, address))
        if not alive:
            return None
        slowest = min(expected for expected, _ in alive) + bounds.SERVER_BAND
        good = [address for expected, address in alive if expected <= slowest]
        return good[0] if len(good) == 1 else rng.choice(good)

    def timeout(self, address: Address, now: float) -> float:
        """Patience with this server, in seconds."""
        state = self._peek(address, now)
        if state is None or state.srtt < 0:
            patience = bounds.FIRST_TIMEOUT
        else:
            patience = max(state.srtt + 4 * state.rttvar, bounds.MIN_TIMEOUT)
        if state is not None and state.silent:
            patience *= 2 ** min(state.silent, 3)
        return min(patience, bounds.MAX_TIMEOUT)

    def is_silent(self, address: Address, now: float) -> bool:
        """It did not answer when it was last asked."""
        state = self._peek(address, now)
        return state is not None and state.silent > 0

    def is_dead(self, address: Address, now: float) -> bool:
        """Silent too often, and its next probe is not due yet."""
        state = self._peek(address, now)
        return state is not None and state.is_dead(now)

    def answered(self, address: Address, rtt: float, now: float) -> None:
        """It answered, after `rtt` seconds."""
        state = self._get(address, now)
        state.silent = 0
        if state.srtt < 0:
            state.srtt, state.rttvar = rtt, rtt / 2
        else:
            state.rttvar += (abs(state.srtt - rtt) - state.rttvar) / 4
            state.srtt += (rtt - state.srtt) / 8

    def silent(self, address: Address, now: float, since: float | None = None) -> None:
        """It did not answer in time to a question that was sent at `since` (`now` if not given).

        Questions under way together are silent together: however many, that is one silence. Else a fraction of a second
        without network would make dead whoever is asked often.
        """
        state = self._get(address, now)
        if state.silent and since is not None and since < state.probed:
            return
        state.silent += 1
        state.probed = now

    def _peek(self, address: Address, now: float) -> _State | None:
        state = self._states.get(address)
        return state if state is not None and now < state.born + bounds.FORGET_SERVER else None

    def _get(self, address: Address, now: float) -> _State:
        state = self._peek(address, now)
        if state is None:
            state = self._states[address] = _State(now)
        self._states.move_to_end(address)
        while len(self._states) > self._limit:
            self._states.popitem(last=False)
        return state
