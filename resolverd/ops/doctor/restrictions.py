"""The lists of restrictions of an smtpd service, in the order in which smtpd(8) goes through them (SMTPD_ACCESS_README)."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from resolverd.ops.doctor.main_cf import Postfix, Service, words

STAGES: Final = ("client", "helo", "sender", "relay", "recipient", "data", "end_of_data")
_TAKES_ARGUMENT: Final = ("reject_rbl_client", "permit_dnswl_client", "check_policy_service", "sleep")
_TAKE_ARGUMENTS: Final = ("reject_rhsbl_", "permit_rhswl_")
GUARDS: Final = frozenset({"reject_unauth_destination", "defer_unauth_destination", "reject", "defer", "defer_if_permit"})
"""Restrictions that end an attempt to relay."""


class Restriction(NamedTuple):
    """One restriction where it stands: in which `stage`, as the how manieth there; `warn`: behind warn_if_reject.

    `mapped`: it is reached through a class that access maps name, if at all. `options` are those of a policy service.
    """

    name: str
    argument: str
    stage: str
    place: int
    warn: bool = False
    mapped: bool = False
    options: Mapping[str, str] = {}

    @property
    def map_kind(self) -> str:
        """Of an access check, which: client, helo, sender …; else empty."""
        if not (self.name.startswith("check_") and self.name.endswith("_access")):
            return ""
        return self.name.removeprefix("check_").removesuffix("_access")

    def __str__(self) -> str:
        return f"{self.name} {self.argument}".strip()


class Smtpd(NamedTuple):
    """An smtpd service with its restrictions, by stage and all in the order of evaluation."""

    postfix: Postfix
    service: Service
    stages: Mapping[str, Sequence[Restriction]]
    relay_first: bool

    def value(self, name: str) -> str:
        """A parameter, as this service has it."""
        return self.postfix.value(name, self.service)

    @property
    def all(self) -> Iterator[Restriction]:
        """Every restriction, as they are evaluated for a recipient and after it; relay and recipient as this Postfix has them."""
        order = list(STAGES)
        if not self.relay_first:
            order[3:5] = ["recipient", "relay"]
        for stage in order:
            yield from self.stages[stage]

    def policies(self) -> Iterator[Restriction]:
        """Every policy service that is asked."""
        return (each for each in self.all if each.name == "check_policy_service")

    def guarded(self, stage: str) -> bool:
        """Whether strangers cannot relay past this stage: nothing that lets all of them through stands before what stops them."""
        for each in self.stages[stage]:
            if each.mapped or each.warn:
                continue
            if each.name == "permit":
                return False
            if each.name in GUARDS:
                return True
        return False


def read(postfix: Postfix) -> tuple[Smtpd, ...]:
    """The smtpd services that strangers reach."""
    return tuple(_smtpd(postfix, service) for service in postfix.public())


def _smtpd(postfix: Postfix, service: Service) -> Smtpd:
    classes = set(words(postfix.value("smtpd_restriction_classes", service)))
    stages = {}
    for stage in STAGES:
        text = postfix.value(f"smtpd_{stage}_restrictions", service)
        found = list(_parsed(text, stage, postfix, service, classes))
        stages[stage] = tuple(each._replace(place=place) for place, each in enumerate(found))
    named = {word for stage in STAGES for word in words(postfix.value(f"smtpd_{stage}_restrictions", service))} & classes
    for _ in classes:
        named |= {word for name in named for word in words(postfix.value(name, service))} & classes
    hidden: list[Restriction] = []
    if any(each.map_kind for found in stages.values() for each in found):
        for name in sorted(classes - named):
            hidden += [
                each._replace(mapped=True)
                for each in _parsed(postfix.value(name, service), "recipient", postfix, service, classes - {name})
            ]
    stages["recipient"] = (*stages["recipient"], *(each._replace(place=1_000_000) for each in hidden))
    relay_first = postfix.value("smtpd_relay_before_recipient_restrictions", service) == "yes"
    return Smtpd(postfix, service, stages, relay_first)


def _parsed(text: str, stage: str, postfix: Postfix, service: Service, classes: set[str]) -> Iterator[Restriction]:
    rest = iter(words(text))
    warn = False
    for word in rest:
        name = word.lower()
        if name == "warn_if_reject":
            warn = True
            continue
        if word in classes:
            for each in _parsed(postfix.value(word, service), stage, postfix, service, classes - {word}):
                yield each._replace(warn=each.warn or warn)
        elif ":" in name and not name.startswith("{"):  # a map alone is the access check of its stage
            yield Restriction(f"check_{stage}_access", word, stage, 0, warn)
        elif name == "check_policy_service":
            endpoint, options = _policy(next(rest, ""))
            yield Restriction(name, endpoint, stage, 0, warn, options=options)
        elif _takes_argument(name):
            yield Restriction(name, next(rest, ""), stage, 0, warn)
        else:
            yield Restriction(name, "", stage, 0, warn)
        warn = False


def _takes_argument(name: str) -> bool:
    return name in _TAKES_ARGUMENT or name.startswith(_TAKE_ARGUMENTS) or (name.startswith("check_") and name.endswith("_access"))


def _policy(argument: str) -> tuple[str, Mapping[str, str]]:
    """The endpoint of a policy service and its own settings: ``inet:host:port`` or ``{ inet:host:port, name=value … }``."""
    if not argument.startswith("{"):
        return argument, {}
    endpoint, *settings = words(argument[1:-1]) or [""]
    pairs = (each.strip("{}").partition("=") for each in settings)
    return endpoint, {name.strip(): value.strip() for name, _, value in pairs}
