"""``use = "service"``: which lists that turns off is said, at start and by ``config check``."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from resolverd.cli.root import resolverd
from resolverd.config import left_out, parse

SERVICE = '[dnsbl]\nuse = "service"\n'


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", ""),
        (SERVICE, "spamhaus-zen, spamhaus-dbl, dnswl, so no list is asked at all"),
        (SERVICE + '[checks]\npreset = "scored"\n', "asked are spamcop"),
        (SERVICE + "[lists.spamhaus-zen]\nenabled = false\n", "terms of spamhaus-dbl, dnswl, so no list is asked at all"),
        (SERVICE + "enabled = false\n", ""),
        (SERVICE + '[lists.mine]\nzone = "rbl.example.net"\nnumber = 101\nkinds = ["ip4"]\n', "asked are mine"),
    ],
)
def test_what_a_service_may_not_ask_is_said(text: str, says: str) -> None:
    said = left_out(parse(text, Path("/")))
    assert len(said) == bool(says)
    assert says in "".join(said)


def test_config_check_warns(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(SERVICE)
    said = CliRunner().invoke(resolverd, ["config", "check", "-c", str(tmp_path / "config.toml")])
    assert said.exit_code == 0
    assert 'warning: dnsbl.use: "service" is against the terms of spamhaus-zen' in said.stdout
