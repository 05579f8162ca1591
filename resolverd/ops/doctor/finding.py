"""Findings of the doctor."""

from enum import StrEnum
from typing import NamedTuple


class Severity(StrEnum):
    """How much a finding matters."""

    ERROR = "error"
    """Good mail is refused or lost, or strangers use the server."""
    WARNING = "warning"
    """It works, until something fails; or it does less than it seems to."""


class Finding(NamedTuple):
    """What is wrong: a fixed `code`, in words, and the lines to type or to write."""

    code: str
    severity: Severity
    text: str
    fix: tuple[str, ...] = ()


def error(code: str, text: str, *fix: str) -> Finding:
    """A finding for which good mail is lost, or strangers use the server."""
    return Finding(code, Severity.ERROR, text, fix)


def warning(code: str, text: str, *fix: str) -> Finding:
    """A finding of what works for now."""
    return Finding(code, Severity.WARNING, text, fix)
