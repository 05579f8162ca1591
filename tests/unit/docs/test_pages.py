"""The documentation holds together: links lead somewhere, no page is lost, what is named is there."""

from __future__ import annotations

import ast
import json
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path

import pytest

from resolverd.cli import list_table
from resolverd.config import reader

from .pages import DOCS, INDEX, PAGES, ROOT, anchors, every, links, prose, text_of


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    lost = []
    for target in links(page):
        path, _, anchor = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        if not there.exists() or (anchor and anchor not in anchors(there)):
            lost.append(target)
    assert lost == []


def test_every_page_is_reached_from_the_index() -> None:
    reached: set[Path] = set()
    ahead = [INDEX]
    while ahead:
        page = ahead.pop()
        if page not in reached and page.suffix == ".md":
            reached.add(page)
            ahead += [(page.parent / target.partition("#")[0]).resolve() for target in links(page) if not target.startswith("#")]
    assert not {str(page.relative_to(ROOT)) for page in PAGES[1:]} - {str(page.relative_to(ROOT)) for page in reached}


def test_the_lists_of_the_catalogue_stand_in_it() -> None:
    page = DOCS / "lists.md"
    assert text_of(page) == list_table.replaced(text_of(page)), "python -m resolverd.cli.list_table docs/lists.md"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_keys_are_those_of_config_toml(page: Path) -> None:
    """``[greylist] delay`` in backticks, and ``greylist.delay`` where a table is named."""
    known = {*reader.keys()}
    unknown = []
    for table, key in re.findall(r"`\[{1,2}([a-z_.]+|lists\.[A-Za-z-]+)\]{1,2} ([a-z0-9_]+)\b", prose(page)):
        path = f"lists.*.{key}" if table.startswith("lists.") else f"{table}.{key}"
        if path not in known and not (table.startswith("lists.") and "lists.*" in known):
            unknown.append(f"[{table}] {key}")
    assert unknown == []


@cache
def literals() -> str:
    """Every string in the sources, formats reduced to …"""
    found = [
        node.value
        for path in sorted((ROOT / "resolverd").rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_bytes()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
    return "\0".join(re.sub(r"%(?:\.\d)?[dgrs]", "…", each) for each in found)


def test_log_lines_are_those_of_the_daemon() -> None:
    lines = [line for block in every("text") if block.info == "text log" for line in block.text.splitlines()]
    assert len(lines) > 10
    parts = {part.strip() for line in lines for part in line.split("…") if len(part.strip()) > 3}
    assert not {part for part in parts if part not in literals()}


def test_metrics_are_those_of_the_daemon() -> None:
    named = {name for page in PAGES for name in re.findall(r"\bresolverd_([a-z_]+)\b", text_of(page))}
    known = set(literals().split("\0"))
    assert not {name for name in named if name.removesuffix("_total") not in known}


def test_http_calls_are_routes() -> None:
    described = json.loads((DOCS / "openapi.json").read_text())["paths"]
    routes = [(re.compile(re.sub(r"\{\w+\}", "[^/]+", path)), methods) for path, methods in described.items()]

    def is_route(method: str, path: str) -> bool:
        return any(pattern.fullmatch(path) and method.lower() in methods for pattern, methods in routes)

    called = {("GET", path) for page in PAGES for path in re.findall(r"`(/(?:v1/|metrics|healthz|readyz)[^`?\s]*)", prose(page))}
    called |= {
        (method, path) for page in PAGES for method, path in re.findall(r"`(GET|POST|PUT|DELETE) (/[^`?\s]+)", prose(page))
    }
    for block in every("sh"):
        for line in block.text.replace("\\\n", " ").splitlines():
            if line.removeprefix("sudo ").startswith("curl "):
                path = re.search(r"http://[^/]+(/[^'?\s]*)", line)
                method = re.search(r"-X (\w+)", line)
                assert path is not None, line
                called.add((method[1] if method else "POST" if "--json" in line else "GET", path[1]))
    assert len(called) > 10
    # "/v1/negative-trust-anchors" and its like in prose name what stands below them as well.
    assert not {call for call in called if not is_route(*call)}


def test_every_option_of_postgrey_has_its_counterpart() -> None:
    if shutil.which("postgrey") is None:
        pytest.skip("needs postgrey")
    said = subprocess.run(["postgrey", "--help"], capture_output=True, text=True, timeout=20, check=False)
    options = set(re.findall(r"(?m)^ +(?:-\w, +)?(--[a-z0-9-]+)", said.stdout + said.stderr))
    assert len(options) > 15
    table = text_of(DOCS / "from-postgrey.md")
    short = {"--quiet": "`-q`", "--verbose": "`-v`", "--daemonize": "`-d`"}
    assert not {each for each in options - {"--help", "--version"} if short.get(each, each) not in table}


def test_every_option_of_policyd_spf_has_its_counterpart() -> None:
    documented = Path("/usr/share/doc/postfix-policyd-spf-python/policyd-spf.conf.commented.gz")
    if not documented.exists():
        pytest.skip("needs postfix-policyd-spf-python")
    said = subprocess.run(["zcat", documented], capture_output=True, text=True, timeout=20, check=True).stdout
    options = set(re.findall(r"(?m)^#? *([A-Z]\w+|skip_addresses|debugLevel) = ", said))
    assert len(options) > 15
    assert not {each for each in options if each not in text_of(DOCS / "from-policyd-spf.md")}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_rows_have_the_columns_of_their_table(page: Path) -> None:
    broken, columns = [], 0
    for line in prose(page).splitlines():
        cells = line.count("|") - 1 if line.startswith("|") else 0
        columns = columns if columns and cells else cells
        if cells != columns or (cells and not line.endswith("|")):
            broken.append(line)
    assert broken == []
