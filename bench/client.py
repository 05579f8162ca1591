"""A new client's RCPT with ten lists: one `reject_rbl_client bl.ORIGIN`, beside ten `reject_rbl_client` lines over Unbound.

`python -m bench.client [CLIENTS]`, over a wire with a round trip of 20 ms; real Postfix on both sides, so what is measured
is what a client waits for between RCPT TO and the reply. Queries are counted as packets that leave for the lists' servers.
"""

from __future__ import annotations

import statistics
import sys
import time
from typing import NamedTuple

from bench.measure import in_the_lab, machine, table
from tests.lab import lists

RTT = 0.02
MORE = tuple(f"bl.more-lists-{letter}.net" for letter in "abcd")
ZONES = ("zen.spamhaus.org", "bl.spamcop.net", "psbl.surriel.com", "bl.mailspike.net", "b.barracudacentral.org",
         "rbl.small-list.net", *MORE)

SETTINGS = "".join(f"[lists.{name}]\nenabled = true\n" for name in ("spamcop", "psbl", "mailspike", "barracuda")) + (
    "[lists.dnswl]\nenabled = false\n"
) + "".join(
    f'[lists.own{number}]\nzone = "{zone}"\nkinds = ["ip4", "ip6"]\nnumber = {110 + number}\n'
    for number, zone in enumerate(("rbl.small-list.net", *MORE))
)  # fmt: skip


class Met(NamedTuple):
    """What one client met: seconds from RCPT TO to the reply, and whether it was refused."""

    seconds: float
    refused: bool


def run() -> None:
    """Measure both and print the table."""
    clients = int(sys.argv[1]) if len(sys.argv) > 1 else 40
    listed = [f"198.51.100.{number}" for number in range(200, 200 + max(1, clients // 4))]
    entries = tuple((address, "127.0.0.2", "listed for the benchmark") for address in listed)
    test = (("127.0.0.2", "127.0.0.2", "test entry"),)
    # The lab's internet follows from its lists: four more of them, before it is made.
    for number, zone in enumerate(MORE, 81):
        operator = zone.partition(".")[2]
        lists.LISTS += (lists.List(zone, operator, "address", ((f"a.bl-ns.{operator}", f"45.{number}.0.1"),), test),)
    from tests.lab import postfix as postfixes
    from tests.lab.lab import Lab
    from tests.lab.namespace import use_nameserver
    from tests.lab.postfix import Postfix
    from tests.lab.resolverd import CONFIG, resolverd
    from tests.lab.smtp import Session
    from tests.lab.unbound import unbound

    lines = ", ".join(f"reject_rbl_client {zone}" for zone in ZONES)
    postfixes.VARIANTS["ten"] = f"\nsmtpd_recipient_restrictions = {postfixes._ACCEPT_OURS}, {lines}\n"

    def meet(lab: Lab, address: str) -> Met:
        with Session(address, lab.internet) as session:
            session.say("EHLO mail.honest-mail.com")
            session.say("MAIL FROM:<a@honest-mail.com>")
            began = time.perf_counter()
            reply = session.say("RCPT TO:<anna@our-company.org>")
            return Met(time.perf_counter() - began, reply.code >= 500)

    rows = []
    with Lab(RTT) as lab:
        for zone in ZONES:
            details = next(each for each in lists.LISTS if each.zone == zone)
            lab.lists[zone].relist((*details.entries, *entries))
        clean = [f"198.51.100.{number}" for number in range(100, 100 + clients)]
        stacks = {
            "ten lines, Unbound": (unbound("127.0.0.1", lab.mail), Postfix("ten", lab.mail)),
            "bl, resolverd": (resolverd(lab.mail, CONFIG + SETTINGS), Postfix("combined", lab.mail)),
        }
        use_nameserver("127.0.0.1")
        for name, (resolver, mail) in stacks.items():
            with lab.running(resolver, mail):
                for address in ("192.0.2.10", "192.0.2.11", "192.0.2.12"):  # the way to every list is known then
                    meet(lab, address)
                time.sleep(3)
                for kind, addresses in (("clean", clean), ("listed by all", listed)):
                    with lab.tap() as tap:
                        met = [meet(lab, address) for address in addresses]
                        time.sleep(0.5)
                        sent = sum(any(query.name.endswith(zone) for zone in ZONES) for query in tap.queries())
                    times = sorted(each.seconds * 1000 for each in met)
                    rows.append((f"{kind}: {name}", f"{statistics.median(times):.0f}", f"{times[int(len(times) * 0.95)]:.0f}",
                                 f"{times[-1]:.0f}", f"{sent / len(met):.1f}", f"{sum(each.refused for each in met)}/{len(met)}"))
    print(f"{len(ZONES)} lists, {clients} new clients, round trip {RTT * 1000:.0f} ms, {machine()}")
    print(table(("", "p50 ms", "p95 ms", "worst ms", "queries/client", "refused"), sorted(rows)))


if __name__ == "__main__":
    in_the_lab("bench.client", run)
