"""Signed zones for the small internet of `scriptednet`: each answer with its signatures, each denial with its NSECs.

    net = SignedNet(tmp_path)
    zone = net.signed("example", {"ns.example": "192.5.6.30"}, "www A 193.0.0.1")
    resolver = net.resolver()
"""

from pathlib import Path
from typing import Any

import dns.dnssec
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rrset
from scriptednet import Message, Net, ScriptedResolver, Zone
from signing import DAY, Key, key
from virtualtime import VirtualClock

from resolverd.wire.ask import Ask
from resolverd.wire.dnssec import REVOKE

_NS, _SOA, _DS, _NSEC, _CNAME = (dns.rdatatype.from_text(each) for each in ("NS", "SOA", "DS", "NSEC", "CNAME"))


class SignedZone(Zone):
    """A zone that signs what it says with one key, as a well-behaved authority does (NSEC)."""

    def __init__(
        self, origin: str, text: str = "", algorithm: int = 13, number: int = 0, begins: float = -DAY, ends: float = 10 * DAY
    ):
        """Signatures count from `begins` to `ends` seconds after the virtual clock's start."""
        self.key: Key = key(algorithm, number)
        self._public = dns.rdata.from_wire(dns.rdataclass.IN, dns.rdatatype.DNSKEY, self.key.rdata, 0, len(self.key.rdata))
        self.co_signers: tuple[Key, ...] = ()
        """Keys that sign the zone's keys as well."""
        self._times = VirtualClock.WALL_START + begins, VirtualClock.WALL_START + ends
        super().__init__(origin, text)
        self.add(f"@ 3600 DNSKEY {self._public.to_text()}")

    @property
    def ds(self) -> str:
        """What its parent has of it."""
        return dns.dnssec.make_ds(self.origin, self._public, "SHA256").to_text()  # type: ignore[arg-type]

    def __call__(self, query: Message, ask: Ask) -> Message:
        out = super().__call__(query, ask)
        if not query.ednsflags & dns.flags.DO:
            return out
        name = query.question[0].name
        if not out.answer and not out.flags & dns.flags.AA and out.authority:
            cut = out.authority[0].name
            self._show(out.authority, self._records[cut].get(_DS) or self._nsec(cut))
            return out
        wanted = list(out.answer)
        out.answer = []
        for each in wanted:
            source = self._source(each.name)
            self._show(out.answer, each, source)
            if source != each.name:
                self._show(out.authority, self._covering(each.name))
        if not wanted and out.authority:
            soa, out.authority = out.authority, []
            self._show(out.authority, soa[0])
            names = [self._covering(name)] if name not in self._records else [self._nsec(name)]
            if name not in self._records:
                source = self._source(name)
                if out.rcode() == dns.rcode.NXDOMAIN:
                    names.append(self._covering(dns.name.Name((b"*", *self._encloser(name).labels))))
                elif source != name:
                    names.append(self._nsec(source))
            for nsec in {each.name: each for each in names}.values():
                self._show(out.authority, nsec)
        return out

    def _encloser(self, name: dns.name.Name) -> dns.name.Name:
        while not any(each.is_subdomain(name) for each in self._records):
            name = name.parent()
        return name

    def _source(self, name: dns.name.Name) -> dns.name.Name:
        """The owner at which it stands in the zone."""
        if name in self._records or any(each.is_subdomain(name) for each in self._records):
            return name
        wildcard = dns.name.Name((b"*", *self._encloser(name).labels))
        return wildcard if wildcard in self._records else name

    def _owners(self) -> list[dns.name.Name]:
        cuts = [name for name, types in self._records.items() if _NS in types and name != self.origin]
        return sorted(
            name for name in self._records if not any(name != cut and name.is_subdomain(cut) for cut in cuts)
        )

    def _nsec(self, owner: dns.name.Name) -> dns.rrset.RRset:
        owners = self._owners()
        following = owners[(owners.index(owner) + 1) % len(owners)]
        types = {*self._records[owner], _NSEC, dns.rdatatype.RRSIG}
        if _NS in types and owner != self.origin:
            types &= {_NS, _DS, _NSEC, dns.rdatatype.RRSIG}
        text = f"{following} {' '.join(dns.rdatatype.to_text(each) for each in sorted(types))}"
        return dns.rrset.from_text(owner, 300, "IN", "NSEC", text)

    def _covering(self, name: dns.name.Name) -> dns.rrset.RRset:
        return self._nsec(max((each for each in self._owners() if each < name), default=self._owners()[-1]))

    def _show(self, section: list[dns.rrset.RRset], rrset: dns.rrset.RRset, source: dns.name.Name | None = None) -> None:
        """Put it there with its signature; it may stand at another name (`source`) in the zone."""
        section.append(rrset)
        signed = dns.rrset.from_rdata_list(source or rrset.name, rrset.ttl, list(rrset))
        begins, ends = self._times
        others = self.co_signers if rrset.rdtype == dns.rdatatype.DNSKEY else ()
        publics = [(self.key, self._public), *((each, to_dnskey(each)) for each in others)]
        for signer, public in publics:
            made = dns.dnssec.sign(
                signed, signer.private, self.origin, public,  # type: ignore[arg-type]
                inception=int(begins), expiration=int(ends), policy=dns.dnssec.allow_all_policy, verify=False,
            )  # fmt: skip
            section.append(dns.rrset.from_rdata(rrset.name, rrset.ttl, made))

    def publish(self, *keys: Key) -> None:
        """Have these keys in the zone beside its own, and no others, with the TTL of the root's."""
        publics = [self._public, *map(to_dnskey, keys)]
        self._records[self.origin][dns.rdatatype.DNSKEY] = dns.rrset.from_rdata_list(self.origin, 172800, publics)

    def resign(self, begins: float, ends: float) -> None:
        """Sign from now on for other times (seconds after the virtual clock's start)."""
        self._times = VirtualClock.WALL_START + begins, VirtualClock.WALL_START + ends


def to_dnskey(key: Key) -> dns.rdata.Rdata:
    """Its public part, as dnspython has it."""
    return dns.rdata.from_wire(dns.rdataclass.IN, dns.rdatatype.DNSKEY, key.rdata, 0, len(key.rdata))


def revoked(key: Key) -> Key:
    """The key with its REVOKE bit (RFC 5011 §2.1)."""
    return Key(key.private, (int.from_bytes(key.rdata[:2]) | REVOKE).to_bytes(2) + key.rdata[2:])


class SignedNet(Net):
    """A net whose root is signed, and that resolvers in front of it trust."""

    def __init__(self, folder: Path, **root: Any):
        super().__init__()
        self.folder = folder
        self.root = SignedZone(".", **root)
        self.serve("198.41.0.4", self.root)

    def signed(self, origin: str, servers: dict[str, str], text: str = "", parent: Zone | None = None, **how: Any) -> SignedZone:
        """A signed zone, delegated with its DS."""
        parent = parent or self.root
        zone = self.zone(origin, servers, parent=parent)
        signed = SignedZone(origin, **how)
        for name, types in zone._records.items():
            for rtype, rrset in types.items():
                if rtype != _SOA:
                    signed._records.setdefault(name, {})[rtype] = rrset
        signed.add(text)
        for address in servers.values():
            self.serve(address, signed)
        parent.add(f"{origin}. 3600 DS {signed.ds}")
        return signed

    def resolver(self, **changes: Any) -> ScriptedResolver:
        """A resolver that validates from the root down."""
        assert isinstance(self.root, SignedZone)
        anchors = self.folder / "anchors"
        anchors.write_text(f". 3600 DS {self.root.ds}\n")
        return ScriptedResolver(self, self.folder, trust_anchors=anchors, **changes)


async def ask(resolver: ScriptedResolver, name: str, rtype: str = "A", *, do: bool = True, cd: bool = False) -> Message:
    """The reply to a client that wants DNSSEC; with `cd`, to one that validates itself."""
    query = dns.message.make_query(name, rtype, use_edns=0, want_dnssec=do, id=1)
    query.flags |= dns.flags.CD if cd else 0
    data = await resolver.stack.ask(query.to_wire(), udp=False)
    assert data is not None
    return dns.message.from_wire(data)


def ad(reply: Message) -> bool:
    """Whether it says that it is authentic."""
    return bool(reply.flags & dns.flags.AD)
