"""The lines for main.cf fit the configuration, are nothing but lines and comments, and real Postfix takes them without a word."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from resolverd.config import parse
from resolverd.config.postfix import WAYS, lines
from resolverd.ops.doctor import Machine, diagnose
from tests.postfix_files import settle

SERVICE = "check_policy_service { inet:127.0.0.1:10023, timeout=10s, default_action=DUNNO }"
CONFIGS = {
    "defaults": '[store]\nurl = "disk:/var/lib/resolverd"\n',
    "scored": '[store]\nurl = "disk:/var/lib/resolverd"\n[checks]\npreset = "scored"\n[dns]\nlisten = ["127.0.0.1:53"]\n',
    "another origin, more lists": """
        [dns]
        listen = ["0.0.0.0:53", "[::]:53"]
        [store]
        url = "disk:/var/lib/resolverd"
        [zone]
        origin = "lists.example"
        listed_at = 8
        [policy]
        listen = ["unix:/var/spool/postfix/private/resolverd", "127.0.0.1:10024"]
        [lists.psbl]
        enabled = true
        [lists.mailspike]
        enabled = true
    """,
}
CASES = [(name, way, enforce) for name in CONFIGS for way in WAYS for enforce in (False, True)]


def made(way: str, config: str = "", *, enforce: bool = True) -> str:
    return lines(parse(config, Path("/etc/resolverd")), way, enforce=enforce)


@pytest.mark.parametrize(
    ("way", "config", "has", "has_not"),
    [
        ("policy", "", f"\n    {SERVICE}\nsmtpd_data_restrictions = {SERVICE}\n", "warn_if_reject"),
        ("policy", '[policy]\nlisten = ["unix:/var/spool/postfix/private/x"]', "{ unix:private/x, timeout=10s", "inet:"),
        ("policy", '[policy]\nlisten = ["[::]:10023"]', "{ inet:[::1]:10023, ", "0.0.0.0"),
        ("policy", "[policy]\nlisten = []", "# The policy service is off", "check_policy_service"),
        ("policy", '[checks.helo]\naction = "off"', SERVICE, "helo_required"),
        ("zone", "", "reject_rhsbl_reverse_client dbl.rbl.internal", "reject_rhsbl_recipient"),
        ("zone", '[checks.rhsbl]\nnames = ["sender"]', "reject_rhsbl_sender dbl.rbl.internal", "reject_rhsbl_helo"),
        ("zone", "[lists.dnswl]\nenabled = false", "reject_rbl_client bl.rbl.internal", "permit_dnswl_client"),
        ("zone", "[lists.spamhaus-dbl]\nenabled = false", "reject_rbl_client bl.rbl.internal", "dbl."),
        ("zone", "[dnsbl]\nenabled = false", "# No block list is enabled", "restrictions"),
        ("nameserver", '[dns]\nlisten = ["0.0.0.0:53"]', "\nnameserver 127.0.0.1\n", "listen"),
        ("nameserver", "", '#     listen = ["127.0.0.1:53", "[::1]:53"]\n', "0.0.0.0"),
        ("postscreen", "", "postscreen_dnsbl_threshold = 1\n", "127.0.2.[6"),
        ("postscreen", "[zone]\nlisted_at = 3\n[lists.dnswl]\nenabled = false", "score.rbl.internal=127.0.2.[3..254]*3\n", "wl."),
        ("postscreen", '[checks]\npreset = "scored"', "wl.rbl.internal=127.0.[0..255].3*-8\n", "*-1\n"),
        ("postscreen", "[lists.spamhaus-zen]\nenabled = false", "# No block list of addresses", "postscreen_dnsbl_sites"),
    ],
)  # fmt: skip
def test_the_lines_fit_the_configuration(way: str, config: str, has: str, has_not: str) -> None:
    text = made(way, config)
    assert has in text
    assert has_not not in text


@pytest.mark.parametrize("points", range(1, 20))
@pytest.mark.parametrize("trust", [None, 1, 2, 3])
def test_postscreen_adds_up_as_the_scored_preset_does(points: int, trust: int | None) -> None:
    text = made("postscreen", '[checks]\npreset = "scored"')
    weights = {"score": 0, "wl": 0}
    for zone, low, high, weight in re.findall(r"(score)\.rbl\.internal=127\.0\.2\.\[?(\d+)(?:\.\.(\d+)\])?\*(\d+)", text):
        weights[zone] += int(weight) * (int(low) <= points <= int(high or low))
    for level, weight in re.findall(r"wl\.rbl\.internal=127\.0\.\[0\.\.255\]\.(\d)\*(-\d+)", text):
        weights["wl"] += int(weight) * (int(level) == trust)
    taken_off = {None: 0, 1: 2, 2: 4, 3: 8}[trust]
    assert (sum(weights.values()) >= 6) == (points - taken_off >= 6)
    assert "postscreen_dnsbl_threshold = 6\n" in text


@pytest.mark.parametrize("way", WAYS)
def test_at_first_nothing_is_refused(way: str) -> None:
    text = made(way, enforce=False)
    assert not re.search(r"^    (?:reject_r|check_policy)|dnsbl_action = enforce", text, flags=re.MULTILINE)


@pytest.mark.parametrize("way", ["policy", "zone", "postscreen"])
def test_the_first_line_makes_room_for_all_others(way: str) -> None:
    first, *rest = made(way).splitlines()
    parameters = [line.partition(" = ")[0].removesuffix(" =") for line in rest if line[0] not in "# "]
    assert first.partition(": ")[2] == " ".join(("postconf -#", *parameters))


@pytest.mark.parametrize(("name", "way", "enforce"), CASES)
def test_nothing_else_is_read(name: str, way: str, enforce: bool) -> None:
    for line in made(way, CONFIGS[name], enforce=enforce).splitlines():
        assert re.fullmatch(r"#.*|(smtpd|postscreen)_\w+ =.*| {4}\S.*|(nameserver|options) .*", line), line


@pytest.mark.parametrize(("name", "way", "enforce"), [case for case in CASES if case[1] != "nameserver"])
def test_the_doctor_has_nothing_to_say(name: str, way: str, enforce: bool) -> None:
    settings = parse(CONFIGS[name], Path("/etc/resolverd"))
    main = "compatibility_level = 3.6\n" + lines(settings, way, enforce=enforce)
    resolv = made("nameserver", CONFIGS[name])
    found = diagnose(Machine(settings, main, "", resolv=resolv, daemon=True))
    # of the defaults it is true that they answer on no port 53, which the lines say themselves
    assert {each.code for each in found} <= ({"own-zone-not-served", "not-used"} if name == "defaults" else set())


@pytest.mark.skipif(os.geteuid() != 0 or shutil.which("postfix") is None, reason="needs Postfix, and root")
@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("enforce", [False, True])
def test_postfix_takes_them(name: str, enforce: bool, tmp_path: Path) -> None:
    both = "".join(made(way, CONFIGS[name], enforce=enforce) for way in ("policy", "postscreen"))
    for folder, text in (("policy", both), ("zone", made("zone", CONFIGS[name], enforce=enforce))):
        where = tmp_path / folder
        where.mkdir()
        (where / "main.cf").write_text(f"compatibility_level = 3.6\nmyhostname = mx.example.com\n{text}")
        shutil.copy("/usr/share/postfix/master.cf.dist", where / "master.cf")
        settle(where / "main.cf", where / "master.cf")
        for command in (["postconf", "-c", str(where), "-n"], ["postfix", "-c", str(where), "check"]):
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            assert (done.returncode, done.stderr) == (0, ""), command
