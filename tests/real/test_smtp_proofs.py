"""What a mail server gets from the service, seen from the far end of SMTP: each way of use, and its failure."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.lab.daemon import Daemon, until
from tests.lab.lab import RECIPIENT, Lab
from tests.lab.namespace import HOSTS, ROOT, use_hosts
from tests.lab.postfix import Postfix
from tests.lab.resolverd import CONFIG, resolverd
from tests.lab.smtp import Delivery, Session

LISTED = [("192.0.2.66", "mail.spam-factory.net"), ("2001:db8:66::66", "mail.spam-factory.net")]
CLEAN = [("192.0.2.10", "mail.honest-mail.com"), ("2001:db8:10::10", "mail.honest-mail.com")]
NAMELESS = [("192.0.2.99", "mail.honest-mail.com"), ("2001:db8:99::99", "mail.honest-mail.com")]
ALLOWED = [("198.51.100.50", "mx.trusted-bank.com"), ("2001:db8:50::50", "mx.trusted-bank.com")]


@pytest.fixture(scope="class")
def policy(lab: Lab) -> Iterator[Postfix]:
    """A mail server with the two policy lines of the README."""
    with lab.stack("resolverd", "policy") as postfix:
        yield postfix


class TestPolicy:
    """`check_policy_service`, as the README has it."""

    @pytest.mark.parametrize(("address", "helo"), LISTED)
    def test_a_listed_client_is_refused(self, lab: Lab, policy: Postfix, address: str, helo: str) -> None:
        delivery = lab.deliver(address, helo, "offer@spam-factory.net")
        assert delivery.reply.code == 554, delivery
        assert re.search(r"5\.7\.1 .*Service unavailable \(Client host \[" + re.escape(address)
                         + r"\] blocked using zen\.spamhaus\.org\); https?://\S+; ref \S+", delivery.reply.text), delivery

    @pytest.mark.parametrize(("address", "helo"), NAMELESS)
    def test_a_client_without_a_name_is_deferred(self, lab: Lab, policy: Postfix, address: str, helo: str) -> None:
        delivery = lab.deliver(address, helo, "bob@gardening-club.org")
        assert delivery.reply.code == 450, delivery
        assert "4.7.25" in delivery.reply.text
        assert "Client host rejected (cannot find your reverse hostname)" in delivery.reply.text

    @pytest.mark.parametrize(("address", "helo"), CLEAN)
    def test_a_clean_client_is_greylisted_then_let_through(
        self, lab: Lab, policy: Postfix, address: str, helo: str
    ) -> None:
        before = policy.count(RECIPIENT)
        # both hosts are of one organisation: the same sender would be known at the second
        sender = f"{'caroline' if ':' in address else 'carol'}@honest-mail.com"
        attempts = lab.deliver_patiently(address, helo, sender)
        assert attempts[0].reply.code == 450, attempts[0]
        assert "4.2.0" in attempts[0].reply.text
        assert "Greylisted" in attempts[0].reply.text
        assert attempts[-1].accepted, attempts[-1]
        message = policy.delivered(RECIPIENT, before + 1)[-1]
        header = message["X-Greylist"]
        assert re.fullmatch(r"delayed \d+ seconds by resolverd-\S+ at \S+; .+", header), message.as_string()
        assert sender in message["Return-Path"]

    def test_the_header_comes_once(self, lab: Lab, policy: Postfix) -> None:
        before = policy.count(RECIPIENT)
        lab.deliver_patiently("192.0.2.11", "mail2.honest-mail.com", "dave@honest-mail.com")
        assert lab.deliver("192.0.2.11", "mail2.honest-mail.com", "dave@honest-mail.com").accepted
        first, second = policy.delivered(RECIPIENT, before + 2)[-2:]
        assert len(first.get_all("X-Greylist", [])) == 1
        assert second.get_all("X-Greylist", []) == []

    @pytest.mark.parametrize(("address", "helo"), ALLOWED)
    def test_an_allow_listed_client_is_let_through(self, lab: Lab, policy: Postfix, address: str, helo: str) -> None:
        delivery = lab.deliver(address, helo, "statements@trusted-bank.com")
        assert delivery.accepted, delivery

    def test_the_allow_list_outweighs_the_block_list(self, lab: Lab, policy: Postfix) -> None:
        delivery = lab.deliver("192.0.2.70", "mail.both-lists.org", "post@both-lists.org")
        assert delivery.accepted, delivery

    def test_a_listed_sender_domain_is_refused(self, lab: Lab, policy: Postfix) -> None:
        delivery = lab.deliver("198.51.100.10", "out.friendly-news.com", "win@casino-deals.net")
        assert delivery.refused, delivery
        assert "dbl.spamhaus.org" in delivery.reply.text

    @pytest.mark.parametrize(("address", "helo", "sender", "says"), [
        ("192.0.2.10", "-odd-.honest-mail.com", "a@honest-mail.com", "501 5.5.2 .*Helo command rejected (Invalid name)"),
        ("192.0.2.10", "localhost", "a@honest-mail.com",
         "504 5.5.2 .*Helo command rejected (need fully-qualified hostname)"),
        ("192.0.2.10", "no-such.honest-mail.com", "a@honest-mail.com",
         "450 4.7.1 .*Helo command rejected (Host not found)"),
        # Our 4.1.8: in a recipient restriction Postfix turns a code about senders into the one about recipients.
        ("192.0.2.10", "mail.honest-mail.com", "a@no-such-domain.com",
         "450 4.1.2 .*Sender address rejected (Domain not found)"),
        ("192.0.2.10", "mail.honest-mail.com", "a@null-mx.com", "550 5.7.27 .*Sender address rejected"),
        ("192.0.2.90", "mail.honest-mail.com", "a@gardening-club.org",
         "450 4.7.25 .*Client host rejected (cannot find your hostname)"),
        ("192.0.2.91", "mail.honest-mail.com", "a@gardening-club.org",
         "450 4.7.25 .*Client host rejected (cannot find your hostname)"),
    ])
    def test_each_check_of_the_tutorial_has_its_reply(
        self, lab: Lab, policy: Postfix, address: str, helo: str, sender: str, says: str
    ) -> None:
        delivery = lab.deliver(address, helo, sender)
        assert re.search(re.escape(says).replace(r"\.\*", ".*"), str(delivery.reply)), delivery

    def test_each_list_is_asked_once_for_a_client(self, lab: Lab, policy: Postfix) -> None:
        """One packet a client and list, whatever the client repeats: no minimised names, no TXT until it is listed."""
        lab.deliver("192.0.2.10", "mail.honest-mail.com", "erin@honest-mail.com")
        with lab.tap() as tap:
            for _ in range(3):
                lab.deliver("198.51.100.11", "out2.friendly-news.com", "weekly@friendly-news.com")
            seen = tap.queries()
        asked = Counter(query.name for query in seen if query.name.endswith((".zen.spamhaus.org", ".list.dnswl.org")))
        assert asked == {"11.100.51.198.zen.spamhaus.org": 1, "11.100.51.198.list.dnswl.org": 1}, seen

    def test_several_recipients_in_one_session(self, lab: Lab, policy: Postfix) -> None:
        """Greylisting is by recipient; the second's first try is deferred although the first's is known."""
        args = ("192.0.2.20", "mx.gardening-club.org", "tulips@gardening-club.org")
        assert lab.deliver_patiently(*args)[-1].accepted
        with Session(args[0], lab.internet) as session:
            session.say(f"EHLO {args[1]}")
            session.say(f"MAIL FROM:<{args[2]}>")
            assert session.say(f"RCPT TO:<{RECIPIENT}>").code == 250
            assert session.say("RCPT TO:<bert@our-company.org>").code == 450
        assert lab.deliver_patiently(*args, "bert@our-company.org")[-1].accepted
        assert len(policy.delivered("bert", 1)) == 1

    def test_what_was_said_is_replayed(self, lab: Lab, policy: Postfix) -> None:
        """All of the above, once more from what is kept of it: by the same configuration, and by others."""
        config = Path(_resolverd(lab).argv[-1])

        def replayed(*words: str) -> Any:
            command = [sys.executable, "-m", "resolverd", "replay", "-c", str(config), "--json", *words]
            done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
            assert done.returncode == 0, done.stderr
            return json.loads(done.stdout)

        time.sleep(1)  # a verdict is in the store by then
        same = replayed("--stored")
        assert (same["same"] > 10, same["changed"]) == (True, 0), same["changes"] or same["missing"]
        other = config.with_name("observe.toml")
        other.write_text(config.read_text() + '[verdict]\nmode = "observe"\n')
        observed = replayed("--stored", "--config", str(other))
        assert {each["new"] for each in observed["transitions"]} == {"accept"}
        assert observed["changed"] + observed["unknown"] >= same["then"]["refusals"]
        logged = replayed(str(policy.directory / "mail.log"))
        assert (logged["attempts"] > 5, logged["changed"]) == (True, 0), logged["changes"]



@pytest.mark.parametrize(("variant", "says"), [
    ("combined", "blocked using bl.rbl.internal"),
    ("guarded", "blocked using zen.spamhaus.org"),
])
def test_a_listed_client_is_refused_by_plain_dns(lab: Lab, variant: str, says: str) -> None:
    with lab.stack("resolverd", variant):
        for address, helo in LISTED:
            delivery = lab.deliver(address, helo, "offer@spam-factory.net")
            assert delivery.reply.code == 554, delivery
            assert f"Client host [{address}] {says}" in delivery.reply.text, delivery
        for address, helo in CLEAN:
            delivery = lab.deliver(address, helo, "carol@honest-mail.com")
            assert delivery.accepted, delivery


def test_a_pool_passes_at_its_second_try_from_another_network(lab: Lab) -> None:
    """Both hosts have names of one organisation that lead back to them; a host of another organisation waits for itself."""
    with lab.stack("resolverd", "policy"):
        mail = ("mail.honest-mail.com", "invoices@gardening-club.org")
        assert lab.deliver("192.0.2.10", *mail).deferred
        time.sleep(1.5)  # the lab's delay is a second
        assert lab.deliver("198.51.100.11", "out2.friendly-news.com", mail[1]).deferred
        assert lab.deliver("2001:db8:10::10", *mail).accepted


def test_a_domain_of_ours_that_dns_does_not_know_may_send(lab: Lab) -> None:
    """As with reject_unknown_sender_domain, which skips what Postfix is final for."""
    client = ("192.0.2.20", "mx.gardening-club.org")
    with lab.stack("resolverd", "policy", CONFIG.replace("[policy]", '[policy]\nlocal_domains = ["no-such-domain.com"]')):
        assert "Greylisted" in lab.deliver(*client, "a@no-such-domain.com").reply.text
        assert lab.deliver_patiently(*client, "a@no-such-domain.com")[-1].accepted
        assert "Domain not found" in lab.deliver(*client, "a@sub.no-such-domain.com").reply.text


def test_a_sender_in_other_letters_is_told_in_a_labels(lab: Lab) -> None:
    """SMTPUTF8 through smtpd: the DNS is asked for A-labels, headers and replies have them, logs have the letters."""
    sender, config = "jos\u00e9@m\u00fcnchen-club.org", '[policy]\nlocal_domains = ["m\u00fcnchen-club.org"]'
    with lab.stack("resolverd", "policy", CONFIG.replace("[policy]", config)) as postfix:
        before = postfix.count(RECIPIENT)
        for wait in (0, 1.5):  # the lab's delay of greylisting is a second
            time.sleep(wait)
            with Session("192.0.2.20", lab.internet) as session:
                session.say("EHLO mx.gardening-club.org")
                assert session.say(f"MAIL FROM:<{sender}> SMTPUTF8").code == 250
                reply = session.say(f"RCPT TO:<{RECIPIENT}>")
                if reply.code == 250:
                    session.say("DATA")
                    session.say("Subject: Gr\u00fc\u00dfe\r\n\r\nHello.\r\n.")
                assert session.say("RSET").code == 250
                unknown = session.say("MAIL FROM:<jos\u00e9@stra\u00dfe.org> SMTPUTF8")
                assert unknown.code == 250
                assert "Domain not found" in session.say(f"RCPT TO:<{RECIPIENT}>").text
        assert reply.code == 250, reply
        (header,) = postfix.delivered(RECIPIENT, before + 1)[-1].get_all("Received-SPF", [])
        assert "xn--mnchen-club-thb.org" in str(header), header
        assert f"sender={sender}" in _resolverd(lab).log_path.read_text()


def test_observing_tells_the_harshest_verdict_of_a_message(lab: Lab) -> None:
    """To Anna it passes, to Bert it would be greylisted, whoever is named first."""
    client, both = ("192.0.2.20", "mx.gardening-club.org"), (RECIPIENT, "bert@our-company.org")
    with lab.stack("resolverd", "policy", CONFIG + '[verdict]\nmode = "observe"\n') as postfix:
        for sender, order in (("ann@gardening-club.org", both), ("bob@gardening-club.org", both[::-1])):
            for wait in (0, 1.5):  # the lab's delay of greylisting is a second
                time.sleep(wait)
                assert lab.deliver(*client, sender).accepted
            before = postfix.count(RECIPIENT)
            assert lab.deliver(*client, sender, *order).accepted
            (header,) = postfix.delivered(RECIPIENT, before + 1)[-1].get_all("X-Resolverd", [])
            assert header.startswith("would greylist (greylisted, new)"), header


def test_greylisting_remembers_across_a_restart(lab: Lab) -> None:
    with lab.stack("resolverd", "policy"):
        daemon = _resolverd(lab)
        client = ("198.51.100.11", "out2.friendly-news.com", "weekly@friendly-news.com")
        assert lab.deliver(*client).deferred
        # On disk within a second at most; the second try waits for the delay of a second anyhow.
        assert daemon.stop() == 0
        daemon.start()
        attempts = lab.deliver_patiently(*client)
        assert attempts[-1].accepted, attempts[-1]


@pytest.mark.parametrize("variant", ["policy", "combined", "guarded"])
def test_killing_the_daemon_costs_no_mail(lab: Lab, variant: str) -> None:
    """kill -9 in the middle of sessions: nobody gets a 5xx for it, and with `default_action=DUNNO` nobody waits."""
    with lab.stack("resolverd", variant):
        daemon = _resolverd(lab)
        killed = threading.Event()
        after: list[Delivery] = []
        replies: list[int] = []
        failures: list[BaseException] = []

        def client(number: int) -> None:
            address, helo = CLEAN[number % 2]
            try:
                for turn in range(100):
                    was_killed = killed.is_set()
                    delivery = lab.deliver(address, helo, f"sender{number}-{turn}@honest-mail.com")
                    replies.append(delivery.reply.code)
                    if was_killed:
                        after.append(delivery)
                        return
            except BaseException as error:
                failures.append(error)

        clients = [threading.Thread(target=client, args=(number,)) for number in range(12)]
        for each in clients:
            each.start()
        for _ in until(20):
            if len(replies) >= 20:
                break
        daemon.kill()
        killed.set()
        for each in clients:
            each.join(60)
        assert not failures
        assert len(after) == len(clients)
        assert all(code < 500 for code in replies), replies
        assert all(delivery.accepted for delivery in after), "\n\n".join(map(str, after))

        daemon.start()                      # what was killed comes back, with its state
        refused = lab.deliver(*LISTED[0], "offer@spam-factory.net")
        assert refused.reply.code == 554, refused


def test_the_daemon_ends_in_order(lab: Lab) -> None:
    with lab.stack("resolverd", "policy"):
        daemon = _resolverd(lab)
        began = time.monotonic()
        assert daemon.stop() == 0
        assert time.monotonic() - began < 2


def test_the_daemon_starts_at_once_where_only_dns_knows_its_name(lab: Lab) -> None:
    """It is itself the name server that would have to say what its machine is called."""
    use_hosts("127.0.0.1 localhost\n")
    try:
        began = time.monotonic()
        with lab.running(resolverd(lab.mail)):
            assert time.monotonic() - began < 4
    finally:
        use_hosts(HOSTS)


def test_the_lab_plays_every_scene() -> None:
    done = subprocess.run([sys.executable, "-m", "tests.lab", "enter", "--", sys.executable, "-m", "tests.lab"], cwd=ROOT,
                          text=True, capture_output=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr


def _resolverd(lab: Lab) -> Daemon:
    return next(daemon for daemon in lab.daemons if daemon.name == "resolverd")
