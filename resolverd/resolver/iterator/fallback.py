"""In which form one server is asked one question next, and whether what it says is accepted.

The first form carries EDNS, a cookie and random letter case (0x20) over UDP. What a server does not support is left out, for
this question at once and for later ones when that is sure (`capabilities`). What looks forged is asked over TCP, where nobody can
forge; only where TCP cannot be had either, the server is taken to be odd. So whoever forges one packet gains a question more.
"""

from resolverd import bounds
from resolverd.resolver.iterator.capabilities import Capabilities, Feature
from resolverd.resolver.iterator.caps_check import CapsCheck, Retry, may_be_case
from resolverd.resolver.iterator.response import Response, Unusable
from resolverd.resolver.iterator.retries import Asked
from resolverd.values import Value, replace
from resolverd.wire import codes
from resolverd.wire.ask import Failed, Reply, Server, Transport
from resolverd.wire.message import Message
from resolverd.wire.names import ROOT, Name

_SUSPECT = {Failed.SPOOFED: None, Failed.CASE_MISMATCH: Feature.CASE, Failed.COOKIE: Feature.COOKIE}
"""What somebody may have forged, and what the server does not support if nobody has."""
_NOT_UNDERSTOOD = (codes.FORMERR, codes.NOTIMP, codes.BADVERS)


class Form(Value, frozen=True):
    """How a question is put: over what, and what it carries."""

    transport: Transport
    edns: bool
    cookie: bool
    random_case: bool


class Fallback:
    """What this server has said so far, and what is to be asked of it next."""

    def __init__(self, server: Server, asked: Asked, able: Capabilities, random_case: bool, others_useless: int = 0):
        """`others_useless`: servers that have said nothing of use to this question, and the same again in lower case."""
        self._confirms_useless = others_useless < bounds.CONFIRMED_USELESS
        self._server = server
        self._asked = asked
        self._able = able
        self._random_case = random_case
        self._transport = Transport.TLS if server.tls_name else Transport.UDP
        self._suspect: Feature | None = None
        self._bad_cookies = 0
        self._misunderstood = 0
        self._damaged: tuple[Form, Reply] | None = None
        self._truncated = False
        self._caps_check = CapsCheck()

    def form(self, now: float) -> Form | None:
        """How to ask it now; None if it has been asked often enough."""
        asked, transport = self._asked, self._transport
        if not asked.may_send(transport):
            return None
        without = asked.disabled | self._able.unsupported(self._server, now)
        edns = Feature.EDNS not in without
        random_case = self._random_case and transport is Transport.UDP and Feature.CASE not in without
        return Form(transport, edns, edns and Feature.COOKIE not in without, random_case)

    @property
    def has_alternative(self) -> bool:
        """Whether there is something left to be tried, or to be taken, if no answer comes to what is asked now."""
        return (
            self._suspect is not None
            or self._damaged is not None
            or self._caps_check.is_pending
            or (self._truncated and Feature.EDNS in self._asked.disabled)
        )

    def answered_form(self, form: Form, reply: Reply) -> Form:
        """The form that has been answered: without random case if no letter was in another, and, of a repeated question,
        without its cookie if that may have been left out.
        """
        left_out = reply.repeated is not None and not reply.cookie and Feature.COOKIE in self._asked.disabled
        cookie, random_case = form.cookie and not left_out, form.random_case and not reply.plain_letters
        return replace(form, cookie=cookie, random_case=random_case)

    def no_reply(self, form: Form, failed: Failed | None, now: float) -> bool:
        """No message came. Whether to ask again at once, in another form; otherwise this attempt has failed."""
        if form.transport is Transport.UDP:
            if failed in _SUSPECT:
                # One packet with the wrong ID or letter case: somebody may be guessing, and TCP cannot be guessed.
                self._transport, self._suspect = Transport.TCP, _SUSPECT[failed]
                return True
            if form.cookie and not self._able.is_proven(self._server, Feature.COOKIE, now):
                # Some drop what they do not know. Whoever has had cookies lately is held to them (RFC 7873 §5.3).
                self._asked.disable(Feature.COOKIE)
            return self._caps_check.is_pending
        if form.transport is Transport.TLS:
            return False
        # TCP cannot be had.
        self._transport = Transport.UDP
        if self._suspect is not None:
            self._asked.disable(self._suspect)
            self._suspect = None
            return True
        if self._truncated and Feature.EDNS in self._asked.disabled:
            # It has more to say than goes without EDNS: perhaps it was the cookie that it did not understand.
            self._asked.disable_instead(Feature.EDNS, Feature.COOKIE)
            return True
        return self._caps_check.is_pending

    def substitute(self, form: Form, reply: Reply) -> tuple[Form, Reply]:
        """What counts where no message came: a damaged one that came over UDP, if nothing better is to be had."""
        return (form, reply) if self._damaged is None else self._damaged

    def fault(self, form: Form, reply: Reply, message: Message, now: float) -> str:
        """What is wrong with the form of the message, after which it is asked again in another; empty if nothing is."""
        udp = form.transport is Transport.UDP
        if udp and message.flags & codes.TC:
            self._transport, self._truncated = Transport.TCP, True
            return "truncated over UDP"
        if udp and self._damaged is None and message.whole < (1 if message.answer else 2):
            self._transport, self._damaged = Transport.TCP, (form, reply)
            return "damaged"
        if form.cookie and message.rcode == codes.BADCOOKIE:
            # It wants the cookie that it sent along. Who is never content is asked over TCP, and there without (RFC 7873 §5.3).
            self._bad_cookies += 1
            if self._bad_cookies > 1 and udp:
                self._transport, self._suspect = Transport.TCP, Feature.COOKIE
            elif self._bad_cookies > 1:
                self._asked.disable(Feature.COOKIE)
            return "BADCOOKIE"
        if message.rcode in _NOT_UNDERSTOOD:
            return self._simpler(form, message, now)
        return ""

    def _simpler(self, form: Form, message: Message, now: float) -> str:
        """Leave out what it may not have understood; what that is, empty if nothing is left."""
        able, server, left_out = self._able, self._server, []
        if form.edns:
            left_out.append(Feature.EDNS)
            if form.cookie and message.rcode == codes.FORMERR and message.edns is not None:
                # It knows EDNS, so that it must be what stands in it.
                left_out[0] = Feature.COOKIE
            elif message.edns is None:
                able.add_failure(server, Feature.EDNS, now)
        self._misunderstood += 1
        if self._misunderstood > 1 and form.random_case and not able.is_proven(server, Feature.CASE, now):
            left_out.append(Feature.CASE)
        for each in left_out:
            self._asked.disable(each)
        names = ", ".join(each.value for each in left_out)
        return f"{codes.rcode_text(message.rcode)}, again without {names}" if left_out else ""

    def accept(self, form: Form, reply: Reply, response: Response, part: Name, counts: bool, now: float) -> bool:
        """Whether its response is accepted, or it is asked again. `part`: what of the world it answers for (`Capabilities`);
        `counts`: what it denies is not just for finding the way.
        """
        able, server = self._able, self._server
        proof = form.transport is not Transport.UDP or reply.cookie
        if form.random_case and not may_be_case(response):
            able.prove(server, Feature.CASE, now, part)
        elif not self._confirms_useless and not self._caps_check.is_pending and isinstance(response, Unusable):
            return True
        elif self._caps_check.is_pending or (counts and not able.is_proven(server, Feature.CASE, now, part)):
            again = self._caps_check.check(response, random_case=form.random_case, proof=proof)
            if again is not None:
                self._asked.disable(Feature.CASE)
                if again is Retry.CONFIRM:
                    self._transport = Transport.TCP
                return False
        if self._caps_check.is_pending or self._suspect is not None or self._asked.disabled:
            self._learn_case(proof, part, now)
        self._learn_edns(form, reply, now)
        if not counts:
            able.clear_failures(server, Feature.QMIN, now)
        return True

    @property
    def has_confirmed(self) -> bool:
        """Whether it has said the same to lower case as to random case."""
        return bool(self._caps_check.agrees)

    def final(self) -> Response | None:
        """What it has said, if nothing more is to be had from it."""
        return self._caps_check.final()

    def _learn_case(self, proof: bool, part: Name, now: float) -> None:
        able, server = self._able, self._server
        if self._caps_check.agrees:
            able.prove(server, Feature.CASE, now, part)
        elif self._caps_check.is_pending and proof:
            able.rule_out(server, Feature.CASE, now)
        elif self._suspect is Feature.CASE:
            self._looked_odd(Feature.CASE, part, now)
        elif Feature.CASE in self._asked.disabled:
            able.add_failure(server, Feature.CASE, now)

    def _learn_edns(self, form: Form, reply: Reply, now: float) -> None:
        able, server = self._able, self._server
        if reply.message is not None and reply.message.edns is not None:
            able.clear_failures(server, Feature.EDNS, now)
        if reply.cookie:
            able.prove(server, Feature.COOKIE, now)
        elif self._suspect is Feature.COOKIE:
            self._looked_odd(Feature.COOKIE, ROOT, now)
        elif form.cookie:
            able.clear_failures(server, Feature.COOKIE, now)
        elif Feature.COOKIE in self._asked.disabled:
            able.add_failure(server, Feature.COOKIE, now)

    def _looked_odd(self, feature: Feature, part: Name, now: float) -> None:
        """Over UDP, and has answered over TCP. Of one that has coped lately, the packet was sooner somebody else's."""
        if self._able.is_proven(self._server, feature, now, part):
            self._able.add_failure(self._server, feature, now)
        else:
            self._able.rule_out(self._server, feature, now)
