"""Dialect U's header: the clauses of an ``unbound.conf``, and what they mean in our settings."""

import re
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

from resolverd.config.settings import Forward, Stub
from resolverd.resolver.mesh import Timeouts
from resolverd.wire.ask import Server

from .stack import LOCALHOST, trust_anchors

_CACHE_OPTIONS = {"cache-min-ttl": "min_ttl", "cache-max-ttl": "max_ttl", "cache-max-negative-ttl": "negative_max_ttl"}
_UNDERSTOOD = frozenset({
    *_CACHE_OPTIONS, "qname-minimisation", "do-ip4", "do-ip6", "use-caps-for-id", "target-fetch-policy", "harden-glue",
    "do-not-query-localhost", "do-not-query-address", "local-zone", "module-config", "trust-anchor", "trust-anchor-signaling",
    "domain-insecure", "val-override-date", "aggressive-nsec", "root-key-sentinel", "prefetch", "serve-expired",
    "serve-expired-ttl", "serve-expired-reply-ttl", "serve-expired-client-timeout",
})  # fmt: skip
_AS_ALWAYS = frozenset({
    "harden-below-nxdomain", "harden-referral-path", "harden-algo-downgrade", "fake-sha1", "fake-dsa", "ede", "ede-serve-expired",
    "minimal-responses", "rrset-roundrobin", "iter-scrub-promiscuous", "access-control", "log-servfail", "msg-cache-size",
    "qname-minimisation-strict", "stub-prime", "outbound-msg-retry", "max-query-restarts", "max-global-quota", "val-log-level",
    "cache-min-negative-ttl", "val-bogus-ttl", "interface", "port", "username", "chroot", "pidfile", "directory", "verbosity",
})  # fmt: skip
"""What the resolver does of itself, or in one way only, or what concerns no answer."""


class Header:
    """The options of a header: the server's, and those of each stub or forward zone."""

    def __init__(self, lines: list[str]):
        self.server: dict[str, list[str]] = {}
        self.zones: list[tuple[str, dict[str, list[str]]]] = []
        into = self.server
        for line in lines:
            for key, value in _options(line.split("#")[0]):
                if key in ("server", "stub-zone", "forward-zone"):
                    into = self.server
                    if key != "server":
                        into = {}
                        self.zones.append((key, into))
                    continue
                into.setdefault(key, []).append(value)

    def one(self, key: str, default: str = "") -> str:
        return self.server.get(key, [default])[-1]

    def on(self, key: str, default: bool) -> bool:
        return self.one(key, "yes" if default else "no") == "yes"

    @property
    def unknown(self) -> list[str]:
        """Options of the server that mean nothing to this player."""
        return [key for key in self.server if key not in _UNDERSTOOD | _AS_ALWAYS]

    @property
    def roots(self) -> list[str]:
        """Addresses of the root's servers, where the header names some."""
        return [each for kind, zone in self.zones if kind == "stub-zone" and zone["name"] == ["."] for each in zone["stub-addr"]]

    @property
    def timeouts(self) -> Timeouts:
        """Clients are as patient as a scenario is long."""
        wait = float(self.one("serve-expired-client-timeout", "1800")) / 1000
        return Timeouts(1e6, wait, int(self.one("serve-expired-reply-ttl", "30")))

    def settings(self, folder: Path) -> dict[str, dict[str, Any]]:
        """By section."""
        validates = "validator" in self.one("module-config", "validator iterator")
        refused = tuple(ip_network(each) for each in self.server.get("do-not-query-address", []))
        resolver: dict[str, Any] = {
            "qname_minimisation": self.on("qname-minimisation", True),
            "qname_minimisation_type": "A",
            "ipv4": self.on("do-ip4", True),
            "ipv6": self.on("do-ip6", True),
            "harden_glue": self.on("harden-glue", True),
            "case_randomisation": self.on("use-caps-for-id", False),
            "do_not_query": (*refused, *(LOCALHOST if self.on("do-not-query-localhost", True) else ())),
            "builtin_zones": True,
            "builtin_except": tuple(self._nodefault()),
            "stub": tuple(Stub(zone, servers) for zone, servers in self._upstreams("stub-zone") if zone != "."),
            "forward": tuple(Forward(zone, servers) for zone, servers in self._upstreams("forward-zone")),
            "priming": True,
            "prefetch_server_addresses": self.one("target-fetch-policy", "0 0 0 0 0") != "0 0 0 0 0",
            **trust_anchors(folder, self.server.get("trust-anchor", []) if validates else []),
            "negative_trust_anchors": tuple(each.rstrip(".") for each in self.server.get("domain-insecure", [])),
            "key_tag_signalling": self.on("trust-anchor-signaling", True),
            "sentinel": self.on("root-key-sentinel", True),
            "aggressive_nsec": self.on("aggressive-nsec", True),
        }
        cache: dict[str, Any] = {
            "prefetch": self.on("prefetch", False),
            "serve_stale": float(self.one("serve-expired-ttl", "86400")) if self.on("serve-expired", False) else 0.0,
        }
        cache |= {key: float(self.one(option)) for option, key in _CACHE_OPTIONS.items() if option in self.server}
        return {"resolver": resolver, "cache": cache}

    def _nodefault(self) -> list[str]:
        words = [each.replace('"', " ").split() for each in self.server.get("local-zone", [])]
        return [zone.rstrip(".") for zone, kind in words if kind == "nodefault"]

    def _upstreams(self, kind: str) -> list[tuple[str, tuple[Server, ...]]]:
        zones = [zone for each, zone in self.zones if each == kind]
        option = "stub-addr" if kind == "stub-zone" else "forward-addr"
        return [(zone["name"][0].rstrip(".") or ".", tuple(Server(ip_address(each)) for each in zone[option])) for zone in zones]


def _options(line: str) -> list[tuple[str, str]]:
    """``key: value`` pairs; a clause's key has no value, and several pairs may share a line."""
    out: list[tuple[str, str]] = []
    for word in re.findall(r'"[^"]*"|[^\s"]+', line):
        if re.fullmatch(r"[a-z][a-z0-9-]*:", word):
            out.append((word[:-1], ""))
        elif out:
            key, value = out.pop()
            out.append((key, f"{value} {word}".strip().strip('"')))
    return out
