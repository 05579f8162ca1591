"""``[log] privacy = "hash"``: a daemon that says as much as it can, in each format, and names nobody in any line."""

import json
import os
import re
import signal
import urllib.request
from collections.abc import Mapping
from pathlib import Path

import pytest

from resolverd import logs
from tests.running import Running
from tests.unit.app.test_allow_files import CHECKS

CONFIG = CHECKS.replace('[checks.helo]\naction = "off"', '[checks.helo]\naction = "reject"') + """
[dnsbl]
enabled = false
[log]
level = "debug"
format = "{form}"
privacy = "hash"
[verdict]
deadline = "500ms"
[greylist]
delay = "0s"
auto_allow_after = 1
allow_clients = ["allow"]
[checks.overrides]
client_access = ["map", "missing"]
[[policy.for]]
recipients = ["sentinel-customer.example"]
mode = "observe"
"""
SENTINEL = re.compile(r"sentinel|193\.0\.0\.|2a00:", re.IGNORECASE)
"""In every name, address and text that is somebody's."""


def request(**changes: str) -> bytes:
    given = {
        "request": "smtpd_access_policy", "protocol_state": "RCPT", "client_address": "193.0.0.1",
        "client_name": "mail.sentinel.example", "reverse_client_name": "mail.sentinel.example",
        "helo_name": "mail.sentinel.example",
        "sender": "sentinel@sentinel.example", "recipient": "sentinel@example.org", "queue_id": "4F2A81", **changes,
    }  # fmt: skip
    return "".join(f"{name}={value}\n" for name, value in given.items()).encode() + b"\n"


def call(running: Running, method: str, path: str) -> None:
    token = (running.folder / "var" / "token").read_text().strip()
    url = f"http://127.0.0.1:{running.ports['HTTP']}{path}"
    asked = urllib.request.Request(url, method=method, headers={"Authorization": f"Bearer {token}"})
    with urllib.request.urlopen(asked, timeout=10) as reply:
        assert reply.status == 200


ATTEMPTS: tuple[Mapping[str, str], ...] = (
    {},
    {"client_address": "2a00::1", "sender": '"sentinel, client_address=192.0.2.9"@sentinel.example'},
    {"helo_name": "sentinel"},
    {"helo_name": "sentinel x, client_address=192.0.2.9", "recipient": "sentinel@sentinel-customer.example"},
    {"client_name": "mail.sentinel-map.example", "client_address": "193.0.0.4"},
    {"client_name": "mail.sentinel-friend.example", "client_address": "193.0.0.5", "helo_name": "[193.0.0.5]"},
    {"client_address": "193.0.0.6", "recipient": "postmaster+sentinel@sentinel.example"},
    {"client_address": "193.0.0.7", "sender": "denied@sentinel-denied.example"},
    {"client_address": "193.0.0.8", "recipient": "sentinel@sentinel.example"},
    {"sasl_username": "sentinel", "sasl_method": "plain"},
    {"queue_id": "sentinel 4F2A81"},
    {"sender": "", "helo_name": "[193.0.0.9]"},
)


@pytest.mark.parametrize("form", logs.FORMATS)
def test_no_line_names_anybody(tmp_path: Path, form: str) -> None:
    (tmp_path / "map").write_text(
        "sentinel-map.example REJECT sentinel must not\nsentinel-lame.example\nsentinel-odd.example odd_class\n"
    )
    (tmp_path / "allow").write_text("sentinel-friend.example\nbob@sentinel.example\n193.0.0.300\n")
    running = Running(tmp_path, CONFIG.format(form=form))
    try:
        reason = "reason=for%20sentinel@sentinel.example"
        call(running, "PUT", f"/v1/overrides/denied@sentinel-denied.example?action=deny&{reason}")
        call(running, "PUT", f"/v1/overrides/193.0.0.8?action=allow&to=sentinel.example&{reason}")
        for changes in ATTEMPTS:
            assert running.policy(request(**changes)).startswith(b"action=")
            running.policy(request(**changes))
        assert running.policy(b"sentinel.example says no such thing\n\n") == b""
        call(running, "GET", "/v1/overrides/denied@sentinel-denied.example")
        call(running, "DELETE", "/v1/overrides/denied@sentinel-denied.example")
        running.process.send_signal(signal.SIGHUP)
        running.waits_for("was read again")
    finally:
        assert running.end() == 0
    text = running.log.read_text()
    assert [line for line in text.splitlines() if SENTINEL.search(line.replace(str(tmp_path), ""))] == []
    # What is nobody's is there all the same, and there was something to say.
    for words in (
        f"{tmp_path}/map:2: ", f"{tmp_path}/allow:2: ", "checks.overrides.client_access[1]", "whitelisted: ", "helo_not_fqdn",
        "authenticated client", "exempt recipient", "override_deny", "override_allow", "access_client_reject", "client whitelist",
        "observed only", "deny", "forget",
    ):  # fmt: skip
        assert words in text.replace("\\\\", ""), words
    decided = [line for line in text.splitlines() if "client_address" in line and "helo_name" in line]
    assert len(decided) == 2 * len(ATTEMPTS)
    if form == "json":
        assert all(re.fullmatch("[0-9a-f]{16}", json.loads(line)["client_address"]) for line in decided)
    assert os.path.exists(tmp_path / "var" / "token")
