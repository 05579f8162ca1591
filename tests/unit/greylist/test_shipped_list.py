"""The senders that are never greylisted as shipped: what may stand there, and that the file is as it says."""

from datetime import date
from importlib.resources import files

import pytest

from resolverd.greylist.organisation import VerifiedDomains
from resolverd.greylist.shipped_list import ShippedList, read

FILE = files("resolverd.data").joinpath("greylist_allowed.toml")
ENTRY = 'why = "pool"\nsource = "https://example.net/1"\n'


def test_the_shipped_file():
    found = read(FILE.read_text("utf-8"))
    assert date(2026, 1, 1) < found.dated <= date(2027, 12, 31)
    assert len(found.hosts) > 20
    assert len(found.domains) > 10
    for line in FILE.read_text("utf-8").splitlines():
        assert not line.startswith("source") or line.startswith('source = "https://')


@pytest.mark.parametrize(
    ("proof", "held"),
    [
        (VerifiedDomains(hostname="mail-ed1-f41.google.com"), True),
        (VerifiedDomains(hostname="mail-eopbgr10051.outbound.protection.outlook.com"), True),
        (VerifiedDomains(hostname="a11-22.smtp-out.amazonses.com"), True),
        (VerifiedDomains(spf_domain="gmail.com"), True),
        (VerifiedDomains(hostname="google.com.example.net"), False),
        (VerifiedDomains(hostname="notgoogle.com"), False),
        (VerifiedDomains(spf_domain="example.com", hostname="mail.example.com"), False),
        (VerifiedDomains(), False),
    ],
)
def test_who_is_on_it(proof, held):
    assert read(FILE.read_text("utf-8")).holds(proof) is held
    assert not ShippedList().holds(proof)


@pytest.mark.parametrize(
    "text",
    [
        f'[[sender]]\nhosts = ["a.example"]\n{ENTRY}',
        f'dated = 2026-01-01\n[[sender]]\nhosts = ["com"]\n{ENTRY}',
        f'dated = 2026-01-01\n[[sender]]\nhosts = ["co.uk"]\n{ENTRY}',
        f'dated = 2026-01-01\n[[sender]]\nhosts = ["192.0.2.0"]\n{ENTRY}',
        f'dated = 2026-01-01\n[[sender]]\nnets = ["a.example"]\n{ENTRY}',
        'dated = 2026-01-01\n[[sender]]\nhosts = ["a.example"]\nwhy = "pool"\n',
        'dated = 2026-01-01\n[[sender]]\nhosts = ["a.example"]\nwhy = "nice"\nsource = "https://example.net"\n',
        "dated = ",
    ],
)
def test_what_may_not_stand_there(text):
    with pytest.raises(ValueError, match=r"."):
        read(text)
