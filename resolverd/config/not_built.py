"""Keys that are accepted although nothing acts on them yet, so that a configuration may be written once."""

from typing import Any

from resolverd.config.settings import Settings

_NOT_YET = {
    "dns.minimal_responses": "replies with more than was asked for",
    "resolver.trust_anchors": "DNSSEC validation",
    "resolver.prefetch_server_addresses": "prefetching",
    "resolver.negative_trust_anchors": "DNSSEC validation",
    "resolver.key_tag_signalling": "DNSSEC validation",
    "resolver.sentinel": "DNSSEC validation",
    "resolver.aggressive_nsec": "DNSSEC validation",
    "resolver.rfc5011": "DNSSEC validation",
    "resolver.allow_sha1": "DNSSEC validation",
    "resolver.min_rsa_bits": "DNSSEC validation",
    "cache.persist": "a cache kept across restarts",
}
"""Key and what will read it."""


def not_built_keys(settings: Settings) -> list[str]:
    """A remark for each key that is set and that nothing acts on yet; DNSSEC, on by default, always has one."""
    remarks = []
    if settings.resolver.dnssec:
        remarks.append("resolver.dnssec: accepted; validation is not built yet, so no answer carries AD")
    defaults = Settings()
    for key, subject in _NOT_YET.items():
        value = _at(settings, key)
        if value != _at(defaults, key):
            remarks.append(f"{key}: accepted, not acted on yet (waits for {subject})")
    return remarks


def _at(settings: Settings, key: str) -> Any:
    value: Any = settings
    for part in key.split("."):
        value = getattr(value, part)
    return value
