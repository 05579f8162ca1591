"""A check is one file: nobody else knows its name, and whoever adds one touches nothing else."""

import ast
import json
import re
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

import resolverd
from resolverd.policy.checks import DECLARATIONS
from tests.running import Running

ROOT = Path(resolverd.__file__).parent
CHECKS = ROOT / "policy" / "checks"
ENDS = ("unknown", "skipped", "clear", "unreachable", "temperror")
HOMONYMS = {
    # DNSBL zones and lists have the name of what they are
    ("config/settings.py", "dnsbl"),  # [dnsbl]
    ("overrides/rules.py", "spf"),  # --scope spf
    ("servers/http/openapi.py", "spf"),
    ("servers/http/routes/overrides.py", "spf"),
    ("overrides/matching.py", "sender_domain"),  # what an override's subject is in an attempt
    ("overrides/matching.py", "helo"),
    ("spf/identities.py", "helo"),  # RFC 7208 §9.1
    ("spf/header.py", "helo"),
    ("spf/record.py", "ptr"),  # a mechanism, RFC 7208 §5.5
    # what main.cf calls so: stages, smtpd_helo_required, permit_dnswl_client, another SPF service
    ("config/postfix.py", "dnswl"),
    ("config/postfix.py", "helo"),
    ("ops/doctor/duplicates.py", "helo"),
    ("ops/doctor/duplicates.py", "spf"),
    ("ops/doctor/policy_line.py", "helo"),
    ("ops/doctor/restrictions.py", "helo"),
}
"""Words that are the name of a check, and of something else that is meant there."""


def codes_of(name: str) -> set[str]:
    """The codes of a check's findings, as its file has them."""
    written = set(re.findall(rf"\b(?:{name}|{name.removesuffix('s')})_[a-z_]+\b", (CHECKS / f"{name}.py").read_text("utf-8")))
    return written | {f"{name}_{end}" for end in ENDS}


WORDS = {*DECLARATIONS, *(code for name in DECLARATIONS for code in codes_of(name))} - {"overrides", "helo_name"}
"""What is a check's alone; overrides are a subject of their own, and the HELO name is Postfix's."""


def named(tree: ast.Module) -> Iterator[str]:
    """The words and modules in a module's code, docstrings aside, that are checks'."""
    docs = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docs:
            if node.value in WORDS:
                yield node.value
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("resolverd.policy.checks."):
            yield str(node.module)
        elif isinstance(node, ast.Import):
            yield from (each.name for each in node.names if each.name.startswith("resolverd.policy.checks."))
        elif isinstance(node, ast.Attribute) and node.attr in DECLARATIONS and ast.unparse(node.value).endswith("checks"):
            yield f"checks.{node.attr}"


def test_no_other_module_names_a_check() -> None:
    found = {
        (str(path.relative_to(ROOT)), word)
        for path in ROOT.rglob("*.py")
        if path.parent != CHECKS
        for word in named(ast.parse(path.read_text("utf-8")))
    }
    assert not found - HOMONYMS


def test_whoever_names_a_check_is_found() -> None:
    text = "import resolverd.policy.checks.ptr; from resolverd.policy.checks.spf import Spf; settings.checks.helo; 'dnswl_listed'"
    assert set(named(ast.parse(f"x = 1; {text}"))) == {
        "resolverd.policy.checks.ptr", "resolverd.policy.checks.spf", "checks.helo", "dnswl_listed"
    }  # fmt: skip
    assert not set(named(ast.parse('"""dnswl_listed"""')))


def test_every_module_among_the_checks_is_one() -> None:
    files = {path.stem for path in (ROOT / "policy" / "checks").glob("*.py")} - {"__init__"}
    assert files == set(DECLARATIONS)
    assert len({each.order for each in DECLARATIONS.values()}) == len(DECLARATIONS)


NEW = '''
"""Is the client one that sends nothing but this?"""

from dataclasses import dataclass
from typing import ClassVar, Literal

from resolverd.mail.findings import Consequence, SmtpReply, Topic
from resolverd.mail.patterns import IPNetwork
from resolverd.mail.request import Attempt
from resolverd.policy.asking import Asking, Outcome, at_once
from resolverd.policy.check import Check, CheckRules, Declaration, HostingDomain, fail, neutral


@dataclass(frozen=True, slots=True)
class Options:
    """``[checks.parity]``"""

    odd: bool = True
    style: Literal["plain", "fancy"] = "plain"
    networks: tuple[IPNetwork, ...] = ()
    domains: tuple[HostingDomain, ...] = ()
    fancy: Consequence | None = None


@dataclass(frozen=True, slots=True)
class Parity(Check):
    """Codes: ``parity_ok``, ``parity_odd``."""

    rules: CheckRules
    options: Options
    name: ClassVar[str] = "parity"

    def run(self, attempt: Attempt) -> Asking[Outcome]:
        """By the last bit."""
        if self.options.odd and int(attempt.client_address) & 1:
            text = f"odd, {self.options.style}, {len(self.options.networks)}, {', '.join(self.options.domains)}"
            reply = SmtpReply(550, "5.7.1", "Client host rejected (odd)")
            return at_once([fail(self.name, self.rules, "parity_odd", text, reply, topic=Topic("address", "parity"))])
        return at_once([neutral(self.name, "parity_ok", "even")])


def _faults(options):
    if options.style == "fancy" and options.fancy is None:
        yield "fancy", "is missing"


CHECK = Declaration(
    name=Parity.name,
    order=35,
    make=lambda rules, options, inputs: Parity(rules, options),
    presets={"tutorial": CheckRules(Consequence.REJECT, 2), "scored": CheckRules(Consequence.SCORE, 2)},
    options=Options,
    faults=_faults,
    names_people=True,
)
'''
OFF = "\n".join(
    f'[checks.{name}]\naction = "off"\n' for name, each in DECLARATIONS.items() if each.presets is not None
)
MORE = f"""
{OFF}
[checks.parity]
networks = ["192.0.2.0/24"]
domains = ["Mail.Example."]
code = 554
[dnsbl]
enabled = false
[greylist]
enabled = false
[store]
url = "memory:"
"""
SHOWN = """[checks.parity]
#action =   # not set
#score =   # not set
code = 554
odd = true
style = "plain"
networks = ["192.0.2.0/24"]
domains = ["mail.example"]
#fancy =   # not set
"""


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tree of the same program with one file more."""
    where = tmp_path_factory.mktemp("tree")
    shutil.copytree(ROOT, where / "resolverd")
    (where / "resolverd" / "policy" / "checks" / "parity.py").write_text(NEW.lstrip())
    (where / "config.toml").write_text(MORE)
    return where


def run(tree: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "resolverd", *arguments], cwd=tree, capture_output=True, text=True, timeout=120, check=False
    )


def test_configuration_shows_it(tree: Path) -> None:
    done = run(tree, "config", "show")
    assert done.returncode == 0, done.stderr
    assert SHOWN in done.stdout


FAULTY = {
    "oddd = true": "checks.parity.oddd: unknown key; the nearest valid one is checks.parity.odd",
    'style = "plane"': "checks.parity.style: 'plane' is none of plain, fancy",
    'style = "fancy"': "checks.parity.fancy: is missing",
    'networks = ["192.0.2.1/24"]': "checks.parity.networks[0]: '192.0.2.1/24' has host bits set",
    'domains = ["com"]': "checks.parity.domains[0]: 'com' is no domain that has hosts",
    'fancy = "sing"': "checks.parity.fancy: 'sing' is none of",
}
ONE_AFTER_ANOTHER = """
import sys
from resolverd.cli import main
for file in sys.argv[1:]:
    sys.argv[:] = ["resolverd", "-c", file, "config", "check"]
    try:
        main()
    except SystemExit as ended:
        print(f"\\n== {ended.code}", flush=True)
"""
"""`resolverd config check` for each file, in one process: starting takes longer than checking."""


@pytest.fixture(scope="module")
def told(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[str, int]]:
    """For each faulty line what is said, and the status."""
    folder = tmp_path_factory.mktemp("faulty")
    files = [folder / f"{number}.toml" for number in range(len(FAULTY))]
    for file, line in zip(files, FAULTY, strict=True):
        file.write_text(f"[checks.parity]\n{line}\n")
    command = [sys.executable, "-c", ONE_AFTER_ANOTHER, *map(str, files)]
    done = subprocess.run(command, cwd=tree, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120, check=True)
    parts = re.findall(r"(.*?)\n== (\d+)\n", done.stdout, flags=re.DOTALL)
    return {line: (said, int(status)) for line, (said, status) in zip(FAULTY, parts, strict=True)}


@pytest.mark.parametrize(("line", "expected"), FAULTY.items())
def test_its_faults_are_told_with_all_others(told: dict[str, tuple[str, int]], line: str, expected: str) -> None:
    said, status = told[line]
    assert status == 78
    assert expected in said


def test_verdict_and_json_have_its_findings(tree: Path) -> None:
    done = run(tree, "check", "192.0.2.7", "--json")
    assert done.returncode == 20, done.stderr
    said = json.loads(done.stdout)
    assert said["action"] == "reject"
    (finding,) = (each for each in said["findings"] if each["check"] == "parity")
    assert (finding["code"], finding["text"], finding["score"]) == ("parity_odd", "odd, plain, 1, mail.example", 2)
    assert run(tree, "check", "192.0.2.8", "--json").returncode == 0


def test_the_daemon_speaks_and_counts_of_it(tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tree)
    daemon = Running(tmp_path, MORE)
    try:
        request = b"request=smtpd_access_policy\nprotocol_state=RCPT\nclient_address=192.0.2.7\nrecipient=a@example.org\n\n"
        assert daemon.policy(request).startswith(b"action=554 5.7.1 Client host rejected (odd)")
        status, verdict = daemon.http("/v1/verdict?client_address=192.0.2.7&recipient=a@example.org")
        assert (status, [each["code"] for each in verdict["findings"] if each["check"] == "parity"]) == (200, ["parity_odd"])
        with urllib.request.urlopen(f"http://127.0.0.1:{daemon.ports['HTTP']}/metrics", timeout=10) as reply:
            assert 'check="parity",code="parity_odd"' in reply.read().decode()
    finally:
        daemon.end()
