"""On what validation rests, from settings: trust anchors and negative ones, and what counts as a signature."""

import os
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from resolverd.config.files import read_text
from resolverd.config.settings import Settings
from resolverd.failures import ConfigError, ConfigFault
from resolverd.resolver.validator.algorithms import Policy
from resolverd.resolver.validator.anchors import TrustAnchors, shipped
from resolverd.resolver.validator.clock_check import ClockCheck
from resolverd.resolver.validator.trust import TrustState
from resolverd.wire.names import Name, from_text, lower


def negative_anchors(settings: Settings, at_run_time: Mapping[Name, str]) -> dict[Name, str]:
    """The negative trust anchors in force (lower case), and why: those configured, and those set at run time."""
    configured = (lower(from_text(each)) for each in settings.resolver.negative_trust_anchors)
    return {**at_run_time, **dict.fromkeys(configured, "resolver.negative_trust_anchors")}


def signature_policy(settings: Settings) -> Policy:
    """What counts as a signature, as configured."""
    return Policy(settings.resolver.allow_sha1, settings.resolver.min_rsa_bits)


def trust_state(
    settings: Settings,
    anchors: TrustAnchors,
    negative: Mapping[Name, str] = MappingProxyType({}),
    clock: ClockCheck | None = None,
) -> TrustState | None:
    """On whose word keys are believed, as configured; None where nothing is to be validated.

    `negative`: negative trust anchors beside those configured.
    """
    wanted = settings.resolver
    if not wanted.dnssec or not anchors.zones:
        return None
    policy = signature_policy(settings)
    return TrustState(anchors, policy, negative_anchors(settings, negative), clock)


def rests_on(trust: TrustState | None) -> tuple[object, ...]:
    """What validation rests on, to be compared."""
    if trust is None:
        return ()
    return {zone: trust.anchors.closest(zone) for zone in trust.anchors.zones}, trust.policy, trust.negative


def trust_anchors(path: Path | None) -> TrustAnchors:
    """Those of the file, those shipped if there is none, and none from ``/dev/null``. Raises ConfigError."""
    if path is None:
        return shipped()
    if path == Path(os.devnull):
        return TrustAnchors()
    try:
        return TrustAnchors.parse(read_text(path)[0])
    except OSError as error:
        text = f"cannot read {str(path)!r}: {error.strerror}"
    except ValueError as error:
        text = f"{path}: {error}"
    raise ConfigError([ConfigFault("resolver.trust_anchors", text)])
