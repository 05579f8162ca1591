"""Postfix with its own queue, configuration, log and mailboxes; one main.cf, and what each way of use changes in it.

The variants are the ways in which a mail server can use the service, and the tutorial that all of them replace:

* `tutorial`: every restriction of "7 effective tips for blocking email spam with Postfix", asked of whatever resolver
  is in resolv.conf, with policyd-spf and with greylisting on port 10023.
* `policy`: the two policy lines of resolverd's README.
* `dmarc`: the same, with OpenDMARC as a milter behind it.
* `combined`: one DNS list that says what all lists say, `reject_rbl_client bl.rbl.internal`.
* `zones`: all that the combined zone has for smtpd; each session has an smtpd of its own, as they remember what lists said.
* `postscreen`: postscreen in front, with the lines that `resolverd config postfix` prints, and nothing asked by smtpd.
* `parts`: an unchanged main.cf that asks parts of lists, and lists about what they do not list.
* `guarded`: an unchanged `reject_rbl_client zen.spamhaus.org`; only resolv.conf points at resolverd.
* `dane`: mail goes out over TLS as the receiving domain's TLSA records want it (RFC 7672), names asked of resolv.conf's resolver.
* `secured`: who receives it, on an address of its own, with the certificate that it is given; takes all mail and drops it.
* `bare`: nothing is asked of anybody: what a session takes by itself.
"""

from __future__ import annotations

import email
import shutil
from collections.abc import Sequence
from email.message import Message
from pathlib import Path

from resolverd.config import parse
from resolverd.config.postfix import lines
from tests.lab.daemon import Daemon, fresh, until
from tests.lab.namespace import HOST_NAME, MAIL_SERVER, Side
from tests.postfix_files import settle

DOMAIN = "our-company.org"

MAILBOXES = ("anna", "bert", "postmaster")
"""Who has a mailbox in the domain; mail to anybody else is refused."""

SECURED = "198.51.100.26"
"""Where the variant `secured` listens."""

_POLICY = "check_policy_service { inet:127.0.0.1:10023, timeout=10s, default_action=DUNNO }"
_ACCEPT_OURS = "permit_mynetworks, permit_sasl_authenticated, reject_unauth_destination, reject_unlisted_recipient"

CONTRIB = Path(__file__).parents[2] / "contrib"
_POSTSCREEN = lines(parse("", Path("/etc/resolverd")), "postscreen", enforce=True)

VARIANTS = {
    "tutorial": """
smtpd_helo_restrictions = permit_mynetworks, permit_sasl_authenticated,
    check_helo_access texthash:$config_directory/helo_access,
    reject_invalid_helo_hostname, reject_non_fqdn_helo_hostname, reject_unknown_helo_hostname
smtpd_sender_restrictions = permit_mynetworks, permit_sasl_authenticated,
    reject_unknown_sender_domain, reject_unknown_reverse_client_hostname, reject_unknown_client_hostname
smtpd_recipient_restrictions = permit_mynetworks, permit_sasl_authenticated,
    check_policy_service unix:private/policyd-spf,
    check_policy_service inet:127.0.0.1:10023,
    check_client_access texthash:$config_directory/rbl_override,
    reject_rhsbl_helo dbl.spamhaus.org, reject_rhsbl_reverse_client dbl.spamhaus.org,
    reject_rhsbl_sender dbl.spamhaus.org,
    permit_dnswl_client list.dnswl.org=127.0.[0..255].[1..3],
    reject_rbl_client zen.spamhaus.org
""",
    "policy": f"""
smtpd_recipient_restrictions = {_ACCEPT_OURS}, {_POLICY}
smtpd_data_restrictions = {_POLICY}
""",
    "dmarc": f"""
smtpd_recipient_restrictions = {_ACCEPT_OURS}, {_POLICY}
smtpd_data_restrictions = {_POLICY}
smtpd_milters = inet:127.0.0.1:8893
milter_default_action = tempfail
""",
    "combined": f"""
smtpd_recipient_restrictions = {_ACCEPT_OURS}, reject_rbl_client bl.rbl.internal
""",
    "zones": f"""
smtpd_recipient_restrictions = {_ACCEPT_OURS},
    permit_dnswl_client wl.rbl.internal=127.0.[0..255].[1..3],
    reject_rbl_client bl.rbl.internal,
    reject_rhsbl_helo dbl.rbl.internal, reject_rhsbl_sender dbl.rbl.internal, reject_rhsbl_reverse_client dbl.rbl.internal
max_use = 1
""",
    "postscreen": f"""
{_POSTSCREEN}
postscreen_dnsbl_reply_map = texthash:$config_directory/dnsbl_reply
postscreen_greet_wait = 1s
postscreen_dnsbl_min_ttl = 1s
postscreen_dnsbl_max_ttl = 1s
""",
    "parts": f"""
smtpd_recipient_restrictions = {_ACCEPT_OURS},
    reject_rbl_client sbl.spamhaus.org, reject_rbl_client pbl.spamhaus.org, reject_rbl_client sbl-xbl.spamhaus.org,
    reject_rbl_client unheard-of.spamhaus.org, reject_rbl_client bb.barracudacentral.org, reject_rbl_client dbl.spamhaus.org,
    reject_rbl_client multi.uribl.com, reject_rhsbl_sender black.uribl.com, reject_rhsbl_helo grey.uribl.com,
    reject_rhsbl_sender ws.surbl.org, reject_rhsbl_sender zen.spamhaus.org, reject_rhsbl_helo sbl.spamhaus.org,
    reject_rhsbl_reverse_client pbl.spamhaus.org, reject_rhsbl_client bl.spamcop.net,
    reject_rbl_client xbl.spamhaus.org
""",
    "guarded": f"""
smtpd_recipient_restrictions = {_ACCEPT_OURS}, reject_rbl_client zen.spamhaus.org
""",
    "dane": """
smtpd_peername_lookup = no
smtpd_recipient_restrictions = permit_mynetworks, reject
smtp_dns_support_level = dnssec
smtp_tls_security_level = dane
smtp_tls_loglevel = 1
smtp_address_preference = ipv4
""",
    "secured": f"""
inet_interfaces = {SECURED}
myhostname = mail.example
smtpd_peername_lookup = no
mynetworks = 0.0.0.0/0
smtpd_recipient_restrictions = permit_mynetworks, reject
default_transport = discard:
relay_transport = discard:
smtpd_tls_security_level = may
smtpd_tls_chain_files = $config_directory/tls.pem
""",
    "bare": f"""
smtpd_peername_lookup = no
smtpd_recipient_restrictions = {_ACCEPT_OURS}
""",
}

HELO_ACCESS = """\
optimus-webapi-prod-2.localdomain OK
va-massmail-02.rakutenmarketing.com OK
"""
RBL_OVERRIDE = """\
dripemail2.com OK //This domain belongs to drip.com
mlsend.com OK //This domain belongs to mailerlite email marketing service
"""
"""The tutorial's two access maps, as they stand in it."""

_MAIN = """
compatibility_level = 3.7
myhostname = {host_name}
mydestination =
mynetworks = 127.0.0.0/8 [::1]/128
inet_interfaces = {addresses}
queue_directory = $config_directory/../queue
data_directory = $config_directory/../data
maillog_file = $config_directory/../mail.log
maillog_file_prefixes = $config_directory
virtual_mailbox_domains = {domain}
virtual_mailbox_base = $config_directory/../mail
virtual_mailbox_maps = texthash:$config_directory/mailboxes
virtual_uid_maps = static:65534
virtual_gid_maps = static:65534
alias_maps =
smtpd_helo_required = yes
smtpd_relay_restrictions = permit_mynetworks, permit_sasl_authenticated, defer_unauth_destination
smtpd_error_sleep_time = 0
postscreen_greet_wait = 1s
postscreen_greet_action = enforce
postscreen_cache_map =
"""

_MASTER = """
{smtp}
smtpd     pass  - - n - -   smtpd
dnsblog   unix  - - n - 0   dnsblog
tlsproxy  unix  - - n - 0   tlsproxy
pickup    unix  n - n 60 1  pickup
cleanup   unix  n - n - 0   cleanup
qmgr      unix  n - n 300 1 qmgr
rewrite   unix  - - n - -   trivial-rewrite
bounce    unix  - - n - 0   bounce
defer     unix  - - n - 0   bounce
trace     unix  - - n - 0   bounce
verify    unix  - - n - 1   verify
flush     unix  n - n 1000? 0 flush
proxymap  unix  - - n - -   proxymap
smtp      unix  - - n - -   smtp
relay     unix  - - n - -   smtp
showq     unix  n - n - -   showq
error     unix  - - n - -   error
retry     unix  - - n - -   error
discard   unix  - - n - -   discard
virtual   unix  - n n - -   virtual
anvil     unix  - - n - 1   anvil
scache    unix  - - n - 1   scache
tlsmgr    unix  - - n 1000? 1 tlsmgr
postlog   unix-dgram n - n - 1 postlogd
policyd-spf unix - n n - 0 spawn user=policyd-spf argv=/usr/bin/policyd-spf
"""


_SMTP = """\
smtp      inet  n - n - -   smtpd
2525      inet  n - n - 1   postscreen"""
_SCREENED = "smtp      inet  n - n - 1   postscreen"

_DIRECTORIES = (
    ("etc", "root", "root", 0o755),
    ("data", "postfix", "postfix", 0o700),
    ("mail", "nobody", "nogroup", 0o755),
    ("queue", "root", "root", 0o755),
    ("queue/pid", "root", "root", 0o755),
    ("queue/public", "postfix", "postdrop", 0o710),
    ("queue/maildrop", "postfix", "postdrop", 0o730),
    *((f"queue/{name}", "postfix", "root", 0o700) for name in (
        "active", "bounce", "corrupt", "defer", "deferred", "flush", "hold", "incoming", "private", "saved", "trace")),
)


class Postfix:
    """A mail server in one variant, on `addresses`; what it keeps is in a directory of its name."""

    def __init__(self, variant: str, side: Side, *, name: str = "", host_name: str = HOST_NAME,
                 addresses: Sequence[str] = MAIL_SERVER) -> None:
        self.variant = variant
        self.directory = fresh(name or f"postfix-{variant}")
        self.config = self.directory / "etc"
        self._main = _MAIN.format(host_name=host_name, addresses=" ".join(addresses), domain=DOMAIN)
        self._furnish()
        # master itself rather than `postfix start-fg`, whose shell would stand between us and it.
        self.daemon = Daemon(name or f"postfix {variant}", ["/usr/lib/postfix/sbin/master", "-s", "-c", str(self.config)], side,
                             lambda: "daemon started" in self.log())

    def start(self) -> None:
        """Start the mail server and return once it takes connections."""
        self.daemon.start()

    def stop(self) -> None:
        """End the mail server."""
        self.daemon.stop()

    def delivered(self, recipient: str, count: int = 1, limit: float = 10.0) -> list[Message]:
        """Give the messages in a mailbox, oldest first; wait up to `limit` seconds until there are `count`."""
        mailbox = self.directory / "mail" / recipient.partition("@")[0] / "new"
        files: list[Path] = []
        for _ in until(limit):
            files = sorted(mailbox.iterdir(), key=lambda file: file.stat().st_mtime_ns) if mailbox.is_dir() else []
            if len(files) >= count:
                break
        return [email.message_from_bytes(file.read_bytes()) for file in files]

    def count(self, recipient: str, limit: float = 10.0) -> int:
        """Count the messages in a mailbox, when all that has been accepted is delivered."""
        queues = [self.directory / "queue" / name for name in ("incoming", "active")]
        for _ in until(limit):
            if not any(path.is_file() for queue in queues for path in queue.rglob("*")):
                break
        return len(self.delivered(recipient, 0))

    def log(self) -> str:
        """Give the mail log so far."""
        file = self.directory / "mail.log"
        return file.read_text() if file.exists() else ""

    def _furnish(self) -> None:
        """Write the configuration, and make the directories that `postfix start` would spend two seconds on."""
        for directory, owner, group, mode in _DIRECTORIES:
            path = self.directory / directory
            path.mkdir(exist_ok=True, parents=True)
            shutil.chown(path, owner, group)
            path.chmod(mode)
        (self.config / "main.cf").write_text(self._main + VARIANTS[self.variant])
        smtp = _SCREENED if self.variant == "postscreen" else _SMTP
        (self.config / "master.cf").write_text(_MASTER.replace("{smtp}", smtp))
        shutil.copy(CONTRIB / "postfix" / "dnsbl_reply", self.config)
        (self.config / "mailboxes").write_text("".join(f"{name}@{DOMAIN} {name}/\n" for name in MAILBOXES))
        (self.config / "helo_access").write_text(HELO_ACCESS)
        (self.config / "rbl_override").write_text(RBL_OVERRIDE)
        settle(*self.config.iterdir())
