"""``resolverd config init``: the manual as a file to begin with."""

import stat
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from msgspec.structs import replace

from resolverd import config
from resolverd.cli.root import resolverd
from resolverd.config import template
from resolverd.config.endpoints import Listen


def run(*arguments: str) -> Result:
    return CliRunner().invoke(resolverd, ["config", "init", *arguments])


def test_it_is_the_manual_and_in_production_on_port_53(tmp_path: Path) -> None:
    assert run(str(tmp_path / "here.toml")).exit_code == 0
    assert run("--production", str(tmp_path / "etc" / "config.toml")).exit_code == 0
    manual = (Path(__file__).parents[3] / "config.toml").read_text()
    assert (tmp_path / "here.toml").read_text() == manual
    default, found = config.parse("", tmp_path / "etc"), config.load(tmp_path / "etc" / "config.toml")
    assert found.dns.listen == (Listen("127.0.0.1", 53), Listen("::1", 53))
    assert replace(found, dns=replace(found.dns, listen=default.dns.listen)) == default
    assert stat.S_IMODE((tmp_path / "etc" / "config.toml").stat().st_mode) == 0o640


def test_where_it_goes_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(config, "PRODUCTION", tmp_path / "etc" / "config.toml")
    for options in ([], ["--production"]):
        result = run(*options)
        assert (result.exit_code, "next: resolverd config check -c" in result.output) == (0, True)
    assert (tmp_path / "config.toml").read_text() == template.text()
    assert (tmp_path / "etc" / "config.toml").read_text() == template.text(production=True)


@pytest.mark.parametrize("options", [[], ["--production"]])
def test_what_stands_there_stays(tmp_path: Path, options: list[str]) -> None:
    (tmp_path / "config.toml").write_text("mine")
    result = run(*options, str(tmp_path / "config.toml"))
    assert (result.exit_code, (tmp_path / "config.toml").read_text()) == (1, "mine")
    assert "is there already, and stays as it is" in result.output


def test_a_directory_that_is_missing_is_named(tmp_path: Path) -> None:
    result = run(str(tmp_path / "a" / "b" / "config.toml"))
    assert (result.exit_code, result.output) == (
        1,
        f"resolverd: {tmp_path}/a/b/config.toml cannot be written: No such file or directory\n",
    )
