"""contrib/docker, as far as it goes without an engine: the addresses agree, what is copied is there, the health check checks."""

import json
import re
import subprocess
import sys
from pathlib import Path

import yaml

from resolverd.config import load
from resolverd.config.postfix import lines
from tests.running import Running

ROOT = Path(__file__).parents[2]
DOCKER = ROOT / "contrib" / "docker"
DOCKERFILE = (DOCKER / "Dockerfile").read_text()


def test_postfix_asks_at_the_address_that_the_daemon_has() -> None:
    services = yaml.safe_load((DOCKER / "compose.yaml").read_text())["services"]
    address = services["resolverd"]["networks"]["mail"]["ipv4_address"]
    assert services["postfix"]["dns"] == [address]
    settings = load(DOCKER / "config.toml")
    assert f"nameserver {address}\n" in lines(settings, "nameserver")
    assert f"{{ inet:{address}:10023, " in lines(settings, "policy")


def test_what_is_copied_is_there_and_no_more_is_sent() -> None:
    copied = {name for names in re.findall(r"^COPY ((?!--).*) \S+$", DOCKERFILE, re.M) for name in names.split()}
    sent = set(re.findall(r"^!(\S+)$", (DOCKER / "Dockerfile.dockerignore").read_text(), re.M))
    assert copied == sent
    assert all((ROOT / name).exists() for name in copied)


def test_the_health_check_tells_a_daemon_that_lives_from_one_that_does_not(tmp_path: Path) -> None:
    found = re.search(r"^HEALTHCHECK .*\\\n +CMD (\[.*\])$", DOCKERFILE, re.M)
    assert found is not None
    running = Running(tmp_path)
    words = [word.replace(":8053/", f":{running.ports['HTTP']}/") for word in json.loads(found[1])[1:]]
    try:
        assert subprocess.run([sys.executable, *words], timeout=30, check=False).returncode == 0
    finally:
        running.end()
    assert subprocess.run([sys.executable, *words], timeout=30, check=False, capture_output=True).returncode == 1
