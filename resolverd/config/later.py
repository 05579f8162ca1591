"""Keys that are accepted although nothing acts on them yet, so that a configuration may be written once."""

from typing import Any

from resolverd.config.settings import Check, Settings

_NOT_YET = {
    "dns.minimal_responses": "replies with more than was asked for",
    "resolver.trust_anchors": "DNSSEC validation",
    "resolver.harden_glue": "rules for glue",
    "resolver.prefetch_server_addresses": "prefetching",
    "resolver.negative_trust_anchors": "DNSSEC validation",
    "resolver.key_tag_signalling": "DNSSEC validation",
    "resolver.sentinel": "DNSSEC validation",
    "resolver.aggressive_nsec": "DNSSEC validation",
    "resolver.rfc5011": "DNSSEC validation",
    "resolver.allow_sha1": "DNSSEC validation",
    "resolver.min_rsa_bits": "DNSSEC validation",
    "cache.persist": "a cache kept across restarts",
    "zones.dir": "own zones",
    "dnsbl.strategy": "asking lists one group after the other",
    "checks.spf": "SPF",
    "checks.overrides.client_access": "overrides",
    "checks.overrides.helo_access": "overrides",
    "greylist.key": "greylisting by organisation",
    "greylist.allow_clients": "allow files for greylisting",
    "greylist.allow_recipients": "allow files for greylisting",
    "watch.addresses": "the watch over own addresses",
}
"""Key and what will read it."""

_ZONE_FILES = (".zone", ".ip4set", ".ip4trie", ".ip6trie", ".dnset")


def later(settings: Settings) -> list[str]:
    """A remark for each key that is set and that nothing acts on yet; DNSSEC, on by default, always has one."""
    remarks = []
    if settings.resolver.dnssec:
        remarks.append("resolver.dnssec: accepted; validation is not built yet, so no answer carries AD")
    defaults = Settings()
    for key, subject in _NOT_YET.items():
        value = _at(settings, key)
        if key == "zones.dir":
            changed = value.is_dir() and any(file.suffix in _ZONE_FILES for file in value.iterdir())
        else:
            changed = value != (Check() if isinstance(value, Check) else _at(defaults, key))
        if changed:
            remarks.append(f"{key}: accepted, not acted on yet (waits for {subject})")
    return remarks


def _at(settings: Settings, key: str) -> Any:
    value: Any = settings
    for part in key.split("."):
        value = getattr(value, part)
    return value
