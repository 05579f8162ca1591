"""What is known of each server, and which to ask next.

Round-trip times are smoothed as TCP does (RFC 6298 §2); the RTO is srtt + 4·rttvar, doubled with each timeout until a
reply shows by itself how long it took (§5.5, §3). A server that timed out several times in a row is down, and probed now and
then. All entries expire, so that no server is down for ever.
"""

from collections import OrderedDict
from collections.abc import Iterable
from operator import itemgetter
from random import Random

from resolverd import bounds
from resolverd.resolver.iterator.capabilities import Capabilities
from resolverd.resolver.iterator.retries import Attempts
from resolverd.values import Value
from resolverd.wire.ask import Server, Transport

_SECONDS = itemgetter(0)


class _ServerState:
    __slots__ = ("backoff", "born", "expected", "probed", "rttvar", "srtt", "timeouts")

    def __init__(self, now: float):
        self.born = now
        self.srtt = -1.0
        self.rttvar = 0.0
        self.timeouts = 0
        self.backoff = 0
        self.probed = now
        self.expected = bounds.FIRST_TIMEOUT
        """Seconds after which its answer is to be expected (`expect`)."""

    def expect(self) -> None:
        """Its round-trip time or its timeouts are others now."""
        if self.srtt < 0:
            # Who has never answered is less likely to be there at all.
            self.expected = bounds.FIRST_TIMEOUT * (1 + 2 * self.timeouts)
        else:
            self.expected = self.srtt + bounds.FIRST_TIMEOUT * self.timeouts

    def is_down(self, now: float) -> bool:
        return self.timeouts >= bounds.DEAD_AFTER and now < self.probed + bounds.PROBE_AFTER


class RttFact(Value, frozen=True):
    """The smoothed round-trip time of a server and its variance, as first known of at `born` (monotonic seconds)."""

    server: Server
    born: float
    srtt: float
    rttvar: float


class InfraCache:
    """Servers by address and port, bounded; what each supports is in `capabilities`."""

    def __init__(self, entries: int = bounds.MAX_SERVERS):
        self.limit = entries
        self.capabilities = Capabilities(entries)
        self._states: OrderedDict[Server, _ServerState] = OrderedDict()
        self.unanswered = 0
        """Timeouts in a row, whoever was asked."""

    def __len__(self) -> int:
        return len(self._states)

    def select(self, servers: Iterable[Server], attempts: Attempts, now: float, rng: Random) -> Server | None:
        """Whom to ask next: of those within the band of the fastest, the one with the fewest failures; None if all are down.

        What a server did before this question decides: one that answered a moment ago is asked twice before one that was
        silent then. A single packet gets lost, two in a row hardly; and who has never answered is perhaps not there. So what
        was to be expected of the one that is chosen is noted in `attempts`.
        """
        alive: list[tuple[float, int, Server]] = []
        states, forgotten, failed, expected = self._states, now - bounds.FORGET_SERVER, attempts.failed, attempts.expected
        for server in servers:
            state = states.get(server)
            if state is not None and state.born <= forgotten:
                state = None
            seconds = expected.get(server) if expected else None
            if seconds is None:
                if state is not None and state.timeouts and state.is_down(now):
                    continue
                seconds = bounds.FIRST_TIMEOUT if state is None else state.expected
            turns = failed.get(server, 0) if failed else 0
            if turns:
                seconds += bounds.FIRST_TIMEOUT * (turns // 2 if state is not None and state.srtt >= 0 else 2 * turns)
            alive.append((seconds, turns, server))
        if not alive:
            return None
        best: list[Server] = []
        slowest, fewest = min(alive, key=_SECONDS)[0] + bounds.SERVER_BAND, 0
        for seconds, turns, server in alive:
            if seconds > slowest or (best and turns > fewest):
                continue
            if turns < fewest:
                best.clear()
            best.append(server)
            fewest = turns
        # One call where `choice` makes three.
        chosen = best[rng.getrandbits(16) * len(best) >> 16] if len(best) > 1 else best[0]
        if chosen not in expected:
            state = states.get(chosen)
            expected[chosen] = bounds.FIRST_TIMEOUT if state is None or state.born <= forgotten else state.expected
        return chosen

    def expected(self, server: Server, now: float) -> float:
        """Seconds after which its answer is to be expected, as far as is known; many where it was silent lately."""
        state = self._peek(server, now)
        return bounds.FIRST_TIMEOUT if state is None else state.expected

    def rto(
        self,
        server: Server,
        now: float,
        timeouts: int = 0,
        transport: Transport = Transport.UDP,
        *,
        forwarder: bool = False,
        alone: bool = True,
    ) -> float:
        """Seconds to wait for its answer before anything else is tried as well, after so many `timeouts` of this question.

        How silent it has been before counts where it is `alone`: others wait for nobody who may be down.
        """
        state = self._states.get(server)
        if state is not None and state.born <= now - bounds.FORGET_SERVER:
            state = None
        rto, backoff = bounds.FIRST_TIMEOUT, 0
        if state is not None:
            backoff = state.backoff if alone else 0
            if state.srtt >= 0:
                rto = max(state.srtt + 4 * state.rttvar, bounds.MIN_TIMEOUT)
        if transport is not Transport.UDP:
            # Two round trips at least, and what its UDP takes says little of its TCP.
            return min(max(3 * rto, bounds.TCP_TIMEOUT, bounds.FORWARDER_TIMEOUT * forwarder), bounds.MAX_TCP_TIMEOUT)
        if timeouts or backoff:
            rto *= 1 << min(max(timeouts, backoff), 4)
        rto = min(rto, bounds.MAX_TIMEOUT)
        return max(rto, bounds.FORWARDER_TIMEOUT) if forwarder else rto

    def has_rtt(self, server: Server, now: float) -> bool:
        """Whether its round-trip time has ever been measured."""
        state = self._peek(server, now)
        return state is not None and state.srtt >= 0

    def last_timed_out(self, server: Server, now: float) -> bool:
        """It did not answer when it was last asked."""
        state = self._peek(server, now)
        return state is not None and state.timeouts > 0

    def is_down(self, server: Server, now: float) -> bool:
        """Silent too often, and its next probe is not due yet."""
        state = self._peek(server, now)
        return state is not None and state.is_down(now)

    def responsive(self, now: float) -> list[Server]:
        """Those whose round-trip time has been measured."""
        return [server for server, state in self._states.items() if state.srtt >= 0 and self._peek(server, now) is state]

    def reset_timeouts(self) -> None:
        """Forget all timeouts: it was our own network that was down."""
        for state in self._states.values():
            state.timeouts = state.backoff = 0
            state.expect()

    def rtt_update(self, server: Server, rtt: float | None, now: float) -> None:
        """It answered, after `rtt` seconds; None where that is ambiguous (repeated, or over TCP beside UDP)."""
        state = self._get(server, now)
        self.unanswered = state.timeouts = 0
        if rtt is not None:
            state.backoff = 0
            if state.srtt < 0:
                state.srtt, state.rttvar = rtt, rtt / 2
            else:
                state.rttvar += (abs(state.srtt - rtt) - state.rttvar) / 4
                state.srtt += (rtt - state.srtt) / 8
        state.expect()

    def timed_out(self, server: Server, now: float, since: float | None = None) -> None:
        """It did not answer in time to a question that was sent at `since` (`now` if not given).

        Questions in flight together time out together: however many, that is one timeout. Else a fraction of a second
        without network would take down whoever is asked often.
        """
        self.unanswered += 1
        state = self._get(server, now)
        if state.timeouts and since is not None and since < state.probed:
            return
        state.timeouts += 1
        state.backoff += 1
        state.probed = now
        state.expect()

    def facts(self, now: float) -> list[RttFact]:
        """The round-trip times known, to be kept over a restart. Timeouts are not: whoever was silent then may be back."""
        known = ((server, self._states[server]) for server in self.responsive(now))
        return [RttFact(server, state.born, state.srtt, state.rttvar) for server, state in known]

    def adopt(self, fact: RttFact, now: float) -> None:
        """Take up what was known before a restart, for the rest of its life, where nothing has been learnt since."""
        if now - bounds.FORGET_SERVER < fact.born <= now and fact.server not in self._states and len(self._states) < self.limit:
            state = self._states[fact.server] = _ServerState(fact.born)
            state.srtt, state.rttvar = fact.srtt, fact.rttvar
            state.expect()

    def _peek(self, server: Server, now: float) -> _ServerState | None:
        state = self._states.get(server)
        return state if state is not None and now < state.born + bounds.FORGET_SERVER else None

    def _get(self, server: Server, now: float) -> _ServerState:
        states = self._states
        state = states.get(server)
        if state is None or state.born <= now - bounds.FORGET_SERVER:
            state = states[server] = _ServerState(now)
            while len(states) > self.limit:
                states.popitem(last=False)
        states.move_to_end(server)
        return state
