"""The map in the docstrings: who walks the tree from `resolverd/__init__.py` meets every module."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import resolverd

ROOT = Path(resolverd.__file__).parent
PACKAGES = sorted(path.parent for path in ROOT.rglob("__init__.py") if path.parent not in (ROOT, ROOT / "data"))


def docstring(package: Path) -> str:
    return ast.get_docstring(ast.parse((package / "__init__.py").read_text())) or ""


def parts(package: Path) -> set[str]:
    """The modules and packages right below."""
    modules = {path.stem for path in package.glob("*.py") if not path.stem.startswith("__")}
    return modules | {path.parent.name for path in package.glob("*/__init__.py")}


@pytest.mark.parametrize("package", PACKAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_package_names_what_is_in_it(package: Path) -> None:
    text = docstring(package)
    if "every module here" in text or "a module a subject" in text or "each in a module" in text:
        return  # found by themselves: a new one is no news to anybody
    named = set(re.findall(r"`(\w+)`", text)) | set(re.findall(r"^ +(\w+)  ", text, flags=re.MULTILINE))
    assert not parts(package) - named


def test_the_map_names_the_packages() -> None:
    words = set(re.findall(r"\w+", resolverd.__doc__ or ""))
    assert not {path.name for path in PACKAGES if path.parent == ROOT} - words


def test_the_maps_paths_are_there() -> None:
    for dotted in re.findall(r"\b[a-z_]+(?:\.[a-z_]+)+\b", (resolverd.__doc__ or "").partition("Two paths")[2]):
        path = ROOT.joinpath(*dotted.split("."))
        inside = ROOT / "resolver" / Path(*dotted.split("."))
        assert any(each.with_suffix(".py").exists() or each.is_dir() for each in (path, inside)), dotted
