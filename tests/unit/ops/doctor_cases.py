"""Mail servers as people set them up, each with what the doctor has to find on it, and a twin that is in order.

A case changes the sound machine below: `main` parameters of main.cf (None takes one out), `master` its services, `config`
config.toml, the other keys the machine's fields.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from resolverd.config import Settings, parse
from resolverd.ops.doctor import Machine

POLICY = "check_policy_service { inet:127.0.0.1:10023, timeout=10s, default_action=DUNNO }"
FIRST = "permit_mynetworks, permit_sasl_authenticated"
GUARDED = f"{FIRST}, reject_unauth_destination"
HELO = "reject_invalid_helo_hostname reject_non_fqdn_helo_hostname reject_unknown_helo_hostname"
SENDER = "reject_unknown_sender_domain reject_unknown_reverse_client_hostname reject_unknown_client_hostname"
MAIN = {
    "compatibility_level": "3.6",
    "myhostname": "mx.example.com",
    "mynetworks": "127.0.0.0/8 [::1]/128",
    "smtpd_helo_required": "yes",
    "smtpd_relay_restrictions": f"{FIRST}, defer_unauth_destination",
    "smtpd_recipient_restrictions": f"{GUARDED},\n# a comment\n    reject_unlisted_recipient,\n    {POLICY}",
    "smtpd_data_restrictions": POLICY,
}
MASTER = """\
smtp      inet  n       -       y       -       -       smtpd
#smtp      inet  n       -       y       -       1       postscreen
submission inet n       -       y       -       -       smtpd
  -o syslog_name=postfix/submission
  -o smtpd_tls_security_level=encrypt
  -o smtpd_client_restrictions=permit_sasl_authenticated,reject
  -o smtpd_recipient_restrictions=
  -o smtpd_relay_restrictions=permit_sasl_authenticated,reject
cleanup   unix  n       -       y       -       0       cleanup
"""
POSTSCREEN = """\
smtp      inet  n       -       y       -       1       postscreen
smtpd     pass  -       -       y       -       -       smtpd
dnsblog   unix  -       -       y       -       0       dnsblog
cleanup   unix  n       -       y       -       0       cleanup
"""
RESOLV = "nameserver 127.0.0.1\noptions trust-ad edns0\n"
CONFIG = '[dns]\nlisten = ["127.0.0.1:53", "[::1]:53"]\n[store]\nurl = "disk:/var/lib/resolverd"\n'
SHARING = CONFIG.replace("disk:/var/lib/resolverd", "redis://127.0.0.1")
ELSEWHERE = CONFIG.replace(":53", ":5335")
OTHER = {"resolv": "nameserver 192.0.2.53\n", "chroot_resolv": "nameserver 192.0.2.53\n"}
"""A provider's name server, so that lists are not asked through this daemon."""
OVERRIDE = {Path("/etc/postfix/rbl_override"): "dripemail2.com OK\nmlsend.com OK\n"}
ZEN = {
    "id": "spamhaus-zen", "shown": "zen.spamhaus.org", "enabled": True, "state": "ok", "last_error": "", "terms": "free for few",
    "purpose": "block", "watched": [],
}  # fmt: skip


class Case(NamedTuple):
    """`expected`: the codes on the faulty machine, all of them, separated by blanks. The twin has none."""

    name: str
    expected: str
    faulty: dict[str, Any]
    twin: Mapping[str, Any] = MappingProxyType({})


def recipient(*restrictions: str, policy: str = POLICY) -> dict[str, str]:
    """Recipient restrictions as documented, and these behind them."""
    return {"smtpd_recipient_restrictions": ", ".join([FIRST, "reject_unauth_destination", policy, *restrictions])}


def without_policy(*restrictions: str) -> dict[str, str | None]:
    """A Postfix that asks lists and no policy service."""
    return {
        "smtpd_recipient_restrictions": ", ".join([FIRST, "reject_unauth_destination", *restrictions]),
        "smtpd_data_restrictions": None,
    }


def text(parameters: dict[str, str | None]) -> str:
    """main.cf."""
    return "".join(f"{name} = {value}\n" for name, value in {**MAIN, **parameters}.items() if value is not None)


@cache
def _settings(text: str) -> Settings:
    return parse(text, Path("/etc/resolverd"))


def machine(changes: Mapping[str, Any]) -> Machine:
    """The sound machine with these changes."""
    fields = {"resolv": RESOLV, "chroot_resolv": RESOLV, "daemon": True, **changes}
    whole = fields.pop("whole", CONFIG + fields.pop("config", ""))
    return Machine(_settings(whole), text(fields.pop("main", {})), fields.pop("master", MASTER), **fields)


_QUEUE = "/var/spool/postfix"
_UNIX = f'[policy]\nlisten = ["unix:{_QUEUE}/private/resolverd"]\n'
_OWN_UNIX = "check_policy_service { unix:private/resolverd, timeout=10s, default_action=DUNNO }"

CASES = [
    # -- relaying
    Case(
        "neither list guards",
        "open-relay policy-before-relay-check",
        {
            "main": {
                "smtpd_relay_restrictions": "permit_mynetworks, permit",
                "smtpd_recipient_restrictions": f"{FIRST}, {POLICY}, reject_unauth_pipelining",
            }
        },
        {"main": {"smtpd_relay_restrictions": f"{FIRST}, reject"}},
    ),
    Case(
        "all of them permitted before the guard",
        "open-relay policy-never-reached policy-before-relay-check",
        {
            "main": {
                "smtpd_relay_restrictions": "",
                "smtpd_recipient_restrictions": f"permit_mynetworks, permit, {POLICY}, reject_unauth_destination",
            }
        },
    ),
    Case(
        "relay restrictions emptied by hand",
        "no-relay-restriction",
        {"main": {"smtpd_relay_restrictions": ""}},
        {"main": {"smtpd_relay_restrictions": None}},
    ),
    Case(
        "an old main.cf without compatibility_level",
        "no-relay-restriction",
        {"main": {"compatibility_level": None, "smtpd_relay_restrictions": None}},
        {"main": {"compatibility_level": "2", "smtpd_relay_restrictions": None}},
    ),
    Case(
        "mynetworks of half the internet",
        "mynetworks-wide",
        {"main": {"mynetworks": "127.0.0.0/8, 0.0.0.0/0"}},
        {"main": {"mynetworks": "127.0.0.0/8, 10.0.0.0/8 [fe80::]/64 203.0.113.0/28"}},
    ),
    # -- the policy line
    Case(
        "Postgrey's line as the tutorial has it",
        "policy-default-action",
        {"main": recipient(policy="check_policy_service inet:127.0.0.1:10023")},
        {
            "main": {
                **recipient(policy="check_policy_service inet:localhost:10023"),
                "smtpd_policy_service_default_action": "DUNNO",
            }
        },
    ),
    Case(
        "the default action is spelt out wrongly",
        "policy-default-action",
        {"main": recipient(policy="check_policy_service { inet:127.0.0.1:10023, timeout=10s, default_action=DEFER }")},
        {
            "main": recipient(
                policy="check_policy_service { inet:127.0.0.1:10023, { timeout = 10s }, { default_action = DUNNO } }"
            )
        },
    ),
    Case(
        "in a restriction class",
        "policy-default-action",
        {
            "main": {
                "smtpd_restriction_classes": "greylisting",
                "greylisting": "check_policy_service inet:127.0.0.1:10023",
                "smtpd_recipient_restrictions": f"{GUARDED}, greylisting",
            }
        },
        {
            "main": {
                "smtpd_restriction_classes": "greylisting",
                "greylisting": "$ours",
                "ours": POLICY,
                "smtpd_recipient_restrictions": f"{GUARDED}, greylisting",
            }
        },
    ),
    Case(
        "in a class that only a map names",
        "policy-default-action",
        {
            "main": {
                "smtpd_restriction_classes": "greylisting",
                "greylisting": "check_policy_service inet:127.0.0.1:10023",
                "smtpd_recipient_restrictions": f"{GUARDED}, check_recipient_access hash:/etc/postfix/grey",
            }
        },
        {
            "main": {
                "smtpd_restriction_classes": "greylisting",
                "greylisting": POLICY,
                "smtpd_recipient_restrictions": f"{GUARDED}, check_recipient_access hash:/etc/postfix/grey",
            }
        },
    ),
    Case(
        "less patience than an answer needs",
        "policy-timeout",
        {"main": recipient(policy="check_policy_service { inet:127.0.0.1:10023, timeout=3s, default_action=DUNNO }")},
        {"main": recipient(policy="check_policy_service { inet:127.0.0.1:10023, timeout=1m, default_action=DUNNO }")},
    ),
    Case(
        "before reject_unauth_destination, relay check later",
        "policy-before-relay-check",
        {"main": {"compatibility_level": "3.5", "smtpd_recipient_restrictions": f"{FIRST}, {POLICY}, reject_unauth_destination"}},
        {"main": {"smtpd_recipient_restrictions": f"{FIRST}, {POLICY}, reject_unauth_destination"}},
    ),
    Case(
        "among the client restrictions",
        "policy-before-relay-check",
        {
            "main": {
                "smtpd_client_restrictions": f"{FIRST} {POLICY}",
                "smtpd_recipient_restrictions": f"{FIRST} reject_unauth_destination",
            }
        },
    ),
    Case(
        "behind a permit",
        "policy-never-reached",
        {"main": {"smtpd_recipient_restrictions": f"{GUARDED}, permit, {POLICY}"}},
        {"main": recipient("permit")},
    ),
    Case(
        "own network not permitted before",
        "policy-own-network",
        {
            "main": {
                "mynetworks": "127.0.0.0/8 192.168.7.0/24",
                "smtpd_recipient_restrictions": f"reject_unauth_destination, {POLICY}",
            }
        },
        {
            "config": '[policy]\ntrusted_networks = ["127.0.0.0/8", "::1/128", "192.168.0.0/16"]\n',
            "main": {
                "mynetworks": "127.0.0.0/8 192.168.7.0/24",
                "smtpd_recipient_restrictions": f"reject_unauth_destination, {POLICY}",
            },
        },
    ),
    Case(
        "no line at DATA",
        "policy-no-data-line",
        {"main": {"smtpd_data_restrictions": "reject_unauth_pipelining"}},
        {"main": {**recipient(policy=f"warn_if_reject {POLICY}"), "smtpd_data_restrictions": None}},
    ),
    Case(
        "a socket outside the chroot",
        "policy-socket-outside-chroot",
        {
            "config": '[policy]\nlisten = ["unix:/run/resolverd/policy"]\n',
            "main": {
                **recipient(policy=POLICY.replace("inet:127.0.0.1:10023", "unix:/run/resolverd/policy")),
                "smtpd_data_restrictions": POLICY.replace("inet:127.0.0.1:10023", "unix:/run/resolverd/policy"),
            },
        },
        {"config": _UNIX, "main": {**recipient(policy=_OWN_UNIX), "smtpd_data_restrictions": _OWN_UNIX}},
    ),
    Case(
        "HELO is not asked for",
        "helo-not-required",
        {"main": {"smtpd_helo_required": "no"}},
        {"config": '[checks.helo]\naction = "off"\n', "main": {"smtpd_helo_required": None}},
    ),
    Case(
        "master.cf takes the policy line away",
        "not-used",
        {
            **OTHER,
            "master": MASTER.replace(
                "cleanup", "smtps inet n - y - - smtpd\n  -o smtpd_client_restrictions=reject\ncleanup", 1
            ).replace(
                "-       -       smtpd\n#",
                "-       -       smtpd -o { smtpd_recipient_restrictions = reject_unauth_destination }"
                " -o smtpd_data_restrictions=\n#",
                1,
            ),
        },
        {},
    ),
    # -- twice, and too late
    Case(
        "the tutorial's sender restrictions",
        "checked-twice",
        {"main": {"smtpd_sender_restrictions": f"{FIRST} {SENDER}"}},
        {"main": {"smtpd_sender_restrictions": f"{FIRST} reject_non_fqdn_sender reject_sender_login_mismatch"}},
    ),
    Case(
        "the tutorial's HELO restrictions",
        "checked-twice",
        {"main": {"smtpd_helo_restrictions": f"{FIRST} {HELO}"}},
        {
            "config": '[checks.helo]\naction = "off"\n',
            "main": {"smtpd_helo_restrictions": f"{FIRST} {HELO}"},
        },
    ),
    Case(
        "lists asked twice",
        "checked-twice",
        {"main": recipient("reject_rhsbl_helo dbl.spamhaus.org", "reject_rbl_client zen.spamhaus.org")},
        {
            "config": "[dnsbl]\nenabled = true\n[lists.spamhaus-zen]\nenabled = false\n[lists.spamhaus-dbl]\nenabled = false\n",
            "main": recipient("reject_rhsbl_helo dbl.spamhaus.org", "reject_rbl_client zen.spamhaus.org"),
        },
    ),
    Case(
        "only to watch, so not yet twice",
        "checked-twice",
        {"main": recipient("reject_rbl_client zen.spamhaus.org")},
        {"main": {**recipient("reject_rbl_client zen.spamhaus.org", policy=f"warn_if_reject {POLICY}")}},
    ),
    Case(
        "policyd-spf is still there",
        "spf-twice",
        {"main": recipient("check_policy_service { unix:private/policyd-spf, default_action=DUNNO }")},
        {
            "config": '[checks.spf]\naction = "off"\n',
            "main": recipient("check_policy_service { unix:private/policyd-spf, default_action=DUNNO }"),
        },
    ),
    Case(
        "a milter for SPF",
        "spf-twice",
        {"main": {"smtpd_milters": "unix:pyspf-milter/pyspf-milter.sock, inet:localhost:8891"}},
        {"main": {"smtpd_milters": "inet:localhost:8891, unix:opendkim/opendkim.sock"}},
    ),
    Case(
        "Postgrey is still there",
        "two-greylisters",
        {"main": recipient("check_policy_service { unix:postgrey/socket, default_action=DUNNO }")},
        {
            "config": "[greylist]\nenabled = false\n",
            "main": recipient("check_policy_service { unix:postgrey/socket, default_action=DUNNO }"),
        },
    ),
    Case(
        "a greylisting milter",
        "two-greylisters",
        {"main": {"smtpd_milters": "unix:/milter-greylist/milter-greylist.sock"}},
        {"main": {"smtpd_milters": "inet:localhost:8891, unix:/opendmarc/opendmarc.sock"}},
    ),
    Case(
        "rbl_override behind the policy line",
        "exception-late",
        {"maps": OVERRIDE, "main": recipient("check_client_access hash:/etc/postfix/rbl_override")},
        {
            "maps": OVERRIDE,
            "main": {"smtpd_recipient_restrictions": f"{GUARDED}, check_client_access hash:/etc/postfix/rbl_override, {POLICY}"},
        },
    ),
    Case(
        "helo_access among the HELO restrictions",
        "exception-late",
        {"main": {"smtpd_helo_restrictions": f"{FIRST} check_helo_access hash:/etc/postfix/helo_access"}},
        {
            "config": '[checks.overrides]\nhelo_access = ["hash:/etc/postfix/helo_access"]\n',
            "main": {"smtpd_helo_restrictions": f"{FIRST} hash:/etc/postfix/helo_access"},
        },
    ),
    Case(
        "a map that only refuses",
        "exception-late",
        {"maps": OVERRIDE, "main": recipient("check_client_access hash:/etc/postfix/rbl_override")},
        {
            "maps": {Path("/etc/postfix/bad_clients"): "# OK\n192.0.2 REJECT go away\nexample.com 554 OK?\n"},
            "main": recipient("check_client_access proxy:hash:/etc/postfix/bad_clients"),
        },
    ),
    Case(
        "senders let through too late",
        "exception-late",
        {
            "maps": {Path("/etc/postfix/senders"): "news@example.com OK\n"},
            "main": {"smtpd_sender_restrictions": "check_sender_access hash:/etc/postfix/senders"},
        },
    ),
    # -- lists that Postfix asks itself
    Case(
        "zen without a filter",
        "list-without-filter not-used",
        {**OTHER, "main": without_policy("reject_rbl_client zen.spamhaus.org")},
        {"main": without_policy("reject_rbl_client zen.spamhaus.org")},
    ),
    Case(
        "SORBS, dead since 2024",
        "list-dead",
        {"main": recipient("reject_rbl_client dnsbl.sorbs.net")},
        {"main": recipient("reject_rbl_client psbl.surriel.com")},
    ),
    Case("a dead allow list", "list-dead", {"main": recipient("permit_dnswl_client swl.spamhaus.org")}),
    Case(
        "a list of domains asked of addresses",
        "list-wrong-subject checked-twice",
        {"main": recipient("reject_rbl_client dbl.spamhaus.org")},
        {
            "config": "[lists.spamhaus-dbl]\nenabled = false\n",
            "main": recipient("reject_rhsbl_sender dbl.spamhaus.org=127.0.1.[2..99]"),
        },
    ),
    Case(
        "a list of addresses asked of domains",
        "list-wrong-subject",
        {"main": recipient("reject_rhsbl_client bl.rbl.internal")},
        {"main": recipient("reject_rhsbl_client dbl.rbl.internal")},
    ),
    Case(
        "zen's filter for dbl",
        "filter-never-matches",
        {
            "main": recipient("reject_rhsbl_sender dbl.spamhaus.org=127.0.0.[2..11]"),
            "config": "[lists.spamhaus-dbl]\nenabled = false\n",
        },
        {
            "config": "[lists.spamhaus-dbl]\nenabled = false\n",
            "main": recipient("reject_rhsbl_sender dbl.spamhaus.org=127.0.1.[2..99]"),
        },
    ),
    Case(
        "a filter with commas",
        "filter-unreadable",
        {"main": recipient("reject_rbl_client psbl.surriel.com=127.0.0.[2..300]")},
        {"main": recipient("reject_rbl_client psbl.surriel.com=127.0.0.[2;3..30]")},
    ),
    Case(
        "dnswl's sabotage passes everybody",
        "filter-takes-errors",
        {
            **OTHER,
            "config": "[lists.dnswl]\nenabled = false\n",
            "main": recipient("permit_dnswl_client list.dnswl.org=127.0.[0..255].[1..3]"),
        },
        {
            **OTHER,
            "config": "[lists.dnswl]\nenabled = false\n",
            "main": recipient("permit_dnswl_client list.dnswl.org=127.0.[2..9;11..20].[1..3]"),
        },
    ),
    Case(
        "a key in the refusals",
        "list-key-leaks",
        {"main": recipient("reject_rbl_client abcdefghijklmnop.zen.dq.spamhaus.net=127.0.0.[2..11]")},
        {
            "main": {
                **recipient("reject_rbl_client abcdefghijklmnop.zen.dq.spamhaus.net=127.0.0.[2..11]"),
                "rbl_reply_maps": "texthash:/etc/postfix/dnsbl",
            }
        },
    ),
    Case(
        "a key in postscreen's refusals",
        "list-key-leaks",
        {
            "master": POSTSCREEN,
            "main": {
                "postscreen_dnsbl_action": "enforce",
                "postscreen_dnsbl_sites": "abcdefghijklmnop.zen.dq.spamhaus.net=127.0.0.[2..11]",
            },
        },
        {
            "master": POSTSCREEN,
            "main": {
                "postscreen_dnsbl_action": "enforce",
                "postscreen_dnsbl_reply_map": "texthash:/etc/postfix/dnsbl",
                "postscreen_dnsbl_sites": "abcdefghijklmnop.zen.dq.spamhaus.net=127.0.0.[2..11]",
            },
        },
    ),
    Case(
        "the keyed zone below .org",
        "list-key-zone",
        {"main": recipient("reject_rbl_client abcdefghijklmnop.zen.dq.spamhaus.org=127.0.0.[2..11]")},
    ),
    Case(
        "the score without a filter",
        "score-without-filter",
        {"main": recipient("reject_rbl_client score.rbl.internal")},
        {"main": recipient("reject_rbl_client score.rbl.internal=127.0.2.[6..254]")},
    ),
    Case(
        "a threshold out of reach",
        "threshold-unreachable",
        {
            "master": POSTSCREEN,
            "main": {
                "postscreen_dnsbl_action": "enforce",
                "postscreen_dnsbl_threshold": "6",
                "postscreen_dnsbl_sites": "score.rbl.internal=127.0.2.[6..254]*3\n wl.rbl.internal=127.0.[0..255].[1..3]*-4",
            },
        },
        {
            "master": POSTSCREEN,
            "main": {
                "postscreen_dnsbl_action": "enforce",
                "postscreen_dnsbl_threshold": "3",
                "postscreen_dnsbl_sites": "score.rbl.internal=127.0.2.[6..254]*3\n wl.rbl.internal=127.0.[0..255].[1..3]*-4",
            },
        },
    ),
    Case(
        "postscreen that only looks on",
        "postscreen-ignores",
        {"master": POSTSCREEN, "main": {"postscreen_dnsbl_sites": "score.rbl.internal=127.0.2.[6..254]"}},
        {"main": {"postscreen_dnsbl_sites": "score.rbl.internal=127.0.2.[6..254]"}},
    ),
    Case(
        "the combined zone by half its name",
        "own-zone-name",
        {"main": recipient("reject_rbl_client rbl.internal")},
        {"main": recipient("reject_rbl_client bl.rbl.internal")},
    ),
    Case(
        "the combined zone asked elsewhere",
        "own-zone-not-served",
        {"whole": ELSEWHERE, "main": recipient("reject_rbl_client bl.rbl.internal")},
        {"main": recipient("reject_rbl_client bl.rbl.internal")},
    ),
    # -- name servers
    Case(
        "Google as second name server",
        "nameserver-public-second",
        {"resolv": RESOLV + "nameserver 8.8.8.8\n", "chroot_resolv": None},
        {"resolv": RESOLV + "#nameserver 8.8.8.8\nsearch example.com\n", "chroot_resolv": None},
    ),
    Case(
        "a public one in the chroot's copy",
        "nameserver-public-second chroot-resolv-conf",
        {"chroot_resolv": RESOLV + "nameserver 2001:4860:4860::8888\n"},
        {"chroot_resolv": RESOLV + "nameserver\n"},
    ),
    Case(
        "lists through Cloudflare",
        "nameserver-public",
        {"resolv": "nameserver 1.1.1.1\n", "chroot_resolv": None, "main": recipient("reject_rbl_client bl.spamcop.net")},
        {"resolv": "nameserver 1.1.1.1\n", "chroot_resolv": None},
    ),
    Case(
        "the router as second name server",
        "nameserver-other-second",
        {"resolv": RESOLV + "nameserver 192.168.1.1\n", "chroot_resolv": None},
        {"resolv": RESOLV + "nameserver ::1\n", "chroot_resolv": None},
    ),
    Case(
        "an old copy in the chroot",
        "chroot-resolv-conf",
        {"chroot_resolv": "nameserver 192.168.1.1\n"},
        {"chroot_resolv": "nameserver 192.168.1.1\n", "master": MASTER.replace(" y ", " n ")},
    ),
    Case(
        "systemd-resolved in the way",
        "systemd-resolved",
        {"resolv": "nameserver 127.0.0.53\noptions edns0 trust-ad\n", "chroot_resolv": None},
        {"chroot_resolv": None},
    ),
    Case(
        "DANE without trust-ad",
        "no-trust-ad",
        {"main": {"smtp_dns_support_level": "dnssec"}, "resolv": "nameserver 127.0.0.1\n", "chroot_resolv": None},
        {"main": {"smtp_dns_support_level": "dnssec"}},
    ),
    # -- configuration and daemon
    Case("no daemon", "daemon-down", {"daemon": False}),
    Case("port 53 intercepted", "not-ready", {"not_ready": "is port 53 intercepted on the way?"}),
    Case(
        "zen refuses us",
        "list-trouble",
        {"lists": ({**ZEN, "state": "suspended", "last_error": "127.255.255.254"},)},
        {"lists": (ZEN, {**ZEN, "enabled": False, "state": "disabled"})},
    ),
    Case(
        "one of our own is listed",
        "own-address-listed",
        {"lists": ({**ZEN, "watched": ["198.51.100.7"]},)},
        {"lists": ({**ZEN, "purpose": "allow", "watched": ["198.51.100.7"]},)},
    ),
    Case("the clock is wrong", "daemon-remark", {"remarks": ("DNSSEC is not validated until the clock is right",)}),
    Case("a key that is not there", "list-key-missing", {"config": '[lists.spamhaus-zen]\nkey = {file = "/nowhere/key"}\n'}),
    Case("a service without lists", "list-terms-use", {"config": '[dnsbl]\nuse = "service"\n'}),
    Case(
        "more than the terms give",
        "list-terms-quota",
        {"config": '[lists.spamhaus-zen]\nquota = "9000000/1d"\n'},
        {"config": '[lists.spamhaus-zen]\nquota = "1000/1d"\n'},
    ),
    Case("state in /run", "state-volatile", {"whole": CONFIG.replace("/var/lib/resolverd", "/run/resolverd")}),
    Case(
        "what is not shared yet in /run",
        "state-volatile",
        {"whole": SHARING + 'directory = "/run/resolverd"\n'},
        {"whole": SHARING + 'directory = "/srv/resolverd"\n'},
    ),
    Case("the disk is full", "store-trouble", {"store_fault": "cannot be written: the disk is full"}),
    Case(
        "the server that hosts share is away",
        "shared-store-trouble",
        {"whole": SHARING, "shared_fault": "is out of reach: connection refused"},
        {"whole": SHARING},
    ),
    Case(
        "shared in clear", "store-no-password store-clear", {"whole": CONFIG.replace("disk:/var/lib/resolverd", "redis://10.0.0.9")}
    ),
    Case("state in memory", "state-volatile", {"whole": CONFIG.replace("disk:/var/lib/resolverd", "memory:")}),
    Case(
        "an open resolver",
        "dns-open",
        {"whole": CONFIG.replace("127.0.0.1:53", "0.0.0.0:53").replace("[dns]", '[dns]\nallow = ["0.0.0.0/0"]')},
        {"whole": CONFIG.replace("127.0.0.1:53", "0.0.0.0:53").replace("[dns]", '[dns]\nallow = ["127.0.0.0/8", "10.0.0.0/8"]')},
    ),
    Case(
        "forwarded to itself",
        "forward-self",
        {"config": '[[resolver.forward]]\nzone = "."\nservers = ["127.0.0.1:53"]\n'},
        {"config": '[[resolver.forward]]\nzone = "."\nservers = ["127.0.0.1:5353"]\n'},
    ),
    Case(
        "forwarded to Quad9",
        "forward-public",
        {"config": '[[resolver.forward]]\nzone = "."\nservers = ["9.9.9.9:53"]\n'},
        {"config": '[[resolver.forward]]\nzone = "corp.example"\nservers = ["9.9.9.9:53"]\n'},
    ),
    Case("a map that is missing", "file-fault", {"file_faults": ("checks.overrides.client_access[0]: cannot read",)}),
]
