"""The alert rules of contrib/prometheus, and /metrics, as Prometheus reads them: by its own promtool."""

import subprocess
from pathlib import Path

from served import Served

from resolverd.servers.http.route import Call
from resolverd.servers.http.routes.metrics import get_metrics

ROOT = Path(__file__).parents[2]
RULES = ROOT / "contrib" / "prometheus" / "resolverd.rules.yml"
TESTS = Path(__file__).parent / "promtool" / "resolverd.test.yml"


def promtool(*argv: str | Path, given: bytes | None = None) -> str:
    """What it says. Fails where it finds a fault."""
    done = subprocess.run(["promtool", *argv], input=given, capture_output=True, timeout=60, check=False)
    said = (done.stdout + done.stderr).decode()
    assert done.returncode == 0, said
    return said


def test_the_rules_are_read():
    assert "rules found" in promtool("check", "rules", RULES)


def test_each_alert_is_raised_by_what_it_is_there_for_and_by_nothing_else():
    assert "SUCCESS" in promtool("test", "rules", TESTS)


async def test_the_metrics_are_read(tmp_path: Path):
    served = Served(tmp_path)
    await served.start()
    daemon = served.service.capabilities()
    for name in ("list_reply_seconds", "verdict_seconds"):
        served.counters.histogram(name).observe(0.1)
    served.counters.add("verdicts", action="accept")
    body = (await get_metrics(Call(daemon, None, (), {}, None, {}))).body  # type: ignore[arg-type]
    assert isinstance(body, bytes)
    assert promtool("check", "metrics", given=body) == ""
    await served.end()
