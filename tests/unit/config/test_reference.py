"""The reference: every key of the settings and no other, all of it said, and the pages made of it as they are now."""

import tomllib
from pathlib import Path

import pytest

from resolverd.cli import config_manual
from resolverd.config import reader
from resolverd.config.reference import page, reference
from resolverd.config.reference.markdown import facts, prose
from resolverd.config.reference.read import read

PAGE = Path(__file__).parents[3] / "docs" / "configuration.md"


def star(path: str) -> str:
    """As `reader.keys` names it: whatever the list, the key is the same."""
    parts = path.split(".")
    return ".".join(["lists", "*", *parts[2:]] if parts[0] == "lists" else parts)


def test_the_page_is_what_the_file_and_the_settings_say() -> None:
    assert PAGE.read_text("utf-8") == page(reference()), "python -m resolverd.config.reference >docs/configuration.md"


def test_it_has_every_key_and_no_other() -> None:
    known = list(reader.keys())
    every = {"dns.tls" if key.startswith("dns.tls.") else key for key in known}
    assert {star(key.path) for key in reference().every_key()} == every


def test_something_is_said_of_every_key() -> None:
    for section in reference().sections:
        for entry in section.entries:
            assert entry.text or section.text, entry.keys[0].path
            assert all(key.form and key.value for key in entry.keys)


def test_keys_that_wait_for_a_start_say_so() -> None:
    waiting = {key.path: key.at_start for key in reference().every_key() if key.at_start}
    assert waiting == {
        "dns.listen": "listen", "dns.tls": "listen", "policy.listen": "listen", "http.listen": "listen",
        "resolver.outgoing_addresses": "outgoing_addresses", "store.url": "url", "store.prefix": "prefix",
        "store.ca": "ca", "store.directory": "directory", "cache.persist": "persist",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("dns.listen", 'list of addresses with ports; by default `["127.0.0.1:5335", "[::1]:5335"]`; *restart*'),
        ("resolver.ipv4", "true or false; by default `true`"),
        ("resolver.edns_size", "whole number, 512 to 4096; by default `1232`"),
        ("cache.size", 'size, at least 1MiB; by default `"64MiB"`'),
        ("verdict.mode", '"enforce" or "observe"; by default `"enforce"`'),
        ("http.open", 'list of "verdict", "lookup", "lists", "cache", "trace"; by default `["verdict", "lookup", "lists"]`'),
        ("checks.spf.score", "points, -1000 to 1000; by default 3"),
        ("verdict.reject_at", "points, -1000 to 1000; for example `6`"),
        ("dns.tls", "table with `listen` (list of addresses with ports), `certificate` (path), `key` (path); for example `{"),
    ],
)
def test_what_is_said_of_a_key(path: str, words: str) -> None:
    key = next(key for key in reference().every_key() if key.path == path)
    assert "; ".join(facts(key)).startswith(words)


def test_by_preset() -> None:
    key = next(key for key in reference().every_key() if key.path == "checks.ptr.action")
    assert key.by_preset == 'in preset tutorial "reject", in preset scored "score"'


def test_defaults_are_shown_as_they_are_read() -> None:
    for key in reference().every_key():
        assert tomllib.loads(f"{key.name} = {key.value}")


def test_comments_are_taken_apart() -> None:
    found = read(
        '# The beginning,\n# on two lines.\n\n# Of [dns].\n[dns]\n# who may ask\nallow = [\n    "::1",\n    "10.0.0.0/8",\n]\n'
        '# of two\nminimal_responses = true\n#client_rate = "5/1s"\n\n# A note.\n\n'
        '#[[resolver.stub]]\n# it\n#zone = "a.example"\n'
    )
    assert found.intro == ("The beginning, on two lines.",)
    dns, stub = found.sections
    assert (dns.header, dns.text, dns.notes, dns.example) == ("[dns]", "Of [dns].", ("A note.",), "")
    assert [[key.name for key in entry.keys] for entry in dns.entries] == [["allow"], ["minimal_responses", "client_rate"]]
    assert dns.entries[0].keys[0].value == '["::1", "10.0.0.0/8"]'
    assert [key.is_example for key in dns.entries[1].keys] == [False, True]
    assert stub.example == '[[resolver.stub]]\nzone = "a.example"'


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[dns]\nallow = []\n", "nothing is said of dns.allow"),
        ("[dns]\n# who\nalow = []\n", "no key of the settings: dns.alow"),
        ("[nds]\n# who\nallow = []\n", "no table of the settings: nds"),
        ("[dns]\n# who\nallow: []\n", "neither comment, table nor key"),
    ],
)
def test_what_is_not_written_like_that(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        read(text)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("who may ask", "Who may ask."),
        ("resolverd's own", "resolverd's own."),
        ("policy.listen has it", "policy.listen has it."),
        ("false: no list is asked", "`false`: no list is asked."),
        ('"fast", or {file = "PATH"}', '`"fast"`, or `{file = "PATH"}`.'),
        ('in production: ["127.0.0.1:53", "[::1]:53"]', 'In production: `["127.0.0.1:53", "[::1]:53"]`.'),
        ('`config "check"` says', '`config "check"` says.'),
    ],
)
def test_comments_become_sentences(text: str, shown: str) -> None:
    assert prose(text) == shown


def test_the_man_page_has_every_key() -> None:
    text = config_manual.man_page().replace(r"\-", "-")
    for section in reference().sections:
        below = text.partition(f".SH {section.header}\n")[2].partition("\n.SH ")[0]
        assert below, section.header
        for entry in section.entries:
            assert all(f".B {key.name}\n" in below for key in entry.keys)
