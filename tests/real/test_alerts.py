"""Alerts from a running daemon: an own address that a list lists is told by mail, through a real Postfix, and to a webhook."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, HTTPServer

from resolverd.telemetry import sendmail
from tests.lab.daemon import until
from tests.lab.lab import RECIPIENT, Lab
from tests.lab.namespace import MAIL_SERVER, ROOT, use_nameserver
from tests.lab.postfix import Postfix
from tests.lab.resolverd import CONFIG, get, resolverd

OWN = "192.0.2.66"
"""An address of ours that zen lists."""

PORT = 8099


class Hook(BaseHTTPRequestHandler):
    """A webhook."""

    got: list[dict[str, object]]

    def do_POST(self) -> None:
        self.got.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nowhere."""


def test_an_own_address_that_is_listed_is_told(lab: Lab) -> None:
    Hook.got = []
    hook = HTTPServer(("127.0.0.1", PORT), Hook)
    thread = threading.Thread(target=hook.serve_forever)
    thread.start()
    alerts = f'[alerts]\nmail = ["{RECIPIENT}"]\nwebhook = "http://127.0.0.1:{PORT}/hook"\n[watch]\naddresses = ["{OWN}"]\n'
    use_nameserver("127.0.0.1")
    postfix = Postfix("policy", lab.mail)
    with (postfix.config / "main.cf").open("a") as main:
        main.write(f"inet_interfaces = {' '.join(MAIL_SERVER)} 127.0.0.1\n")
    daemon = resolverd(lab.mail, CONFIG + alerts)
    daemon.environment["MAIL_CONFIG"] = str(postfix.config)
    try:
        with lab.running(postfix, daemon):
            found = postfix.delivered(RECIPIENT, limit=20)
            assert found, daemon.log_tail(15) + postfix.log()[-2000:]
            for _ in until(5):
                if Hook.got:
                    break
            zen = next(each for each in get("/v1/lists")["lists"] if each["id"] == "spamhaus-zen")
            assert zen["watched"] == [OWN]
            assert "uid=" in postfix.log(), "pickup's line: it came through sendmail"
            # And where there is no sendmail for us, by SMTP.
            message = EmailMessage()
            message["From"], message["To"], message["Subject"] = RECIPIENT, RECIPIENT, "by SMTP"
            asyncio.run(sendmail.send(message, None))
            subjects = [each["Subject"] for each in postfix.delivered(RECIPIENT, 2)]
            assert "by SMTP" in subjects
    finally:
        hook.shutdown()
        thread.join()
        hook.server_close()
    mail = found[0]
    assert mail["To"] == RECIPIENT
    assert mail["Subject"].endswith("an own address is listed")
    assert mail["Auto-Submitted"] == "auto-generated"
    assert f"our own address {OWN} is listed by zen.spamhaus.org" in mail.get_payload()
    assert [(each["kind"], each["state"]) for each in Hook.got] == [("own-address", "begun")]


def test_who_may_gain_no_privileges_knows_that_sendmail_is_not_for_him():
    says = "from resolverd.telemetry import sendmail; print(sendmail.program())"
    for before, said in (([], "/usr/sbin/sendmail"), (["setpriv", "--no-new-privs"], "None")):
        done = subprocess.run([*before, sys.executable, "-c", says], cwd=ROOT, check=True, capture_output=True, text=True)
        assert done.stdout.strip() == said
