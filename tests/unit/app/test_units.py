"""The units in contrib/systemd: what systemd itself says of them."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

UNITS = Path(__file__).parents[3] / "contrib" / "systemd"
MOST_EXPOSED = 2.0

pytestmark = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="Debian's package systemd has systemd-analyze")


def analyze(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["systemd-analyze", *words], capture_output=True, text=True, timeout=60)


def test_the_service_exposes_little() -> None:
    said = analyze("security", "--offline=true", "--no-pager", str(UNITS / "resolverd.service")).stdout
    found = re.search(r"Overall exposure level for resolverd.service: ([0-9.]+)", said)
    assert found is not None, said
    assert float(found[1]) <= MOST_EXPOSED


@pytest.mark.parametrize("unit", sorted(each.name for each in UNITS.iterdir()))
def test_systemd_knows_every_line(tmp_path: Path, unit: str) -> None:
    """Its command, which is not installed here, is one that is."""
    for each in UNITS.iterdir():
        text = each.read_text().replace("/opt/resolverd/bin/resolverd", "/bin/true")
        (tmp_path / each.name).write_text(text.replace("man:resolverd(1)", "https://example.org/"))
    done = analyze("verify", "--man=no", str(tmp_path / unit))
    assert (done.returncode, [line for line in done.stderr.splitlines() if "resolverd" in line]) == (0, [])
