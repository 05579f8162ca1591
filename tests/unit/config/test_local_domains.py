"""Domains that public DNS need not know: from names and Postfix's files, and what Postfix itself says."""

import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner
from mailcases import World, asked, attempt, judged

from resolverd.cli.root import resolverd
from resolverd.config.files import parse
from resolverd.config.map_files import local_domains, postfix_has, unnamed
from resolverd.config.render import render
from resolverd.failures import ConfigError
from resolverd.policy.check import CheckRules
from resolverd.policy.checks.sender_domain import SenderDomain
from resolverd.policy.local_domains import LocalDomains, of_names, read
from tests.postfix_files import settle

FILE = """\
# domains that we hold
hidden.lan          OK
Other.LAN.          anything at all
  that goes on here
.branch.example     relay
"quoted.lan"        OK
anna@example.org    anna
@catchall.example   anna
bücher.lan          OK
/^regexp$/          OK
two..dots           OK
"""


@pytest.mark.parametrize(
    ("domain", "held"),
    [
        ("hidden.lan", True),
        ("HIDDEN.lan.", True),
        ("sub.hidden.lan", False),
        ("other.lan", True),
        ("branch.example", False),
        ("a.branch.example", True),
        ("b.a.branch.example", True),
        ("quoted.lan", True),
        ("bücher.lan", True),
        ("xn--bcher-kva.lan", True),
        ("example.org", False),
        ("catchall.example", False),
        ("lan", False),
        ("", False),
        ("[192.0.2.1]", False),
    ],
)
def test_a_map_of_domains(domain: str, held: bool) -> None:
    domains, faults = read(FILE)
    assert domains.holds(domain) is held
    assert [fault.line for fault in faults] == [10, 11]


@pytest.mark.parametrize("sender", ["anna@hidden.lan", "anna@Hidden.LAN", "anna@x.branch.example"])
def test_a_sender_of_ours_is_not_looked_up(sender: str) -> None:
    """Nobody in DNS knows the domain; without the word of the admin it is refused."""
    own = of_names(["hidden.lan", ".branch.example"])
    check = SenderDomain(CheckRules(), own)
    assert asked(check, attempt(sender=sender), World()) == {}
    (finding,) = judged(check, attempt(sender=sender), World())
    assert (finding.code, finding.consequence) == ("sender_domain_skipped", None)
    (finding,) = judged(SenderDomain(CheckRules()), attempt(sender=sender), World())
    assert finding.code == "sender_domain_not_found"


def test_names_and_files_together(tmp_path: Path) -> None:
    (tmp_path / "domains").write_text(FILE)
    (tmp_path / "more").write_text("more.lan\n")
    entries = '"Bücher.example", ".sub.example", "hash:domains", "./more", "proxy:mysql:/etc/m.cf", "./gone"'
    text = f"[policy]\nlocal_domains = [{entries}]\n"
    settings = parse(text, tmp_path)
    found = local_domains(settings)
    for domain in ("xn--bcher-kva.example", "x.sub.example", "hidden.lan", "more.lan"):
        assert found.domains.holds(domain)
    told = [str(fault) for fault in found.faults]
    assert any("policy.local_domains[4]: mysql:/etc/m.cf: a map of type 'mysql' cannot be read here" in each for each in told)
    assert any(each.startswith("policy.local_domains[5]: cannot read") for each in told)
    assert any(f"{tmp_path / 'domains'}:10: '/^regexp$/' is no domain" in each for each in told)
    assert parse(render(settings), Path("/elsewhere")) == settings


def test_a_file_that_is_gone_at_a_reload_counts_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "domains").write_text("hidden.lan OK\n")
    settings = parse('[policy]\nlocal_domains = ["hash:domains"]\n', tmp_path)
    before = local_domains(settings)
    (tmp_path / "domains").unlink()
    after = local_domains(settings, before)
    assert after.domains == before.domains == LocalDomains(frozenset({"hidden.lan"}))
    assert "counts on" in str(after.faults[0])


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        ("$mydomain", "postconf -hx"),
        ("*.example.com", 'write ".example.com"'),
        ("no domain", "is no domain"),
        ("192.0.2.1", "is no domain"),
        ("", "is no domain"),
    ],
)
def test_what_is_no_domain_is_told(entry: str, says: str) -> None:
    with pytest.raises(ConfigError) as raised:
        parse(f'[policy]\nlocal_domains = ["{entry}"]\n', Path("/"))
    assert says in str(raised.value.faults[0])


MAIN_CF = """\
compatibility_level = 3.6
myhostname = mx.our-company.example
mydestination = $myhostname, localhost.$mydomain localhost
virtual_mailbox_domains = hidden.lan, hash:{folder}/domains, proxy:mysql:/etc/postfix/d.cf
relay_domains = .branch.example
"""


@pytest.fixture
def postfix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    if shutil.which("postconf") is None:
        pytest.skip("needs Postfix")
    (tmp_path / "main.cf").write_text(MAIN_CF.format(folder=tmp_path))
    (tmp_path / "master.cf").touch()
    settle(tmp_path / "main.cf", tmp_path / "master.cf")
    (tmp_path / "domains").write_text("virtual.lan OK\n")
    monkeypatch.setenv("MAIL_CONFIG", str(tmp_path))
    return tmp_path


def test_postfix_says_what_it_has(postfix: Path) -> None:
    assert postfix_has() == [
        "mx.our-company.example", "localhost.our-company.example", "localhost", "hidden.lan", f"hash:{postfix}/domains",
        "mysql:/etc/postfix/d.cf", ".branch.example",
    ]  # fmt: skip
    named = f'[policy]\nlocal_domains = ["hidden.lan", "hash:{postfix}/domains", "localhost", ".our-company.example"]\n'
    assert unnamed(parse(named, postfix)) == ["mysql:/etc/postfix/d.cf", ".branch.example"]


def test_config_says_what_is_missing_and_what_to_write(postfix: Path) -> None:
    config = postfix / "config.toml"
    config.touch()
    said = CliRunner().invoke(resolverd, ["config", "check", "-c", str(config)])
    assert said.exit_code == 0
    assert "policy.local_domains: Postfix is final for or relays mx.our-company.example" in said.stdout
    lines = CliRunner().invoke(resolverd, ["config", "postfix", "-c", str(config)]).stdout.splitlines()
    line = next(line for line in lines if "local_domains = " in line)
    config.write_text(f"[policy]\n{line.lstrip('# ')}\n")
    said = CliRunner().invoke(resolverd, ["config", "check", "-c", str(config)])
    assert said.exit_code == 0
    assert "Postfix is final for or relays mysql:/etc/postfix/d.cf;" in said.stdout


def test_where_postfix_is_not_nothing_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAIL_CONFIG", str(tmp_path / "nowhere"))
    assert postfix_has() == []
    monkeypatch.setenv("PATH", str(tmp_path))
    assert postfix_has() == []
