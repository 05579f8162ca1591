"""Postfix access maps: what their source files may say, and who is meant (access(5), cidr_table(5))."""

import os
import random
import shutil
import subprocess
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resolverd.mail.findings import SmtpReply
from resolverd.overrides.map_text import logical_lines, read
from resolverd.overrides.postfix_maps import Verb

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
        ("permit", Verb.OK, None),
        ("Permit, reject", Verb.OK, None),
        ("reject, whatever", Verb.REJECT, SmtpReply(554, "5.7.1", "Access denied")),
        ("DEFER_IF_PERMIT", Verb.DEFER, SmtpReply(450, "4.7.1", "Service unavailable")),
        ("DEFER_IF_PERMIT 4.2.0 Later", Verb.DEFER, SmtpReply(450, "4.2.0", "Later")),
        ("550 two\ttabs\t", Verb.REJECT, SmtpReply(550, "5.7.1", "two tabs")),
    ],
)
def test_results(result, verb, reply):
    found = entry(result)
    assert (found.verb, found.reply) == (verb, reply)


@pytest.mark.parametrize(
    "result",
    ["HOLD", "DISCARD", "PREPEND X: y", "DEFER_IF_REJECT", "reject_unknown_client_hostname", "greylisting", "250 x", "55 x",
     "5500 x", "okay", "WARN", "FILTER smtp:[127.0.0.1]:10025", "BCC a@b", "REDIRECT a@b", "INFO x", "550x y",
     "check_client_access hash:/etc/postfix/more"],
)  # fmt: skip
@pytest.mark.parametrize("kind", ["hash", "cidr"])
def test_words_that_nothing_acts_on_end_the_search_and_are_named(result, kind):
    """As in Postfix: whom such a line names is not refused by the line of the domain or network around it."""
    key, above, other = ("a.example", "example", "b.example") if kind == "hash" else ("192.0.2.1", "192.0.2.0/24", "192.0.2.2")
    reading = read("map", kind, f"# first\n{key} {result}\n{above} REJECT\n")
    (fault,) = reading.faults
    assert str(fault).startswith(f"line 2: {result.split()[0]!r} is not acted on here, so the line counts as DUNNO")
    found = [reading.map.of_name(who) if kind == "hash" else reading.map.of_address(ip_address(who)) for who in (key, other)]
    assert [each.entry.verb for each in found] == [Verb.DUNNO, Verb.REJECT]


def test_the_tutorials_file():
    found = read("rbl_override", "hash", TUTORIAL)
    assert not found.faults
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
        ("key\t ", "'key' has no result"),
        ('"with blank" OK', "part of a key"),
        ('"fine.example" OK', "part of a key"),
        ('"key OK', "quotation mark"),
        ("fine.example OK", ""),
        ("fine.example REJECT", "stands in line 1 already"),
        (".example.com OK", "means the domains below it too"),
        ("*.example.com OK", "no wildcards"),
        ("192.0.2.* OK", "no wildcards"),
        ("192.0.2.0/24 OK", "cidr:FILE"),
        ("2001:db8::/32 OK", "cidr:FILE"),
        ("192.0.2. OK", "without the dot"),
        ("mail.example.com. OK", "without the dot"),
        ("bob@example.com OK", "no mail addresses"),
        ("m\u00fcnchen.example OK", "A-labels"),
        ("2001:DB8:0::1 OK", "knows this address as 2001:db8::1"),
        ("2001:DB8::1 OK", ""),
        ("::ffff:192.0.2.1 OK", "knows this address as 192.0.2.1"),
        ("/^mail\\./ REJECT", "regexp"),
        ("/^mail [0-9]/ REJECT", "regexp"),
    ],
)
def test_what_is_wrong_with_a_line_is_said_and_the_others_count(line, says):
    found = read("map", "hash", f"fine.example OK\n{line}\nlast.example REJECT\n")
    assert [fault.line for fault in found.faults] == ([2] if says else [])
    assert says in " ".join(map(str, found.faults))
    assert [found.map.of_name(name).entry.verb for name in ("fine.example", "last.example")] == [Verb.OK, Verb.REJECT]


def test_what_postmap_has_made_is_no_source():
    found = read("map", "hash", "\x00\x00\x06\x15a\nb OK\n")
    assert len(found.faults) == 1
    assert found.map.of_name("b") is None


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("192.0.2.1/24 OK", "the network is 192.0.2.0/24"),
        ("2001:db8::1/32 OK", "the network is 2001:db8::/32"),
        ("example.com OK", "'example.com' is no network"),
        ("192.0.2.0/255.255.255.0 OK", "is no network"),
        ("192.0.2.0/33 OK", "is no network"),
        ("if 192.0.2.0/24", "without its endif"),
        ("endif", "without an if"),
        ("if", "no result"),
        ("!192.0.2.1/24 OK", "host bits"),
        ("! OK", "no result"),
        ("192.0.2.0/24", "has no result"),
        ("::ffff:192.0.2.0/120 OK", "write 192.0.2.0/24"),
    ],
)
def test_faulty_networks_are_named_and_the_others_count(line, says):
    found = read("map", "cidr", f"10.0.0.0/8 OK\n{line}\n198.51.100.0/24 REJECT\n192.0.2.0/24 REJECT\n")
    (fault,) = found.faults
    assert fault.line == 2
    assert says in fault.text
    assert found.map.of_address(ip_address("10.0.0.1")).entry.verb is Verb.OK
    assert found.map.of_address(ip_address("192.0.2.9")).entry.verb is Verb.REJECT


def test_lines_below_an_if_that_cannot_be_read_are_for_nobody():
    """They would be for everybody, as they are in Postfix, if the if alone were passed over."""
    text = "if !10.0.0.1/8\n0.0.0.0/0 REJECT\nif 192.0.2.0/24\n192.0.2.1 REJECT\nendif\nendif\n192.0.2.1 OK\n"
    found = read("map", "cidr", text)
    assert [fault.line for fault in found.faults] == [1, 2, 4]
    assert found.map.of_address(ip_address("192.0.2.1")).entry.verb is Verb.OK
    assert found.map.of_address(ip_address("192.0.2.2")) is None


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


_NAMES = ("a.example", "b.a.example", "example", "unknown", "192.0.2", "192.0.2.7", "2001:db8", "2001:db8::1", "[192.0.2.7]",
          '"quoted.example"', '"with blank"', "back\\\\slash", '"a\\"b"')  # fmt: skip
_GAPS = (" ", "\t", "  \t", "\n ", "\n# remark\n\t", "\n\n  ")
_RESULTS = ("OK", "OK //text", "DUNNO", "REJECT", "REJECT no, thank you", "550 5.7.1 no", "450 later", "123", "DEFER\n  later")

needs_postmap = pytest.mark.skipif(shutil.which("postmap") is None, reason="needs Postfix's postmap")


def postmap(folder, kind, text, questions):
    """What Postfix's own postmap(1) finds in a map."""
    for name, content in (("main.cf", "myhostname = mail.example\nmydomain = example\n"), ("map", text)):
        (folder / name).write_text(content)
        os.utime(folder / name, (0, 0))  # Postfix waits until a file has been at rest for two seconds
    command = ["postmap", "-c", folder, "-q", "-", f"{kind}:{folder / 'map'}"]
    done = subprocess.run(command, input="\n".join(questions) + "\n", text=True, capture_output=True, check=False)
    return dict(line.split("\t", 1) for line in done.stdout.splitlines())


@needs_postmap
def test_source_files_are_read_as_postfix_reads_them(tmp_path):
    """A long file of all sorts, every key of which is asked of ours and of postmap(1) -q."""
    chance = random.Random(1)
    keys = [f"{name[:1]}{at}x{name[1:]}" for at in range(100) for name in _NAMES]
    text = "".join(f"{chance.choice([key, key.upper()])}{chance.choice(_GAPS)}{chance.choice(_RESULTS)}\n" for key in keys)
    reading = read("map", "texthash", text)
    assert all("matches nobody" in fault.text for fault in reading.faults)
    entries = reading.map.entries
    theirs = postmap(tmp_path, "texthash", text, [*entries, "0xmissing"])
    assert len(theirs) == len(keys)
    assert {key: entry.result for key, entry in entries.items()} == {
        key: " ".join(value.split()) for key, value in theirs.items()
    }


@needs_postmap
def test_cidr_maps_are_read_as_postfix_reads_them(tmp_path):
    """Random ones, if and endif and ! in them, with lines that both pass over."""
    chance = random.Random(2)

    def network() -> str:
        start = chance.choice(["192.0.2.0", "192.0.2.64", "192.0.2.65", "2001:db8::", "[2001:db8::]", "0.0.0.0"])
        return f"{start}/{chance.choice([0, 24, 26, 31, 32])}" if chance.random() < 0.8 else start

    questions = ["192.0.2.1", "192.0.2.64", "192.0.2.65", "192.0.2.200", "198.51.100.1", "2001:db8::", "2001:db8::1", "2002::1"]
    compared = 0
    for _ in range(100):
        lines, depth = [], 0
        for number in range(chance.randrange(1, 9)):
            kind = chance.random()
            if kind < 0.2:
                start = chance.choice(["192.0.2.0/24", "0.0.0.0/0", "2001:db8::/64", "192.0.2.64/26"])
                lines.append(f"{chance.choice(['if', 'IF'])} {chance.choice(['', '!', '! '])}{start}")
                depth += 1
            elif kind < 0.35 and depth:
                lines.append("endif")
                depth -= 1
            else:
                lines.append(f"{chance.choice(['', '', '!', '! '])}{network()} {chance.choice(['OK', 'REJECT'])} {number}")
        text = "\n".join([*lines, *["endif"] * depth]) + "\n"
        ours = {}
        found = read("map", "cidr", text).map
        for question in questions:
            if (match := found.of_address(ip_address(question))) is not None:
                ours[question] = match.entry.result
        assert ours == postmap(tmp_path, "cidr", text, questions), text
        compared += len(ours)
    assert compared > 100


@given(st.text(max_size=200), st.sampled_from(["hash", "cidr"]))
def test_no_text_is_too_odd(text, kind):
    reading = read("map", kind, text)
    assert all(fault.text.isprintable() for fault in reading.faults)
    reading.map.of_name(text)
    reading.map.of_address(ip_address("2001:db8::1"))
