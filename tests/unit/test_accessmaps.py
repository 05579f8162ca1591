"""Postfix access maps: what their source files may say, and who is meant (access(5), cidr_table(5))."""

import random
import shutil
import subprocess
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resolverd.mail.accessmaps import Verb, logical_lines, read
from resolverd.mail.findings import SmtpReply

TUTORIAL = """\
dripemail2.com OK //This domain belongs to drip.com
mlsend.com OK //This domain belongs to mailerlite email marketing service
"""


def entry(result: str):
    reading = read("map", "hash", f"key {result}\n")
    assert not reading.faults, reading.faults
    return reading.map.of_name("key").entry


@pytest.mark.parametrize(
    ("result", "verb", "reply"),
    [
        ("OK", Verb.OK, None),
        ("ok //This domain belongs to drip.com", Verb.OK, None),
        ("RELAY", Verb.OK, None),
        ("1234567890", Verb.OK, None),
        ("550", Verb.OK, None),  # digits alone are a time stamp that authenticates, whatever they look like
        ("DUNNO", Verb.DUNNO, None),
        ("dunno whatever", Verb.DUNNO, None),
        ("REJECT", Verb.REJECT, SmtpReply(554, "5.7.1", "Access denied")),
        ("reject Go away", Verb.REJECT, SmtpReply(554, "5.7.1", "Go away")),
        ("REJECT 5.7.25 No name", Verb.REJECT, SmtpReply(554, "5.7.25", "No name")),
        ("REJECT 4.3.0 Class made to fit", Verb.REJECT, SmtpReply(554, "5.3.0", "Class made to fit")),
        ("DEFER", Verb.DEFER, SmtpReply(450, "4.7.1", "Access denied")),
        ("DEFER Come back", Verb.DEFER, SmtpReply(450, "4.7.1", "Come back")),
        ("550 Not you", Verb.REJECT, SmtpReply(550, "5.7.1", "Not you")),
        ("521 5.1.0 Bye", Verb.REJECT, SmtpReply(521, "5.1.0", "Bye")),
        ("451 Busy", Verb.REJECT, SmtpReply(451, "4.7.1", "Busy")),
        ("550 two\ttabs\t", Verb.REJECT, SmtpReply(550, "5.7.1", "two tabs")),
    ],
)
def test_results(result, verb, reply):
    found = entry(result)
    assert (found.verb, found.reply) == (verb, reply)


@pytest.mark.parametrize(
    "result",
    ["HOLD", "DISCARD", "PREPEND X: y", "DEFER_IF_PERMIT", "permit", "reject_unknown_client_hostname", "250 x", "55 x", "5500 x",
     "okay", "WARN", "FILTER smtp:[127.0.0.1]:10025", "BCC a@b", "REDIRECT a@b", "INFO x", "550x y"],
)  # fmt: skip
def test_other_results_are_faults(result):
    (fault,) = read("map", "hash", f"# first\nkey {result}\n").faults
    assert str(fault).startswith(f"line 2: {result.split()[0]!r} is no result that can be had here")


def test_the_tutorials_file():
    found = read("rbl_override", "hash", TUTORIAL)
    assert not found.faults
    assert not found.remarks
    match = found.map.of_name("out.mail.DripEmail2.com")
    assert (match.key, match.entry.line) == ("dripemail2.com", 1)
    assert match.entry.result == "OK //This domain belongs to drip.com"
    assert found.map.of_name("notdripemail2.com") is None


def test_logical_lines():
    text = "a OK\n  and more\n# remark\n\n\tstill a\nb\tOK\n   \n#\nc\n OK"
    assert list(logical_lines(text)) == [(1, "a OK  and more\tstill a"), (6, "b\tOK"), (9, "c OK")]
    (fault,) = read("map", "hash", "\n  a OK\n").faults
    assert "begins with white space" in str(fault)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("key", "'key' has no result"),
        ('"key OK', "quotation mark"),
        ("a.example OK\na.example REJECT", "stands in line 1 already"),
        (".example.com OK", "means the domains below it too"),
        ("192.0.2.0/24 OK", "cidr:FILE"),
        ("2001:db8::/32 OK", "cidr:FILE"),
        ("192.0.2. OK", "without the dot"),
        ("bob@example.com OK", "no mail addresses"),
    ],
)
def test_what_is_wrong_with_a_line_is_said(line, says):
    found = read("map", "hash", line)
    assert says in " ".join(map(str, (*found.faults, *found.remarks)))


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("192.0.2.1/24 OK", "the network is 192.0.2.0/24"),
        ("2001:db8::1/32 OK", "the network is 2001:db8::/32"),
        ("example.com OK", "'example.com' is no network"),
        ("192.0.2.0/255.255.255.0 OK", "is no network"),
        ("192.0.2.0/33 OK", "is no network"),
        ("if 192.0.2.0/24", "not understood here"),
        ("!192.0.2.0/24 OK", "not understood here"),
        ("192.0.2.0/24", "has no result"),
    ],
)
def test_faulty_networks(line, says):
    (fault,) = read("map", "cidr", f"10.0.0.0/8 OK\n{line}\n").faults
    assert fault.line == 2
    assert says in fault.text


KEYS = """\
192.0.2.7 OK host
192.0.2 OK three
192.0 OK two
192 OK one
2001:db8:1 OK net
2001:db8::7 OK host6
2001 OK far
mail.example.com OK name
example.com OK domain
com OK top
unknown OK nobody
[192.0.2.9] OK literal
"""


@pytest.mark.parametrize(
    ("who", "result"),
    [
        ("192.0.2.7", "host"), ("192.0.2.8", "three"), ("192.0.3.8", "two"), ("192.1.1.1", "one"), ("19.0.2.7", None),
        ("2001:db8::7", "host6"), ("2001:db8:1::9", "net"), ("2001:db8:1:2:3:4:5:6", "net"), ("2001:db9::1", "far"),
        ("2002::1", None), ("mail.example.com", "name"), ("MAIL.Example.COM", "name"), ("x.mail.example.com", "name"),
        ("a.example.com", "domain"), ("badexample.com", "top"), ("com", "top"), ("example.org", None), ("unknown", "nobody"),
        ("[192.0.2.9]", "literal"),
    ],
)  # fmt: skip
def test_who_is_meant(who, result):
    found = read("map", "texthash", KEYS).map
    try:
        match = found.of_address(ip_address(who))
    except ValueError:
        match = found.of_name(who)
    assert (match and match.entry.result) == (f"OK {result}" if result else None)


NETWORKS = """\
192.0.2.1 REJECT
[2001:db8::]/32 OK six
192.0.2.0/28 OK small
192.0.2.0/24 DUNNO
0.0.0.0/0 OK all
192.0.2.9 OK late
"""


@pytest.mark.parametrize(
    ("who", "result", "key"),
    [
        ("192.0.2.1", "REJECT", "192.0.2.1/32"), ("192.0.2.9", "OK small", "192.0.2.0/28"),
        ("192.0.2.99", "DUNNO", "192.0.2.0/24"), ("198.51.100.1", "OK all", "0.0.0.0/0"),
        ("2001:db8::1", "OK six", "2001:db8::/32"), ("2001:db9::1", None, None),
    ],
)  # fmt: skip
def test_the_first_line_of_a_cidr_map_holds(who, result, key):
    match = read("map", "cidr", NETWORKS).map.of_address(ip_address(who))
    assert (match.entry.result, match.key) == (result, key) if result else match is None


_NAMES = ("a.example", "b.a.example", "example", "unknown", "192.0.2", "192.0.2.7", "2001:db8", "2001:db8::1", "[192.0.2.7]")
_GAPS = (" ", "\t", "  \t", "\n ", "\n# remark\n\t", "\n\n  ")
_RESULTS = ("OK", "OK //text", "DUNNO", "REJECT", "REJECT no, thank you", "550 5.7.1 no", "450 later", "123", "DEFER\n  later")


@pytest.mark.skipif(shutil.which("postmap") is None, reason="needs Postfix's postmap")
def test_source_files_are_read_as_postfix_reads_them(tmp_path):
    """A long file of all sorts, every key of which is asked of ours and of postmap(1) -q."""
    chance = random.Random(1)
    keys = [f"{at}x{name}" for at in range(100) for name in _NAMES]
    text = "".join(f"{chance.choice([key, key.upper()])}{chance.choice(_GAPS)}{chance.choice(_RESULTS)}\n" for key in keys)
    (tmp_path / "main.cf").write_text("")
    (tmp_path / "map").write_text(text)
    command = ["postmap", "-c", tmp_path, "-q", "-", f"texthash:{tmp_path / 'map'}"]
    done = subprocess.run(command, input="\n".join([*keys, "0xmissing"]) + "\n", text=True, capture_output=True, check=False)
    theirs = dict(line.split("\t", 1) for line in done.stdout.splitlines())
    reading = read("map", "texthash", (tmp_path / "map").read_text())
    assert not reading.faults
    entries = reading.map.entries
    assert {key: entry.result for key, entry in entries.items()} == {
        key: " ".join(value.split()) for key, value in theirs.items()
    }


@given(st.text(max_size=200), st.sampled_from(["hash", "cidr"]))
def test_no_text_is_too_odd(text, kind):
    reading = read("map", kind, text)
    assert all(fault.text.isprintable() for fault in (*reading.faults, *reading.remarks))
    reading.map.of_name(text)
    reading.map.of_address(ip_address("2001:db8::1"))
