"""main.cf, master.cf and resolv.conf are read as Postfix and the C library read them."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from resolverd.ops.doctor import main_cf, resolv_conf, restrictions
from tests.postfix_files import settle

EXPANSIONS = {
    "plain": ("a b", "a b"),
    "named": ("$base/x ${base}y $(base)z", "/b/x /by /bz"),
    "within another": ("$twice", "/b/b"),
    "if set": ("${base?yes}${nothing?no}", "yes"),
    "if empty": ("${base:no}${nothing:yes}", "yes"),
    "either": ("${base?{yes}:{no}} ${nothing?{yes}:{no}}", "yes no"),
    "nested": ("${base?{${nothing?{a}:{$base}}}:{no}}", "/b"),
    "compared": ("${{$base} == {/b} ? {same} : {other}}", "same"),
    "levels": ("${{$compatibility_level} <level {3.6} ? {old} : {new}}", "new"),
    "a dollar": ("$$base", "$base"),
}


@pytest.mark.parametrize(("written", "meant"), EXPANSIONS.values(), ids=EXPANSIONS)
def test_values_are_expanded(written: str, meant: str) -> None:
    text = f"compatibility_level = 3.9\nbase = /b\ntwice = $base$base\nnothing =\nmail_name = {written}\n"
    assert main_cf.read(text).value("mail_name") == meant


@pytest.mark.skipif(shutil.which("postconf") is None, reason="needs Postfix")
def test_values_are_expanded_as_postfix_does(tmp_path: Path) -> None:
    text = "compatibility_level = 3.6\nbase = /b\ntwice = $base$base\nnothing =\n"
    for at, (written, _) in enumerate(EXPANSIONS.values()):
        if "$$" not in written:  # which postconf -x leaves for the program that uses the value
            text += f"own_{at} = {written}\n"
    (tmp_path / "main.cf").write_text(text + "smtpd_restriction_classes = " + " ".join(f"own_{at}" for at in range(9)) + "\n")
    (tmp_path / "master.cf").touch()
    settle(tmp_path / "main.cf", tmp_path / "master.cf")
    done = subprocess.run(["postconf", "-c", str(tmp_path), "-x", "-n"], capture_output=True, text=True, check=True)
    postfix = main_cf.read(text)
    for line in done.stdout.splitlines():
        name, _, value = line.partition(" = ")
        if name.startswith("own_"):
            assert postfix.value(name) == value.strip(), name


def test_a_parameter_that_names_itself_ends() -> None:
    assert main_cf.read("a = x $b\nb = $a$a y\n").value("a") == "x  y"


def test_lines_go_on_and_the_last_definition_counts() -> None:
    text = "a = 1\n# comment\n\n  2\n   # comment within\n\t3\nb = x\nb = y\njunk\n"
    postfix = main_cf.read(text)
    assert postfix.value("a").split() == ["1", "2", "3"]
    assert postfix.value("b") == "y"


def test_services_and_their_own_parameters() -> None:
    text = (
        "127.0.0.1:25 inet n - n - - smtpd -v\n  -o smtpd_client_restrictions=permit_mynetworks,reject\n"
        "  -o { smtpd_helo_required = yes } -osyslog_name=x\nsmtp inet n - - - - smtpd\nsmtp unix - - y - - smtp\nshort line\n"
    )
    postfix = main_cf.read("compatibility_level = 3.6\nsmtpd_client_restrictions = permit\n", text)
    first, second = postfix.public()
    assert first.parameters == {
        "smtpd_client_restrictions": "permit_mynetworks,reject", "smtpd_helo_required": "yes", "syslog_name": "x",
    }  # fmt: skip
    assert postfix.value("smtpd_client_restrictions", first) == "permit_mynetworks,reject"
    assert postfix.value("smtpd_client_restrictions", second) == "permit"
    assert not second.chroot
    assert next(main_cf.read("", text).public()).chroot is False
    assert [each.chroot for each in main_cf.read("", text).public()] == [False, True]


def test_restrictions_with_what_belongs_to_them() -> None:
    text = (
        "smtpd_restriction_classes = tight, loose\n"
        "tight = reject_unknown_sender_domain, loose\nloose = permit_mynetworks tight\n"
        "smtpd_recipient_restrictions = warn_if_reject tight,check_client_access hash:/a, hash:/b\n"
        "  reject_rbl_client z=127.0.0.2, sleep 1,"
        " check_policy_service { unix:p, timeout=3s, { default_action = 451 4.3.5 try again } } reject\n"
    )
    (smtpd,) = restrictions.read(main_cf.read(text))
    assert [(str(each), each.warn) for each in smtpd.stages["recipient"]] == [
        ("reject_unknown_sender_domain", True),
        ("permit_mynetworks", True),
        ("tight", True),
        ("check_client_access hash:/a", False),
        ("check_recipient_access hash:/b", False),
        ("reject_rbl_client z=127.0.0.2", False),
        ("sleep 1", False),
        ("check_policy_service unix:p", False),
        ("reject", False),
    ]
    (policy,) = smtpd.policies()
    assert policy.options == {"timeout": "3s", "default_action": "451 4.3.5 try again"}


@pytest.mark.parametrize(
    ("text", "servers", "options"),
    [
        ("", ("127.0.0.1",), set()),
        ("nameserver 192.0.2.1 # mine\nnameserver fe80::1%eth0\nnameserver junk\n", ("192.0.2.1", "fe80::1"), set()),
        ("options edns0 trust-ad\n;options rotate\n", ("127.0.0.1",), {"edns0", "trust-ad"}),
        ("".join(f"nameserver 192.0.2.{at}\n" for at in range(9)), ("192.0.2.0", "192.0.2.1", "192.0.2.2"), set()),
    ],
)
def test_name_servers(text: str, servers: tuple[str, ...], options: set[str]) -> None:
    assert resolv_conf.read(text) == (servers, options)
