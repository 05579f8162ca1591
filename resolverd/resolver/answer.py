"""Answers to names for everybody in the daemon: local zones, what is built in, what is remembered, what recursion finds.

1. local zones come first: who puts a zone there wants its data, whatever the world or an earlier answer says;
2. built-in zones: such names must not leave the machine (RFC 6303 §2);
3. memory, and 4. recursion. What a local zone delegates is recursed for past the built-in zones: its servers are known.

The zones of lists are not here: the engine that asks lists asks through this, and would go round in circles.
"""

from collections.abc import Callable, Generator
from functools import partial

from resolverd import bounds
from resolverd.resolver.in_flight import awaited
from resolverd.resolver.iterator.budget import SharedBudget
from resolverd.resolver.local.builtin import BuiltinZones
from resolverd.resolver.local.replies import LocalData
from resolverd.resolver.local.table import LocalZones
from resolverd.resolver.mesh import Mesh
from resolverd.resolver.ports import Done, Waiting
from resolverd.values import replace
from resolverd.wire import codes, rdata
from resolverd.wire.answer import Answer, servfail
from resolverd.wire.names import Name, lower
from resolverd.wire.rrset import RRset, Security, each_once


class _NoLocalData:
    """No local zones."""

    def __init__(self) -> None:
        self.table = LocalZones()


class Resolve:
    """The `ports.Resolver` that checks, lists and clients share."""

    def __init__(self, builtin: BuiltinZones | None, mesh: Mesh, local_zones: LocalData | None = None):
        self.builtin = builtin
        self._mesh = mesh
        self.local_zones = local_zones if local_zones is not None else _NoLocalData()

    def known(self, name: Name, rtype: int, *, validate: bool = True) -> Answer | None:
        """The answer, where it needs no query; `validate` as `Mesh.known` has it."""
        name = lower(name)
        if not self.local_zones.table:
            answer = self.builtin.answer(name, rtype) if self.builtin is not None else None
            return answer if answer is not None else self._mesh.known(name, rtype, validate=validate)
        walk = self._walk(name, rtype)
        try:
            wanted = next(walk)
            while True:
                answer = self._mesh.known(wanted, rtype, validate=validate)
                if answer is None:
                    return None
                wanted = walk.send(answer)
        except StopIteration as stop:
            found: Answer = stop.value
            return found

    def stale(self, name: Name, rtype: int, *, validate: bool = True) -> Answer | None:
        """What can be had without recursion: what was known until lately, of local zones a referral or an alias."""
        said = self._table.ask(lower(name), rtype)
        return said.answer if said is not None else self._mesh.stale(lower(name), rtype, validate=validate)

    def with_servers(self, answer: Answer) -> Answer:
        """The answer with what is known of the servers of its zone (`Mesh.with_servers`)."""
        return self._mesh.with_servers(answer)

    def ask(
        self,
        name: Name,
        rtype: int,
        done: Done,
        *,
        deadline: float | None = None,
        bypass_cache: bool = False,
        shared_budget: SharedBudget | None = None,
        local: bool = True,
        validate: bool = True,
    ) -> Answer | Waiting:
        """The answer that is not `known`, or who waits for it: `done` is called with it then (`Mesh.ask`)."""
        name, mesh = lower(name), self._mesh
        if bypass_cache:
            ask = partial(mesh.ask_past_cache, deadline=deadline, shared_budget=shared_budget, local=local)
        else:
            recurse = partial(mesh.ask, deadline=deadline, shared_budget=shared_budget, local=local, validate=validate)
            if not self.local_zones.table:
                # Nothing leads into a local zone, so there is one step.
                return recurse(name, rtype, done)
            ask = partial(self._known_or_asked, recurse, validate)
        waiting = _Walk(self._walk(name, rtype), rtype, ask, done)
        return waiting.step() or waiting

    async def resolve(
        self,
        name: Name,
        rtype: int,
        *,
        deadline: float | None = None,
        bypass_cache: bool = False,
        shared_budget: SharedBudget | None = None,
        local: bool = True,
    ) -> Answer:
        """The answer for who awaits it, `known` or not; by `deadline` (monotonic seconds), as `Mesh.ask` has it."""
        if not bypass_cache and (answer := self.known(name, rtype)) is not None:
            return answer
        return await awaited(
            partial(self.ask, name, rtype, deadline=deadline, bypass_cache=bypass_cache, shared_budget=shared_budget, local=local)
        )

    def _known_or_asked(
        self, recurse: Callable[[Name, int, Done], Answer | Waiting], validate: bool, name: Name, rtype: int, done: Done
    ) -> Answer | Waiting:
        answer = self._mesh.known(name, rtype, validate=validate)
        return answer if answer is not None else recurse(name, rtype, done)

    @property
    def _table(self) -> LocalZones:
        return self.local_zones.table

    def _walk(self, name: Name, rtype: int) -> Generator[Name, Answer, Answer]:
        """Yields the names that have to be recursed for, takes their answers, returns the whole."""
        chain: tuple[RRset, ...] = ()
        authoritative = None
        definite = True
        while len(chain) <= bounds.MAX_CNAMES:
            aliases, answer, name = self._at_hand(name, rtype)
            chain += aliases
            if authoritative is None:
                authoritative = bool(aliases) or (answer is not None and answer.aa)
            if answer is None:
                answer = yield name
                back = self._back(answer)
                if back is not None:
                    count, name = back
                    chain += answer.answer[:count]
                    definite &= answer.definite
                    continue
            if not chain:
                return answer
            # RFC 1035 §4.1.1: AA is about the name that was asked. What is local is signed by nobody.
            whole = each_once((*chain, *answer.answer))
            definite = definite and answer.definite
            return replace(answer, answer=whole, aa=authoritative, security=Security.UNKNOWN, definite=definite)
        return replace(servfail(codes.EDE_OTHER, "aliases without end"), answer=chain)

    def _at_hand(self, name: Name, rtype: int) -> tuple[tuple[RRset, ...], Answer | None, Name]:
        """Aliases in local zones, the answer behind them where it is one of ours, and the name at which the question goes on."""
        table = self._table
        aliases: tuple[RRset, ...] = ()
        said = table.ask(name, rtype)
        if said is not None:
            if said.continue_at is None:
                return (), said.answer, name
            aliases, name = said.answer.answer, said.continue_at
            if table.find(name) is not None:
                return aliases, None, name
        answer = self.builtin.answer(name, rtype) if self.builtin is not None else None
        return aliases, answer, name

    def _back(self, answer: Answer) -> tuple[int, Name] | None:
        """Where aliases in the world lead into a local zone: how many records to keep, and the name there."""
        table = self._table
        if not table:
            return None
        for count, rrset in enumerate(answer.answer, 1):
            if rrset.rtype == codes.CNAME:
                target = lower(rdata.target(codes.CNAME, rrset.rdatas[0]))
                said = table.ask(target, codes.CNAME)
                if said is not None and said.continue_at != target:
                    return count, target
        return None


class _Walk:
    """A question on its way through local zones and the world, until its whole answer is there."""

    __slots__ = ("_ask", "_done", "_rtype", "_steps", "_waiting")

    def __init__(
        self, steps: Generator[Name, Answer, Answer], rtype: int, ask: Callable[[Name, int, Done], Answer | Waiting], done: Done
    ):
        self._steps = steps
        self._rtype = rtype
        self._ask = ask
        self._done = done
        self._waiting: Waiting | None = None

    def step(self, answer: Answer | None = None) -> Answer | None:
        """Go on with the answer to what was wanted last; the whole, where it needs no more waiting."""
        steps = self._steps
        try:
            wanted = next(steps) if answer is None else steps.send(answer)
            while True:
                found = self._ask(wanted, self._rtype, self._on_answer)
                if not isinstance(found, Answer):
                    self._waiting = found
                    return None
                wanted = steps.send(found)
        except StopIteration as stop:
            whole: Answer = stop.value
            return whole

    def cancel(self) -> None:
        """Nobody waits for it any more."""
        if self._waiting is not None:
            self._waiting.cancel()

    def _on_answer(self, answer: Answer | Exception) -> None:
        whole: Answer | Exception | None = answer
        if isinstance(answer, Answer):
            try:
                whole = self.step(answer)
            except Exception as error:
                whole = error
        if whole is not None:
            self._done(whole)
