"""SPF records, macros and evaluation, beyond what the openspf suite asks (test_spf_suite)."""

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mailcases import CLIENT, CLIENT6, NODATA, NX, SERVFAIL, TIMEOUT, World, a, dns, mx, ptr, txt

from resolverd import bounds
from resolverd.mail.lookups import Absent, DnsLookup, Records
from resolverd.spf import Result, SpfOutcome, SpfSubject, check_host, follow
from resolverd.spf.macros import BadMacro, dotted, expand, fit, name_of, read, read_domain
from resolverd.spf.record import Fault, Parsed, Record, parse, spf_texts
from resolverd.wire import codes
from resolverd.wire.names import from_text, labels
from resolverd.wire.rdata import text
from tests.work import BLOCKS, longest_spf, ordinary_spf, steps_of

SENDER = "joe@example.com"


def checked(records, *, client=CLIENT, sender=SENDER, helo="mail.example.com") -> tuple[SpfOutcome, list[DnsLookup]]:
    """The outcome of a world, and what was asked for it. A text is a TXT record."""
    world = World({name: txt(reply) if isinstance(reply, str) else reply for name, reply in records.items()})
    subject = SpfSubject(ip_address(client), sender.rpartition("@")[2], sender, helo, "mx.example.org", 1234567890)
    replies = {}
    for _ in range(300):
        progress = follow(check_host(subject), replies)
        if progress.outcome is not None:
            assert list(progress.asked) == list(replies)
            return progress.outcome, list(progress.asked)
        replies[progress.wanted[0]] = world.reply(progress.wanted[0])
    raise AssertionError("it never stops asking")


def record(terms: str) -> Record:
    parsed = parse(f"v=spf1 {terms}".encode())
    assert isinstance(parsed, Record), parsed
    return parsed


# -- records


@pytest.mark.parametrize(
    ("strings", "is_record"),
    [
        (["v=spf1"], True),
        (["v=spf1 -all"], True),
        (["V=SPF1 -all"], True),
        (["v=sp", "f1 -all"], True),
        (["v=spf1", "-all"], False),
        (["v=spf10 -all"], False),
        (["v=spf1\t-all"], False),
        ([" v=spf1 -all"], False),
        (["spf2.0/pra -all"], False),
        ([], False),
    ],
)
def test_which_txt_record_is_one(strings, is_record):
    assert bool(spf_texts([text(*(each.encode() for each in strings))])) is is_record


def test_malformed_data_is_no_record():
    assert spf_texts([b"\xffv=spf1 -all", text(b"v=spf1 -all")]) == [b"v=spf1 -all"]


@pytest.mark.parametrize(
    "terms",
    [
        "", "-all", "+ALL", "a", "A/24", "a//64", "a/24//64", "a:b.example", "mx:b.example./0//0", "ptr", "PTR:b.example",
        "ip4:192.0.2.1", "ip4:192.0.2.1/0", "ip4:192.0.2.77/24", "ip6:2001:db8::/32", "ip6:::1", "ip6:::ffff:192.0.2.1",
        "include:_spf.example.com", "exists:%{ir}.%{v}._spf.%{d2}", "redirect=b.example", "Exp=b.example", "x-y_z.1=%{c}", "moo=",
        "a:%{d}", "a:%{d/}/24", "a:foo/bar.example", "a:b.xn--abc", "a:b.a-1", "a:%%.b.example", "a:%{d}%_",
    ],
)  # fmt: skip
def test_valid_terms(terms):
    record(terms)


@pytest.mark.parametrize(
    "terms",
    [
        "al", "all:", "all/0", "-", "+-all", "=b", "1x=b", "-all foo",
        "a:", "a/", "a/33", "a/024", "a//129", "a/24/64", "a//64/24", "a:b", "a:b.", "a:b.1", "a:b.-c", "a:b.c-", "a:192.0.2.1",
        "mx/", "ptr/24", "ptr:", "include", "include:", "exists", "a:" + "x" * 600 + ".example",
        "ip4", "ip4:", "ip4:192.0.2", "ip4:192.0.2.01", "ip4:192.0.2.1/", "ip4:192.0.2.1/33", "ip4:192.0.2.1/008",
        "ip4:2001:db8::1", "ip6:192.0.2.1", "ip6:fe80::1%eth0", "ip6:::1/129",
        "redirect=", "redirect=b", "exp=", "exp=a.example exp=a.example", "redirect=a.example REDIRECT=a.example",
        "a:%{c}.example", "a:%{x}", "a:%{d", "a:%d", "a:%{d0}", "a:%{d00}", "x=%", "a\tb", "a:\u00fc.example", "x=\u00fc",
    ],
)  # fmt: skip
def test_faulty_terms(terms):
    assert isinstance(parse(f"v=spf1 {terms}".encode("latin-1")), Fault)


def test_endless_records_are_refused():
    assert isinstance(parse(b"v=spf1 " + b"a " * bounds.MAX_SPF_RECORD), Fault)


@pytest.mark.parametrize(
    ("terms", "version", "anybody"),
    [
        ("+all", 4, True),
        ("a mx all", 6, True),
        ("ip4:192.0.2.1 +all", 4, True),
        ("-ip4:192.0.2.1 +all", 4, True),
        ("-all +all", 4, False),
        ("?all", 4, False),
        ("~all", 4, False),
        ("ip4:0.0.0.0/0 -all", 4, True),
        ("ip4:0.0.0.0/0 -all", 6, False),
        ("ip6:::/0 -all", 6, True),
        ("ip6:2000::/3 -all", 6, True),
        ("ip4:0.0.0.0/1 ip4:128.0.0.0/1 -all", 4, True),
        ("ip4:10.0.0.0/8 ip4:11.0.0.0/8 -all", 4, True),
        ("ip4:17.0.0.0/8 -all", 4, False),
        ("ip6:2001:db8::/32 -all", 6, False),
        ("-ip4:0.0.0.0/0", 4, False),
        ("a/0 -all", 4, True),
        ("mx//0 -all", 6, True),
        ("mx/0 -all", 6, False),
        ("exists:example.com -all", 4, True),
        ("exists:%{d} -all", 4, True),
        ("exists:%{i}.list.example -all", 4, False),
        ("include:b.example -all", 4, False),
    ],
)
def test_records_that_let_anybody_pass(terms, version, anybody):
    assert record(terms).lets_anybody(version) is anybody


@pytest.mark.parametrize(
    ("terms", "never"),
    [
        ("-all", True),
        ("-ALL exp=a.example", True),
        ("~all", False),
        ("mx -all", False),
        ("", False),
        ("redirect=a.example", False),
    ],
)
def test_domains_that_send_no_mail(terms, never):
    assert record(terms).never_sends is never


@given(st.binary(max_size=200) | st.text("v=spf1 amxip4:/%{dr}.-+2", max_size=120).map(str.encode))
def test_every_text_is_a_record_or_has_a_fault(octets):
    assert isinstance(parse(b"v=spf1 " + octets), Record | Fault)


# -- macros

VALUES = {
    "s": "strong-bad@email.example.com",
    "l": "strong-bad",
    "o": "email.example.com",
    "d": "email.example.com",
    "i": "192.0.2.3",
    "v": "in-addr",
    "h": "mail.example.com",
}


@pytest.mark.parametrize(
    ("macro", "expanded"),
    [
        # RFC 7208 §7.4
        ("%{s}", "strong-bad@email.example.com"),
        ("%{o}", "email.example.com"),
        ("%{d}", "email.example.com"),
        ("%{d4}", "email.example.com"),
        ("%{d3}", "email.example.com"),
        ("%{d2}", "example.com"),
        ("%{d1}", "com"),
        ("%{dr}", "com.example.email"),
        ("%{d2r}", "example.email"),
        ("%{l}", "strong-bad"),
        ("%{l-}", "strong.bad"),
        ("%{lr}", "strong-bad"),
        ("%{lr-}", "bad.strong"),
        ("%{l1r-}", "strong"),
        ("%{ir}.%{v}._spf.%{d2}", "3.2.0.192.in-addr._spf.example.com"),
        ("%{lr-}.lp._spf.%{d2}", "bad.strong.lp._spf.example.com"),
        ("%{lr-}.lp.%{ir}.%{v}._spf.%{d2}", "bad.strong.lp.3.2.0.192.in-addr._spf.example.com"),
        ("%{ir}.%{v}.%{l1r-}.lp._spf.%{d2}", "3.2.0.192.in-addr.strong.lp._spf.example.com"),
        ("%{d2}.trusted-domains.example.net", "example.com.trusted-domains.example.net"),
        # and what they leave out
        ("%%%_%-", "% %20"),
        ("%{D2R}", "example.email"),
        ("%{S}", "strong-bad%40email.example.com"),
        ("%{d128}", "email.example.com"),
        ("%{d" + "9" * 5000 + "}", "email.example.com"),
        ("%{s1r@}", None),
        ("%{s1-@}", None),
        ("%{i5}", "192.0.2.3"),
        ("%{p}", ""),
    ],
)
def test_macros(macro, expanded):
    if expanded is None:
        with pytest.raises(BadMacro):
            read(macro)
    else:
        assert expand(read(macro), VALUES) == expanded


@given(st.text(max_size=60) | st.text("%{}slodiphcrtv0129r.-+,/_= ", max_size=60), st.text(max_size=40))
def test_expansion_never_raises(string, value):
    try:
        parts = read(string, spaces=True)
    except BadMacro:
        return
    out = expand(parts, dict.fromkeys("slodiphcrtv", value))
    name_of(fit(out))
    assert expand(parts, {}) is not None


@given(st.text("ab.\u00fc ", max_size=600))
def test_expanded_domains_are_cut_at_labels_on_the_left(domain):
    short = fit(domain)
    assert len(short) <= 253
    assert domain.removesuffix(".").endswith(short)
    assert len(domain) > 254 or short == domain.removesuffix(".")


def test_addresses_in_macros():
    assert dotted(ip_address("192.0.2.3")) == "192.0.2.3"
    assert dotted(ip_address("2001:db8::cb01")) == "2.0.0.1.0.D.B.8." + "0." * 20 + "C.B.0.1"


def test_domains_end_in_a_top_label_or_a_macro():
    assert read_domain("%{d}")
    assert read_domain(".com")
    with pytest.raises(BadMacro):
        read_domain("")


# -- evaluation

TXT = "example.com TXT"
CASES = [
    ({}, Result.NONE),
    ({TXT: NODATA}, Result.NONE),
    ({TXT: SERVFAIL}, Result.TEMPERROR),
    ({TXT: TIMEOUT}, Result.TEMPERROR),
    ({TXT: "v=spf1"}, Result.NEUTRAL),
    ({TXT: "v=spf1 ip4:192.0.2.0/24 -all"}, Result.PASS),
    ({TXT: "v=spf1 ~ip4:192.0.2.0/29"}, Result.SOFTFAIL),
    ({TXT: "v=spf1 ?ip4:192.0.2.8/29 -all"}, Result.FAIL),
    ({TXT: txt("v=spf1 -all", "v=spf1 -all")}, Result.PERMERROR),
    ({TXT: txt("v=spf1 -all", "something else", "spf2.0/pra ?all")}, Result.FAIL),
    ({TXT: "v=spf1 -all moo"}, Result.PERMERROR),
    ({TXT: "v=spf1 a -all", "example.com A": a(CLIENT)}, Result.PASS),
    ({TXT: "v=spf1 a -all", "example.com A": SERVFAIL}, Result.TEMPERROR),
    ({TXT: "v=spf1 a/28 -all", "example.com A": a("192.0.2.1")}, Result.PASS),
    ({TXT: "v=spf1 a/29 -all", "example.com A": a("192.0.2.8")}, Result.FAIL),
    ({TXT: "v=spf1 mx -all", "example.com MX": mx("b.example", "c.example"), "c.example A": a(CLIENT)}, Result.PASS),
    ({TXT: "v=spf1 mx -all", "example.com MX": mx("b.example", "c.example"), "b.example A": SERVFAIL}, Result.TEMPERROR),
    ({TXT: "v=spf1 mx -all", "example.com MX": mx(".")}, Result.FAIL),
    ({TXT: "v=spf1 mx -all", "example.com A": a(CLIENT)}, Result.FAIL),
    ({TXT: "v=spf1 mx -all", "example.com MX": Records((b"\0\x0a\x80bad", b"\0"), 9)}, Result.FAIL),
    ({TXT: "v=spf1 ptr -all", "7.2.0.192.in-addr.arpa PTR": SERVFAIL}, Result.FAIL),
    ({TXT: "v=spf1 include:b.example -all", "b.example TXT": "v=spf1 ip4:192.0.2.7 -all"}, Result.PASS),
    ({TXT: "v=spf1 include:b.example ?all", "b.example TXT": "v=spf1 -all"}, Result.NEUTRAL),
    ({TXT: "v=spf1 include:b.example -all"}, Result.PERMERROR),
    ({TXT: "v=spf1 include:b.example -all", "b.example TXT": SERVFAIL}, Result.TEMPERROR),
    ({TXT: "v=spf1 redirect=b.example", "b.example TXT": "v=spf1 -all"}, Result.FAIL),
    ({TXT: "v=spf1 redirect=b.example"}, Result.PERMERROR),
    ({TXT: "v=spf1 redirect=b.example ~all"}, Result.SOFTFAIL),
    ({TXT: "v=spf1 redirect=%{l}"}, Result.PERMERROR),
    ({TXT: "v=spf1 exists:%{i}.%{h}.b.example -all", "192.0.2.7.mail.example.com.b.example A": a("127.0.0.2")}, Result.PASS),
    # look-ups that find nothing: two terms may, however many look-ups a term has
    ({TXT: "v=spf1 a:a.example a:b.example -all"}, Result.FAIL),
    ({TXT: "v=spf1 a:a.example exists:b.example mx:c.example -all"}, Result.PERMERROR),
    ({TXT: "v=spf1 mx a:a.example -all", "example.com MX": mx("1.example", "2.example", "3.example")}, Result.FAIL),
]  # fmt: skip


@pytest.mark.parametrize(("records", "result"), CASES)
def test_check_host(records, result):
    assert checked(records)[0].result is result


@pytest.mark.parametrize(
    ("sender", "result"),
    [
        ("joe@localhost", Result.NONE),
        ("joe@[192.0.2.7]", Result.NONE),
        ("joe@a..example.com", Result.NONE),
        ("joe@" + "x" * 64 + ".example.com", Result.NONE),
        ("joe@example.com.", Result.PASS),
        ("joe@EXAMPLE.com", Result.PASS),
        ("joe@b\u00fccher.example", Result.FAIL),
    ],
)
def test_domains(sender, result):
    records = {TXT: "v=spf1 +ip4:192.0.2.7", "xn--bcher-kva.example TXT": "v=spf1 -all"}
    assert checked(records, sender=sender)[0].result is result


@pytest.mark.parametrize("client", ["::ffff:192.0.2.7", "192.0.2.7"])
def test_ipv4_in_ipv6_is_ipv4(client):
    assert checked({TXT: "v=spf1 ip4:192.0.2.7 -all"}, client=client)[0].result is Result.PASS


def test_ipv6():
    records = {TXT: "v=spf1 a mx//64 -all", "example.com A": a(CLIENT), "example.com MX": mx("b.example")}
    records |= {"b.example AAAA": a("2001:db8::1")}
    outcome, asked = checked(records, client=CLIENT6)
    assert (outcome.result, outcome.mechanism) == (Result.PASS, "mx//64")
    assert codes.A not in {lookup.rtype for lookup in asked}
    only_ipv4 = {TXT: "v=spf1 mx -all", "example.com MX": mx(*(f"{i}.example" for i in range(5)))}
    assert checked(only_ipv4, client=CLIENT6)[0].result is Result.FAIL


def test_only_txt_is_asked_for():
    _, asked = checked({TXT: "v=spf1 include:b.example redirect=c.example"})
    assert {lookup.rtype for lookup in asked} == {codes.TXT}


def test_ten_terms_and_no_more():
    ten = {TXT: "v=spf1 " + "a " * 10 + "ip4:192.0.2.7", "example.com A": a("192.0.2.99")}
    assert checked(ten)[0].result is Result.PASS
    outcome, _ = checked(ten | {TXT: "v=spf1 " + "a " * 11 + "ip4:192.0.2.7"})
    assert (outcome.result, outcome.problem) == (Result.PERMERROR, "more than 10 terms that have to be looked up")
    chain = {f"{i}.example TXT": f"v=spf1 include:{i + 1}.example -all" for i in range(30)}
    outcome, asked = checked(chain | {TXT: "v=spf1 include:0.example"})
    assert outcome.result is Result.PERMERROR
    assert len(asked) == 11


def test_ten_mail_servers_and_no_more():
    names = [f"{i}.example" for i in range(11)]
    addresses = {f"{name} A": a("192.0.2.99") for name in names}
    by_preference = Records(tuple(bytes([0, i]) + from_text(name) for i, name in enumerate(names)), 60)
    records = {TXT: "v=spf1 mx -all", "example.com MX": by_preference}
    outcome, asked = checked(records | addresses)
    assert (outcome.result, len(asked)) == (Result.PERMERROR, 12)
    assert checked(records | addresses | {"9.example A": a(CLIENT)})[0].result is Result.PASS
    assert checked(records | addresses | {"10.example A": a(CLIENT)})[0].result is Result.PERMERROR


def test_ten_reverse_names_and_no_more():
    names = [f"{i}.example.com" for i in range(30)]
    outcome, asked = checked({TXT: "v=spf1 ptr -all", "7.2.0.192.in-addr.arpa PTR": ptr(*names)})
    assert (outcome.result, len(asked)) == (Result.FAIL, 12)


def test_whose_record_and_which_term_decided():
    outcome, _ = checked({TXT: "v=spf1 redirect=b.example", "b.example TXT": "v=spf1 ?a:x.example ~ALL"})
    assert (outcome.domain, outcome.mechanism) == ("b.example", "~ALL")
    outcome, _ = checked({TXT: "v=spf1 include:b.example", "b.example TXT": "v=spf1 a:oops"})
    assert (outcome.domain, outcome.problem) == ("b.example", "a:oops: oops is no domain name")


NAMED_UK = {"7.2.0.192.in-addr.arpa PTR": ptr("host.isp.co.uk"), "host.isp.co.uk A": a("192.0.2.7")}
NAMED = {"7.2.0.192.in-addr.arpa PTR": ptr("mail.sending.com"), "mail.sending.com A": a("192.0.2.7")}


@pytest.mark.parametrize(
    ("records", "worthless"),
    [
        ({TXT: "v=spf1 ip4:192.0.2.7 -all"}, False),
        ({TXT: "v=spf1 +all"}, True),
        ({TXT: "v=spf1 ip4:192.0.2.7 +all"}, True),
        ({TXT: "v=spf1 include:b.example -all", "b.example TXT": "v=spf1 +all"}, True),
        ({TXT: "v=spf1 redirect=b.example", "b.example TXT": "v=spf1 ip4:0.0.0.0/0"}, True),
        ({TXT: "v=spf1 ip4:192.0.2.7 include:b.example", "b.example TXT": "v=spf1 +all"}, False),
        ({TXT: "v=spf1 -all"}, False),
        ({TXT: "v=spf1 ptr:co.uk -all", **NAMED_UK}, True),
        ({TXT: "v=spf1 ptr:sending.com -all", **NAMED}, False),
        ({TXT: "v=spf1 a:%{p} -all", **NAMED}, True),
        ({TXT: "v=spf1 a:%{i}.by-address.example -all", "192.0.2.7.by-address.example A": a("192.0.2.7")}, True),
        ({TXT: "v=spf1 a:%{d} -all", "example.com A": a("192.0.2.7")}, False),
    ],
)
def test_a_pass_that_anybody_gets(records, worthless):
    assert checked(records)[0].worthless is worthless


@pytest.mark.parametrize(
    ("records", "never"),
    [
        ({TXT: "v=spf1 -all"}, True),
        ({TXT: "v=spf1 redirect=b.example", "b.example TXT": "v=spf1 -all"}, True),
        ({TXT: "v=spf1 a -all"}, False),
        ({TXT: "v=spf1 -include:b.example", "b.example TXT": "v=spf1 ?all"}, False),
    ],
)
def test_the_fail_of_a_domain_that_sends_no_mail(records, never):
    assert checked(records)[0].never_sends is never


@pytest.mark.parametrize(
    ("explained", "explanation"),
    [
        ("%{r} at %{t}: %{c} for %{d}, %{s}", "mx.example.org at 1234567890: 192.0.2.7 for example.com, joe@example.com"),
        ("%{p}", "unknown"),
        ("", ""),
        ("%{x}", ""),
        ("\u00fc", ""),
        ("x" * 1025, ""),
        (NX, ""),
        (TIMEOUT, ""),
        (txt("one", "two"), ""),
        (Records((b"\xff",), 9), ""),
    ],
)
def test_explanations(explained, explanation):
    outcome, _ = checked({TXT: "v=spf1 -all exp=why.%{d}", "why.example.com TXT": explained})
    assert (outcome.result, outcome.explanation) == (Result.FAIL, explanation)


def test_the_macro_p_prefers_the_domain_itself():
    names = ("x.test", "mail.example.com", "example.com")
    records = {"7.2.0.192.in-addr.arpa PTR": ptr(*names), **{f"{name} A": a(CLIENT) for name in names}}
    records |= {TXT: "v=spf1 -all exp=why.%{d}", "why.example.com TXT": "%{p}"}
    assert checked(records)[0].explanation == "example.com"
    assert checked({**records, "example.com A": NX})[0].explanation == "mail.example.com"
    assert checked({**records, "example.com A": NX, "mail.example.com A": SERVFAIL})[0].explanation == "x.test"


def test_the_root_is_no_name_of_a_client():
    """A PTR to "." is a client without a name; nobody is asked for the root's address."""
    subject = SpfSubject(ip_address(CLIENT), "example.com", SENDER, "mail.example.com")
    replies = {dns(TXT): txt("v=spf1 a:%{p}.example -all"), dns("7.2.0.192.in-addr.arpa PTR"): ptr(".")}
    assert follow(check_host(subject), replies).wanted == (dns("unknown.example A"),)


def test_local_parts_outside_ascii_match_nothing():
    """RFC 8616 §4."""
    records = {TXT: "v=spf1 exists:%{L}.example.com ~exists:b.%{o} -all", "b.example.com A": a("127.0.0.2")}
    assert checked(records, sender="j\u00f6e@example.com")[0].result is Result.SOFTFAIL


def test_what_comes_later_is_asked_for_early():
    """Includes side by side, not one after the other; nothing behind what ends the evaluation."""
    subject = SpfSubject(ip_address(CLIENT), "example.com", SENDER, "mail.example.com")
    replies = {dns(TXT): txt("v=spf1 a include:b.example mx exists:%{l}.x -ip4:192.0.2.7 include:c.example")}
    progress = follow(check_host(subject), replies)
    assert progress.wanted == tuple(map(dns, ("example.com A", "b.example TXT", "example.com MX")))
    replies[dns("example.com A")] = a(CLIENT)
    assert follow(check_host(subject), replies).outcome.result is Result.PASS
    replies[dns(TXT)] = txt("v=spf1 " + "include:x.example " * 20)
    assert len(follow(check_host(subject), replies).wanted) == 10


def test_missing_replies_can_stand_for_not_known():
    subject = SpfSubject(ip_address(CLIENT), "example.com", SENDER, "mail.example.com")
    assert follow(check_host(subject), {}, TIMEOUT).outcome.result is Result.TEMPERROR
    assert follow(check_host(subject), {dns(TXT): txt("v=spf1 -all exp=b.example")}, TIMEOUT).outcome.result is Result.FAIL


terms = st.sampled_from(
    ["a", "mx", "ptr", "exists:%{i}.x.example", "include:example.com", "include:b.example", "redirect=b.example", "-all", "+all",
     "moo", "a:%{p}.example", "exp=%{p}.why.example", "ip4:192.0.2.7", "ip6:2001:db8::/32", "a:%{s}.%{h}", "mx:%{l}.b.a/0//0"]
)  # fmt: skip
names = st.sampled_from(["example.com", "b.example", "mail.example.com", ".", "x"])
replies_to = (
    st.lists(terms, max_size=14).map(lambda words: txt("v=spf1 " + " ".join(words)))
    | st.lists(names, max_size=14).map(lambda found: mx(*found))
    | st.lists(names, max_size=14).map(lambda found: ptr(*found))
    | st.lists(st.binary(max_size=20), max_size=4).map(lambda rdatas: Records(tuple(rdatas), 60))
    | st.sampled_from([a(CLIENT), a(CLIENT6), NX, NODATA, TIMEOUT, SERVFAIL, Absent(True)])
)


@given(
    st.data(),
    st.sampled_from([CLIENT, CLIENT6]),
    st.text(max_size=12) | st.just("joe"),
    st.sampled_from(["example.com", "b.example"]) | st.text(max_size=20),
    st.text(max_size=20),
)
def test_evaluation_always_ends_within_its_limits(data, client, local, domain, helo):
    subject = SpfSubject(ip_address(client), domain, f"{local}@{domain}", helo)
    replies = {}
    while (progress := follow(check_host(subject), replies)).outcome is None:
        assert len(replies) <= 150
        assert all(labels(lookup.name) for lookup in progress.wanted)
        assert len(progress.wanted) <= 2 * bounds.MAX_SPF_TERMS
        replies[progress.wanted[0]] = data.draw(replies_to)
    assert progress.outcome.result in Result


# -- what a hostile domain costs


def test_the_records_of_one_check_are_bounded_together():
    """Ten of the longest cost a tenth of a second at each answer; nobody's mail needs them. One long one still counts."""
    long = f"v=spf1 {BLOCKS} -all"
    assert 15_000 < len(long) <= bounds.MAX_SPF_RECORD
    includes = " ".join(f"include:{each}.example" for each in "abcdefgh")
    records = {TXT: f"v=spf1 {includes} -all", **{f"{each}.example TXT": long for each in "abcdefgh"}}
    outcome, asked = checked(records)
    assert (outcome.result, outcome.problem) == (Result.PERMERROR, f"more than {bounds.MAX_SPF_TEXT} octets of records")
    assert len(asked) < 9
    two = {TXT: "v=spf1 include:a.example -all", "a.example TXT": long}
    assert checked(two)[0].result is Result.FAIL
    assert checked({TXT: long.replace("-all", "ip4:192.0.2.7 -all")})[0].result is Result.PASS


def test_the_longest_check_costs_little_more_than_an_ordinary_one():
    """Steps of a whole evaluation, its records read anew, as a factor of one of an ordinary size."""

    def cost(records):
        parse.forget()
        return steps_of(lambda: checked(records))

    assert cost(longest_spf("example.com")) < 100 * cost(ordinary_spf("example.com"))


def test_what_is_remembered_parsed_is_bounded_in_octets():
    parsed = Parsed(octets=3000)
    for number in range(50):
        text = b"v=spf1 ip4:192.0.2.%d " % number + b"a " * 400
        assert parsed(text) is parsed(text)
        assert parsed.held <= 3000
    assert isinstance(parsed(b"v=spf1 " + b"a " * 5000), Record)
    assert parsed.held < 11_000
