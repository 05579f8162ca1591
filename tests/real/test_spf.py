"""SPF from the far end of SMTP: who is refused, and the header that is really on delivered mail."""

from __future__ import annotations

from collections.abc import Iterator
from email.message import Message

import pytest

from tests.lab.lab import RECIPIENT, Lab
from tests.lab.postfix import Postfix
from tests.lab.resolverd import CONFIG
from tests.lab.smtp import Session

WITHOUT_GREYLISTING = CONFIG.replace('delay = "1s"', "enabled = false")


@pytest.fixture(scope="class")
def policy(lab: Lab) -> Iterator[Postfix]:
    """A mail server with the two policy lines of the README, whose greylisting waits for a second."""
    with lab.stack("resolverd", "policy") as postfix:
        yield postfix


def _newest(postfix: Postfix, recipient: str, before: int) -> Message:
    return postfix.delivered(recipient, before + 1)[-1]


class TestSpf:
    """`[checks.spf]` as it is by default."""

    @pytest.mark.parametrize(("address", "client"), [("192.0.2.10", "192.0.2.10"), ("2001:db8:10::10", '"2001:db8:10::10"')])
    def test_mail_that_passes_says_so(self, lab: Lab, policy: Postfix, address: str, client: str) -> None:
        before = policy.count(RECIPIENT)
        # both hosts are of one organisation: the same sender would be known at the second, and never late
        sender = f"{'six' if ':' in address else 'four'}+spf@honest-mail.com"
        assert lab.deliver_patiently(address, "mail.honest-mail.com", sender)[-1].accepted
        message = _newest(policy, RECIPIENT, before)
        (header,) = message.get_all("Received-SPF", [])
        assert header.startswith("pass (")
        for pair in (f"client-ip={client};", f'envelope-from="{sender}";', "identity=mailfrom;", "helo=mail.honest-mail.com;"):
            assert pair in header
        assert message["X-Greylist"], "the second header that is due comes at DATA"

    def test_a_domain_without_record_is_none(self, lab: Lab, policy: Postfix) -> None:
        before = policy.count(RECIPIENT)
        assert lab.deliver_patiently("192.0.2.20", "mx.gardening-club.org", "rose@gardening-club.org")[-1].accepted
        assert _newest(policy, RECIPIENT, before)["Received-SPF"].startswith("none (")

    def test_several_recipients_get_one_header(self, lab: Lab, policy: Postfix) -> None:
        recipients = (RECIPIENT, "bert@our-company.org")
        client = ("192.0.2.11", "mail2.honest-mail.com", "two@honest-mail.com")
        for recipient in recipients:
            assert lab.deliver_patiently(*client, recipient)[-1].accepted
        before = policy.count("anna"), policy.count("bert")
        assert lab.deliver(*client, *recipients).accepted
        for name, count in zip(("anna", "bert"), before, strict=True):
            assert len(_newest(policy, name, count).get_all("Received-SPF", [])) == 1

    def test_two_messages_of_one_session_have_a_header_each(self, lab: Lab, policy: Postfix) -> None:
        client = ("192.0.2.10", "mail.honest-mail.com", "twice@honest-mail.com")
        assert lab.deliver_patiently(*client)[-1].accepted
        before = policy.count(RECIPIENT)
        with Session(client[0], lab.internet) as session:
            session.say(f"EHLO {client[1]}")
            for _ in range(2):
                session.say(f"MAIL FROM:<{client[2]}>")
                assert session.say(f"RCPT TO:<{RECIPIENT}>").code == 250
                assert session.say("DATA").code == 354
                assert session.say("Subject: again\r\n\r\nHello.\r\n.").code == 250
        for message in policy.delivered(RECIPIENT, before + 2)[-2:]:
            assert len(message.get_all("Received-SPF", [])) == 1

    def test_the_null_sender_is_the_helo_name(self, lab: Lab, policy: Postfix) -> None:
        before = policy.count(RECIPIENT)
        assert lab.deliver_patiently("192.0.2.10", "honest-mail.com", "")[-1].accepted
        (header,) = _newest(policy, RECIPIENT, before).get_all("Received-SPF", [])
        assert header.startswith("pass (")
        assert "identity=helo;" in header

    # the second is on the allow list, which vouches for the client and not for what it says
    @pytest.mark.parametrize("address", ["192.0.2.20", "2001:db8:50::50"])
    def test_a_fail_is_refused(self, lab: Lab, policy: Postfix, address: str) -> None:
        delivery = lab.deliver(address, "mx.gardening-club.org", "forged@honest-mail.com")
        said = f"Message rejected (SPF fail - {address} is not allowed to send for honest-mail.com); ref "
        assert delivery.reply.code == 550, delivery
        assert delivery.reply.text.startswith(f"5.7.23 <{RECIPIENT}>: Recipient address rejected: {said}"), delivery

    def test_a_forged_helo_is_refused(self, lab: Lab, policy: Postfix) -> None:
        delivery = lab.deliver("192.0.2.20", "honest-mail.com", "rose@gardening-club.org")
        assert "550 5.7.23" in str(delivery.reply), delivery
        assert "is not allowed to send as honest-mail.com" in delivery.reply.text


def test_the_result_as_authentication_results(lab: Lab) -> None:
    config = WITHOUT_GREYLISTING + '\n[checks.spf]\nheader = "authentication-results"\n'
    with lab.stack("resolverd", config=config) as postfix:
        assert lab.deliver("192.0.2.10", "mail.honest-mail.com", "erin@honest-mail.com").accepted
        (message,) = postfix.delivered(RECIPIENT)
        assert "; spf=pass (" in message["Authentication-Results"]
        assert message["Authentication-Results"].endswith(" smtp.mailfrom=honest-mail.com")
        assert "Received-SPF" not in message


def test_a_record_out_of_reach_costs_no_mail(lab: Lab) -> None:
    config = WITHOUT_GREYLISTING + '\n[checks.sender_domain]\naction = "off"\n'
    with lab.stack("resolverd", config=config) as postfix:
        assert lab.deliver("192.0.2.10", "mail.honest-mail.com", "x@all-silent.com").accepted
        (message,) = postfix.delivered(RECIPIENT)
        assert message["Received-SPF"].startswith("temperror (")
