"""Perl's expressions: they mean what they mean to Perl, or are named as not understood, and no name keeps them busy."""

import json
import random
import re
import shutil
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resolverd import bounds
from resolverd.greylist.allow_files import read_clients, read_recipients
from resolverd.greylist.expressions import Expression
from tests.work import BUSY, counted


@pytest.mark.parametrize(
    ("pattern", "matching", "others"),
    [
        (r"^mx[[:digit:]]+\.example$", ["mx1.example", "MX22.example"], ["mx.example", "mx:.example", "mxd.example"]),
        (r"^[[:alpha:]_-]+$", ["a_b-c"], ["a1", ":", "[a]"]),
        (r"^[[:^digit:]]+$", ["abc.:"], ["a1"]),
        (r"^[^[:digit:].]+$", ["abc:"], ["a1", "a.b"]),
        (r"[[:upper:]]", ["a", "B"], ["1"]),
        (r"\Amail\d\.example\z", ["mail1.example"], ["mail1.example.org", "xmail1.example"]),
        (r"(?i)MAIL(?#a remark)\.example\Z", ["mail.example"], ["mail-example"]),
        (r"^(?:smtp\w*|postfix)[0-9]+-g[0-9]+\.free\.fr$", ["smtpx1-g2.free.fr"], ["smtp-g2.free.fr"]),
        (r"^(?<host>mx|out)[^.]{2,3}\.", ["mxab.x", "outabc.x"], ["mxa.x", "mxabcd.x"]),
        (r"\bout\b", ["a.out.b", "out"], ["route"]),
        (r"a{,b", ["a{,b"], ["ab"]),
        (r"[]a]b", ["]b", "ab"], ["b"]),
        (r"^\x41\-b$", ["a-b"], ["ab"]),
        (r"^(a|b)*?c$", ["c", "abc"], ["abdc"]),
        ("", ["", "anything"], []),
    ],
)
def test_what_is_meant(pattern: str, matching: list[str], others: list[str]):
    expression = Expression(pattern)
    assert [text for text in (*matching, *others) if expression.search(text)] == matching


@pytest.mark.parametrize(
    ("pattern", "says"),
    [
        (r"(?=a)b", "look ahead"), (r"(?<!a)b", "look ahead or behind"), (r"a++", "possessive"), (r"(?>a)b", "(?>"),
        (r"(a)\1", "\\1"), (r"\Qa.b\E", "\\Q"), (r"\p{L}", "\\p"), (r"\Kx", "\\K"), (r"\Rx", "\\R"),
        (r"(?x)a b", "(?x"),
        (r"(?-i)a", "(?-"), (r"(?R)", "(?R"), (r"(?|a|b)", "(?|"), (r"a{,3}", "{,n}"), (r"[[:word:]", "middle"),
        (r"[[:no:]]", "[:no:]"),
        (r"[[.a.]]", "[.a.]"), (r"[b-a]", "range"), (r"[a-\d]", "range"), (r"a**", "quantifier of a quantifier"),
        (r"+a", "nothing"),
        (r"a{3,2}", "at least more"), (r"(a", "( without )"), (r"a)", ") without ("), (r"[a", "middle"), ("a\\", "middle"),
        (r"\x{41}", "\\x"), (r"\cA", "\\c"), (r"\u0041", "\\u"), (r"\b{wb}", "\\b{"), (r"^*a", "repeated"),
        (r"((a{30}){30}){30}", "too large"),
        (r"a{999999999999}", "too large"), ("(" * 60 + ")" * 60, "groups in groups"),
    ],
)  # fmt: skip
def test_what_is_not_understood_is_named(pattern: str, says: str):
    with pytest.raises(ValueError, match=re.escape(says)):
        Expression(pattern)


@pytest.mark.parametrize(
    ("line", "says"),
    [("/^mx/x", "without flags"), ("/^mx", "begins like an expression"), ("//", "begins like"), ("/a(/", "( without )")],
)
def test_a_line_that_is_no_expression_is_named_and_the_others_count(line: str, says: str):
    clients, faults = read_clients(f"a.example\n{line}\n/^mx\\d/i\n")
    assert says in str(faults[0])
    assert (len(faults), faults[0].line, len(clients.expressions), clients.names) == (1, 2, 1, {"a.example"})
    assert len(read_recipients(f"a.example\n{line}\n/^mx\\d/\n")[0].expressions) == 1


ATOMS = [
    "a", "b", "1", "-", "\\.", ".", "\\d", "\\w", "\\D", "\\W", "[ab]", "[^a]", "[[:digit:]]", "[[:alpha:]_-]",
    "[^[:digit:].]",
    "[[:^upper:]]", "[a-c1-3]", "[\\d.-]", "[]a]", "[^]a]", "[a\\]]", "[\\W1]",
    "[[:punct:]]", "[a-]", "(a|b)", "(?:a|1b)", "(ab)",
    "(?i:A)", "B", "\\x61", "\\-", "\\_", "[[a]", "{", "{a}", "()", "(a|)", "[[:xdigit:][:punct:]]", "\\h", "\\s", "_",
]  # fmt: skip
QUANTIFIERS = ["", "", "", "", "*", "+", "?", "{2}", "{1,3}", "{0}", "{2,}", "*?", "+?", "??", "{1,2}?"]
PLACES = ["", "", "", "", "^", "$", "\\b", "\\B", "\\A", "\\z", "\\Z"]
PERL = """
use JSON::PP; no warnings;
my $given = decode_json(join "", <STDIN>);
print encode_json([map {
    my $pattern = $_;
    my $expression = eval { qr{$pattern}i };
    defined $expression ? join("", map { $_ =~ $expression ? 1 : 0 } @{$given->{texts}}) : "x";
} @{$given->{patterns}}]);
"""


@pytest.mark.skipif(shutil.which("perl") is None, reason="needs perl")
def test_as_perl_does():
    """Expressions and texts at random: wherever one is understood here, it matches what it matches in Perl."""
    chance = random.Random(5)

    def made(depth: int = 0) -> str:
        out = ""
        for _ in range(chance.randrange(1, 5)):
            atom = f"({made(depth + 1)})" if depth < 2 and chance.random() < 0.2 else chance.choice(ATOMS)
            out += chance.choice(PLACES) + atom + chance.choice(QUANTIFIERS) + ("|" if chance.random() < 0.1 else "")
        return out

    texts = ["", *("".join(chance.choice("aabB1.-_@2 c]") for _ in range(chance.randrange(1, 9))).lower() for _ in range(60))]
    patterns = [made() for _ in range(600)]
    given_to_perl = json.dumps({"patterns": patterns, "texts": texts})
    done = subprocess.run(["perl", "-e", PERL], input=given_to_perl, text=True, capture_output=True, check=True, timeout=60)
    compared = 0
    for pattern, theirs in zip(patterns, json.loads(done.stdout), strict=True):
        try:
            expression = Expression(pattern)
        except ValueError:
            continue
        if theirs != "x":
            assert "".join("01"[expression.search(text)] for text in texts) == theirs, pattern
            compared += 1
    assert compared > 400


@given(st.text(alphabet="ab1.-[]()?*+{},:^$|\\\\d#=!<>PxQE", max_size=30), st.text(max_size=30))
def test_any_text_is_an_expression_or_named(pattern: str, text: str):
    try:
        expression = Expression(pattern)
    except ValueError:
        return
    assert expression.search(text) in (True, False)


@pytest.mark.parametrize(("pattern", "text"), BUSY)
def test_no_name_keeps_an_expression_busy(pattern: str, text: str):
    """At most each state of the automaton once a character, and where the way is known nothing but the way."""
    expression = Expression(pattern)
    with counted(most=20 * len(expression._states) * len(text)):
        assert not expression.search(text)
    with counted(most=5 * len(text) + 100):
        assert not expression.search(text)


def test_longer_texts_than_any_name_match_nothing():
    assert Expression("a").search("a" * bounds.EXPRESSION_TEXT)
    assert not Expression("a").search("a" * (bounds.EXPRESSION_TEXT + 1))


def test_memory_is_bounded_whatever_names_come():
    expression = Expression(r"(a|b|c|d|e|f|g){1,30}.*x{2,9}y")
    chance = random.Random(1)
    for _ in range(300):
        expression.search("".join(chance.choice("abcdefgxy.-0123456789") for _ in range(40)))
        assert sum(map(len, expression._rows)) <= bounds.EXPRESSION_STEPS + 1
        assert len(expression._places) <= bounds.EXPRESSION_STEPS + 2
