"""``resolverd replay``: a daemon's own verdicts, by its configuration and by others."""

import json
from pathlib import Path
from typing import Any

import pytest
from commandline import run
from served import GOOD, LISTED, Served

from resolverd import config as configuration
from resolverd.cli import store_access
from resolverd.cli.daemon import DaemonClient

MAIL = {"sender": "a@example.org", "recipient": "c@example.com", "protocol_state": "RCPT"}


@pytest.fixture
def kept(daemon: Served) -> Served:
    """Two verdicts in the store: zen refuses LISTED, and GOOD is greylisted."""
    client = DaemonClient(configuration.load(Path(daemon.config)))
    client.post("v1", "verdict", body={"client_address": LISTED, "helo_name": "mail.example.org", **MAIL})
    daemon.service._shared.verdicts.write()
    client.post("v1", "verdict", body={"client_address": GOOD, "helo_name": "good.example.org", **MAIL, "sender": ""})
    daemon.service._shared.verdicts.write()
    return daemon


def replayed(daemon: Served, *words: str) -> Any:
    result = run("replay", "--stored", "--json", "-c", daemon.config, *words)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_what_is_kept_is_replayed_by_this_configuration_and_others(kept: Served, tmp_path: Path):
    same = replayed(kept)
    assert (same["attempts"], same["same"], same["changed"], same["unknown"]) == (2, 2, 0, 0)
    assert (same["changes"], same["then"]["refusals"], same["now"]["refusals"]) == ([], 1, 1)
    assert [each["decisive"] for each in same["lists"] if each["id"] == "spamhaus-zen"] == [1]
    asked = len(kept.net.names())

    # As zen refused it, nobody has waited for the others.
    dropped = replayed(kept, "--drop", "spamhaus-zen")
    assert (dropped["same"], dropped["changed"], dropped["unknown"]) == (1, 0, 1)
    assert dropped["missing"] == [{"what": "DNS PTR", "count": 1}]
    variant = dropped["variants"][0]
    assert (variant["change"], variant["list"], variant["without"]["refusals"], variant["with"]["refusals"]) == (
        "drop", "spamhaus-zen", 1, 0,
    )  # fmt: skip

    more = replayed(kept, "--add", "psbl")
    assert (more["same"], more["changed"], more["unknown"]) == (1, 0, 1)
    assert more["missing"] == [{"what": "list psbl", "count": 1}]

    other = tmp_path / "other.toml"
    other.write_text('[verdict]\nmode = "observe"\n[lists.psbl]\nenabled = false\n')
    observed = replayed(kept, "--config", str(other))
    assert {(each["old"], each["new"]) for each in observed["transitions"]} == {
        ("reject 554", "accept"), ("greylist", "accept"),
    }  # fmt: skip

    run("allow", LISTED, "-c", kept.config)
    allowed = replayed(kept)
    assert [each["new"]["reason"] for each in allowed["changes"]] == [f"allowed: {LISTED}"]
    run("allow", "--forget", LISTED, "-c", kept.config)
    assert len(kept.net.names()) == asked

    text = run("replay", "--stored", "-c", kept.config, "--config", str(other)).stdout
    assert text.splitlines()[1] == "0 as then, 2 changed, 0 unknown"
    assert "reject 554 → accept" in text


def test_the_store_is_read_page_by_page(kept: Served, monkeypatch: pytest.MonkeyPatch):
    whole = replayed(kept)
    monkeypatch.setattr(store_access, "_AT_ONCE", 1)
    assert replayed(kept) == whole
    assert whole["attempts"] == 2


def test_lists_are_asked_now_if_so_said_and_what_that_costs_is_told_before(kept: Served):
    kept.net.zone("com", {"ns.com": "193.0.9.4"}, """
        2.0.0.127.psbl.surriel A 127.0.0.2
        2.69.2.81.psbl.surriel A 127.0.0.2
    """)
    asked = len(kept.net.names())
    assert replayed(kept, "--add", "psbl")["missing"] == [{"what": "list psbl", "count": 1}]
    assert len(kept.net.names()) == asked
    result = run("replay", "--stored", "--ask", "--json", "-c", kept.config, "--add", "psbl")
    assert "asking psbl 1 questions at the most" in result.stderr
    assert not any("spamhaus" in name or "dnswl" in name for name, _ in kept.net.names()[asked:])
    found = json.loads(result.stdout)
    changes = [(each["client_address"], each["old"]["action"], each["new"]["code"]) for each in found["changes"]]
    assert (found["unknown"], changes) == (0, [(GOOD, "greylist", 554)])
    variant = found["variants"][0]
    assert (variant["without"]["refusals"], variant["with"]["refusals"]) == (1, 2)


def test_asking_has_a_bound_and_reads_twice(kept: Served):
    run("replay", "--stored", "--ask", "--limit", "1", "--add", "psbl", "--add", "spamcop", "--json", "-c", kept.config)
    assert sum("psbl" in name or "spamcop" in name for name, _ in kept.net.names()) <= 3  # an answer, and the list's test points
    assert run("replay", "--ask", "-", "-c", kept.config).exit_code == 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--stored", "--drop", "spamhaus-zn"), "spamhaus-zen"),
        (("--stored", "--drop", "psbl"), "not one of the lists that are asked"),
        (("--stored", "--add", "psbll"), "did you mean"),
        (("--stored", "--add", "spamhaus-zen"), "asked already"),
        (("--stored", "--add", "barracuda-keyed-nonsense"), "no list of this name"),
    ],
)
def test_what_is_asked_for_wrongly_is_a_usage_error(daemon: Served, words: tuple[str, ...], said: str):
    result = run("replay", "-c", daemon.config, *words)
    assert (result.exit_code, said in result.stderr) == (2, True), result.output


def test_a_fault_of_the_other_configuration_is_told_by_its_name(daemon: Served, tmp_path: Path):
    other = tmp_path / "other.toml"
    other.write_text("[verdict]\nmod = 1\n")
    result = run("replay", "-c", daemon.config, "--config", str(other))
    assert (result.exit_code, result.stderr.startswith(f"resolverd: {other}: verdict.mod")) == (78, True), result.stderr


def test_where_nothing_is_kept_it_says_so(daemon: Served):
    assert "no verdict is kept" in run("replay", "--stored", "-c", daemon.config).stdout
