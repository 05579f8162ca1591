"""What the wheel carries: root hints and trust anchors, held against Debian's where that is installed."""

import hashlib
import re
from importlib.resources import files
from pathlib import Path

import dns.dnssec
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import pytest

from resolverd.app.resolver import root_hints
from resolverd.resolver.local import master_file
from resolverd.wire import codes
from resolverd.wire.names import ROOT, lower, to_text

DEBIAN = Path("/usr/share/dns")
SHIPPED = files("resolverd.data")
DS = {
    20326: "E06D44B80B8F1D39A95C0B0D7C65D08458E880409BBC683457104237C7F8EC8D",
    38696: "683D2D0ACB8C9B712A1948B27F741219298D0A450D612C483AF444A4C0FB2B16",
}


def test_thirteen_root_servers_with_both_families() -> None:
    hints = root_hints(None)
    assert [to_text(name) for name, _ in hints.servers] == [f"{letter}.root-servers.net." for letter in "abcdefghijklm"]
    assert all(sorted(address.version for address in addresses) == [4, 6] for _, addresses in hints.servers)


def anchors(text: str) -> dict[int, str]:
    found = {}
    for line in text.splitlines():
        if match := re.match(r"\.\s+(?:\d+\s+)?IN\s+DNSKEY\s+([^;]+)", line):
            key = dns.rdata.from_text(dns.rdataclass.IN, dns.rdatatype.DNSKEY, match.group(1))
            found[dns.dnssec.key_id(key)] = hashlib.sha256(b"\0" + key.to_wire()).hexdigest().upper()  # RFC 4034 §5.1.4
    return found


def test_trust_anchors_are_the_roots_two_keys() -> None:
    assert anchors(SHIPPED.joinpath("root.key").read_text()) == DS


@pytest.mark.skipif(not DEBIAN.is_dir(), reason="Debian's dns-root-data is not installed (tests/install-peers)")
def test_as_debian_has_them() -> None:
    def addresses(text: str) -> set[tuple[bytes, bytes]]:
        rrsets = master_file.parse(text, ROOT)
        return {(lower(each.owner), data) for each in rrsets if each.rtype in (codes.A, codes.AAAA) for data in each.rdatas}

    assert addresses(SHIPPED.joinpath("root.hints").read_text()) == addresses((DEBIAN / "root.hints").read_text())
    assert anchors(SHIPPED.joinpath("root.key").read_text()) == anchors((DEBIAN / "root.key").read_text())
