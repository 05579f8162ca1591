"""What is counted: every name has its HELP, and every HELP its name; histograms."""

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families
from served import LISTED, Served

from resolverd.metric_help import COUNTERS, GAUGES, HISTOGRAMS
from resolverd.metrics import BUCKETS, Counters
from resolverd.servers.http.daemon import Daemon
from resolverd.servers.http.route import Call
from resolverd.servers.http.routes.metrics import get_metrics
from resolverd.servers.http.routes.verdict import Attributes

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "resolverd"
METHODS = {"add": COUNTERS, "count": COUNTERS, "counts": COUNTERS, "histogram": HISTOGRAMS}


def emitted() -> list[tuple[str, str, str]]:
    """(module, method, pattern of the name) of every place that counts."""
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call) or not node.args:
                continue
            if isinstance(node.func, ast.Attribute) and node.func.attr in METHODS and "counters" in ast.unparse(node.func.value):
                method, name = node.func.attr, node.args[0]
            elif ast.unparse(node.args[0]).endswith("counters.add"):  # handed to a loop, to be called there
                method, name = "add", node.args[1]
            else:
                continue
            if isinstance(name, ast.JoinedStr):
                parts = [re.escape(part.value) if isinstance(part, ast.Constant) else r"\w+" for part in name.values]
                found.append((path.name, method, "".join(map(str, parts))))
            elif isinstance(name, ast.Constant):
                found.append((path.name, method, re.escape(str(name.value))))
    return found


def test_every_name_has_its_help_and_every_help_its_name():
    places = emitted()
    assert len(places) > 60
    told = set()
    for module, method, pattern in places:
        names = {name for name in METHODS[method] if re.fullmatch(pattern, name)}
        assert names, f"{module} counts {pattern}, which metric_help does not know"
        told |= names
    assert told == COUNTERS.keys() | HISTOGRAMS.keys(), "nobody counts these any more"


def test_help_is_a_sentence_for_whoever_has_not_read_the_code():
    for name, text in {**COUNTERS, **HISTOGRAMS, **GAUGES}.items():
        assert text.endswith("."), name
        assert text.isascii(), name
        assert len(text) < 120, name


def test_a_histogram_counts_into_the_bucket_that_is_just_large_enough():
    held = Counters().histogram("verdict_seconds")
    for seconds in (0.0, 0.001, 0.0011, 8.0, 60.0):
        held.observe(seconds)
    assert held.counts == [2, 1, 0, 0, 0, 0, 1, 1]
    assert held.seconds == pytest.approx(68.0021)


async def test_what_prometheus_reads(tmp_path: Path):
    served = Served(tmp_path)
    await served.start()
    daemon: Daemon = served.service.capabilities()
    attempt = {"client_address": LISTED, "sender": "joe@example.org", "recipient": "b@example.com"}
    await daemon.policy.verdict_on(Attributes(**attempt).attempt, record=True)
    served.counters.histogram("list_reply_seconds", list="psbl").observe(0.3)
    body = (await get_metrics(Call(daemon, None, (), {}, None, {}))).body  # type: ignore[arg-type]
    assert isinstance(body, bytes)
    families = {family.name: family for family in text_string_to_metric_families(body.decode())}
    for name, family in families.items():
        short = name.removeprefix("resolverd_")
        kind = {"counter": COUNTERS, "gauge": GAUGES, "histogram": HISTOGRAMS}[family.type]
        assert family.documentation == kind[short]
    buckets = {
        sample.labels["le"]: sample.value
        for sample in families["resolverd_list_reply_seconds"].samples
        if sample.name.endswith("_bucket") and sample.labels["list"] == "psbl"
    }
    assert buckets == {**dict.fromkeys(map(str, BUCKETS[:4]), 0.0), **dict.fromkeys(map(str, BUCKETS[4:]), 1.0), "+Inf": 1.0}
    verdicts = {sample.name: sample.value for sample in families["resolverd_verdict_seconds"].samples}
    assert verdicts["resolverd_verdict_seconds_count"] == 1.0
    assert served.counters.get("list_hits", list="spamhaus-zen") == 1
    await served.end()


# -- contrib ------------------------------------------------------------------------------------------------------------

EXPOSED = {
    *(f"resolverd_{name}_total" for name in COUNTERS),
    *(f"resolverd_{name}" for name in GAUGES),
    *(f"resolverd_{name}_{part}" for name in HISTOGRAMS for part in ("bucket", "sum", "count")),
}


def expressions(value: object) -> Iterator[str]:
    """Every expression of a Grafana dashboard."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if key in ("expr", "query") and isinstance(inner, str):
                yield inner
            else:
                yield from expressions(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from expressions(inner)


def overlap(one: dict[str, int], other: dict[str, int]) -> bool:
    return all(one[at] < other[at] + other[long] and other[at] < one[at] + one[long] for at, long in (("x", "w"), ("y", "h")))


def test_the_dashboard_asks_for_what_there_is():
    board = json.loads((ROOT / "contrib/grafana/resolverd.json").read_text())
    asked = [name for each in expressions(board) for name in re.findall(r"resolverd_\w+", each)]
    assert len(asked) > 25
    assert set(asked) <= EXPOSED
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])
    places = [panel["gridPos"] for panel in board["panels"]]
    for one in places:
        assert one["x"] + one["w"] <= 24
        assert not [other for other in places if other is not one and overlap(one, other)]


def test_the_alerts_ask_for_what_there_is_and_say_so_in_words():
    text = (ROOT / "contrib/prometheus/resolverd.rules.yml").read_text()
    rules = [rule for group in yaml.safe_load(text)["groups"] for rule in group["rules"]]
    for rule in rules:
        assert set(re.findall(r"resolverd_\w+", rule["expr"])) <= EXPOSED, rule["alert"]
        assert rule["annotations"].keys() == {"summary", "description"}
        told = re.findall(r"resolverd_\w+", rule["annotations"]["description"])
        assert set(told) <= EXPOSED | {name.removesuffix("_bucket") for name in EXPOSED}
    tested = yaml.safe_load((ROOT / "tests/real/promtool/resolverd.test.yml").read_text())["tests"]
    raised = {each["alertname"] for test in tested for each in test["alert_rule_test"] if each.get("exp_alerts")}
    assert raised == {rule["alert"] for rule in rules}, "each alert is seen raised by tests/real/promtool"
