"""Zones of the generated tree that are odd but sound: every resolver must get them right."""

from __future__ import annotations

from ipaddress import IPv6Address

from tests.lab.grower import COMPANIES, Grower
from tests.lab.model import Zone

_LONG = "l" * 63


def grow(tree: Grower) -> None:
    """Add every kind of oddity."""
    for each in (_chains, _chains_across, _dnames, _unusual, _deep, _large, _hollow, _wild, _families, _nested, network,
                 _no_glue):
        for _ in range(3):
            each(tree)


def _chains(tree: Grower) -> None:
    name, records = tree.domain(), ["end A 45.22.0.1", "end MX 10 end"]
    for length in (2, 3, 4, 5, 6, 8, 9, 10, 11, 12, 14, 17):
        for rdtype in ("A", "MX", "TXT"):
            label = tree.label()
            records += [f"{label}{n or ''} CNAME {f'{label}{n + 1}' if n + 1 < length else 'end'}" for n in range(length)]
            kind = "CNAME chain" if length <= 8 else "CNAME chain of 9 to 11" if length <= 11 else "CNAME chain of 12 to 17"
            tree.ask(kind, f"{label}.{name}", rdtype, False)
    tree.zones.append(Zone(name, tree.any_company(), "\n".join(records) + "\n"))


def _chains_across(tree: Grower) -> None:
    names = [tree.domain() for _ in COMPANIES]
    records: dict[str, list[str]] = {name: [] for name in names}
    records[names[0]] += ["end A 45.22.1.1", "end AAAA 2a00:45:22::1"]
    for length in (2, 3, 4, 5, 6, 8, 9, 10, 11, 12, 14):
        for rdtype in ("A", "AAAA", "MX"):
            label = tree.label()
            for n in range(length):
                here, there = names[n % 4], names[(n + 1) % 4]
                target = f"{label}{n + 1}.{there}." if n + 1 < length else f"end.{names[0]}."
                records[here].append(f"{label}{n or ''} CNAME {target}")
            kind = "CNAME chain across zones" if length <= 8 else f"CNAME chain of {length} across zones"
            tree.ask(kind, f"{label}.{names[0]}", rdtype, False)
    tree.zones += [Zone(name, tree.company(company), "\n".join(records[name]) + "\n")
                   for name, company in zip(names, COMPANIES, strict=True)]


def _dnames(tree: Grower) -> None:
    name, other = tree.domain(), tree.domain()
    records, far = [f"old DNAME new.{name}.", f"away DNAME {other}.", f"twice DNAME old.{name}."], []
    for _ in range(12):
        label = tree.label()
        records.append(f"{label}.new A 45.22.2.1")
        far.append(f"{label} A 45.22.2.2")
        tree.ask("DNAME", f"{label}.{tree.rng.choice(('old', 'away', 'twice'))}.{name}", tree.rng.choice(("A", "A", "MX")), False)
        tree.ask("DNAME", f"{tree.label()}.old.{name}", "A", False)
    tree.ask("DNAME", f"old.{name}", "DNAME", False)
    tree.ask("DNAME", f"away.{name}", "A", False)
    long = ".".join([_LONG, _LONG, _LONG, "m" * (253 - 3 * 64 - len(f".old.{name}") - 1)])
    tree.ask("DNAME", f"{long}.old.{name}", "A", False)
    tree.zones += [Zone(name, tree.company("east"), "\n".join(records) + "\n"),
                   Zone(other, tree.company("west"), "\n".join(far) + "\n")]


def _unusual(tree: Grower) -> None:
    name = tree.domain()
    owners = [_LONG, ".".join([_LONG] * 3), "MiXeD.CaSe", "xn--bcher-kva", "_a._b._tcp", r"with\046dot", r"with\032space",
              r"\255\000bytes", "1.2.3.4", "-dash-", "under_score", r"star\042", "*.literal", r"\@at", r"\"quote",
              r"semi\;colon", r"back\\slash", r"\(paren\)", "x" * 40 + ".y", ".".join("abcdefghijklmnopqrstuvwxyz")]
    for owner in owners:
        tree.ask("unusual labels", f"{owner}.{name}", "A", False)
    tree.zones.append(Zone(name, tree.any_company(), "\n".join(f"{owner} A 45.22.3.1" for owner in owners) + "\n"))


def _deep(tree: Grower) -> None:
    name = top = tree.domain()
    for level in range(6):
        tree.grow(Zone(name, tree.company(COMPANIES[level % 4]), kind="deep"), False, 3, "AAXD")
        name = f"{tree.label()}.{name}"
    for labels in (10, 20, 40):
        for rdtype in ("A", "TXT"):
            tree.ask("deep names", ".".join(["d"] * labels) + f".deep{labels}.{top}", rdtype, False)
    at = next(n for n, each in enumerate(tree.zones) if each.name == top)
    old = tree.zones[at]
    more = "".join(f"{'.'.join(['d'] * labels)}.deep{labels} A 45.22.4.1\n" for labels in (10, 20, 40))
    tree.zones[at] = Zone(old.name, old.servers, old.records + more)


def _large(tree: Grower) -> None:
    name, records = tree.domain(), []
    for number in (30, 60, 90, 150, 400, 1500):
        label = tree.label()
        records += [f"{label} A 45.23.{each // 250}.{each % 250 + 1}" for each in range(number)]
        records += [f"{label} MX {each} mx{each}.{label}" for each in range(number // 5)]
        records.append(f"{label} TXT " + " ".join(['"' + "t" * 250 + '"'] * (number // 10)))
        for rdtype in ("A", "MX", "TXT"):
            tree.ask("large RRset" if number <= 150 else "very large RRset", f"{label}.{name}", rdtype, False)
    tree.zones.append(Zone(name, tree.any_company(), "\n".join(records) + "\n"))


def _hollow(tree: Grower) -> None:
    tree.grow(Zone(tree.domain(), tree.any_company()), False, 30, "Ee")


def _wild(tree: Grower) -> None:
    name = tree.domain()
    for _ in range(30):
        label, branch = tree.label(), tree.rng.choice(("w", "c", "m", "exact.w", "a.b.w", "ent.w"))
        tree.ask("wildcard", f"{label}.{branch}.{name}", tree.rng.choice(("A", "A", "MX", "TXT")), False)
    tree.zones.append(Zone(name, tree.any_company(), (
        "*.w A 45.22.5.1\n*.w TXT \"wild\"\n*.c CNAME exact.w\n*.m MX 10 exact.w\nexact.w A 45.22.5.2\nx.ent.w A 45.22.5.3\n")))


def _families(tree: Grower) -> None:
    for families in ("4", "6"):
        name = tree.domain()
        servers = (tree.good(name, "north", families=families),)
        tree.grow(Zone(name, servers), False, 10)


def _nested(tree: Grower) -> None:
    """Parent and child on the same server: no referral in between."""
    name, company = tree.domain(), tree.any_company()
    tree.grow(Zone(name, company), False, 5)
    tree.grow(Zone(f"child.{name}", company), False, 5)
    tree.grow(Zone(f"a.b.c.{name}", company), False, 5)


def _no_glue(tree: Grower) -> None:
    """Servers in zones whose servers are in other zones again."""
    names = [tree.domain() for _ in range(3)]
    servers = tree.company("south")
    for name in names:
        tree.grow(Zone(name, servers), False, 8)
        servers = (tree.good(name, "south"), tree.good(name, "south"))


def network(tree: Grower) -> None:
    """Reverse zones, whose names exist with their addresses."""
    name = tree.domain()
    number = sum(zone.name.endswith(".45.in-addr.arpa") for zone in tree.zones)
    reverse, forward = [], []
    for last in range(1, 41):
        label = tree.label()
        forward += [f"{label} A 45.200.{number}.{last}", f"{label} AAAA 2a00:45:200:{number}::{last:x}"]
        reverse.append(f"{last} PTR {label}.{name}.")
        tree.ask("PTR", f"{last}.{number}.200.45.in-addr.arpa", "PTR", False)
        tree.ask("A", f"{label}.{name}", "A", False)
        tree.ask("PTR", f"{last + 100}.{number}.200.45.in-addr.arpa", "PTR", False)
    six = IPv6Address(f"2a00:45:200:{number}::").reverse_pointer.split(".", 16)[16]
    pointers = []
    for last in range(1, 21):
        full = IPv6Address(f"2a00:45:200:{number}::{last:x}").reverse_pointer
        pointers.append(f"{full}. PTR host{last}.{name}.")
        tree.ask("PTR of IPv6", full, "PTR", False)
        tree.ask("PTR of IPv6", IPv6Address(f"2a00:45:200:{number}:1::{last:x}").reverse_pointer, "PTR", False)
    company = tree.any_company()
    tree.zones += [
        Zone(name, company, "\n".join(forward) + "\n"),
        Zone(f"{number}.200.45.in-addr.arpa", company, "\n".join(reverse) + "\n"),
        Zone(six, company, "\n".join(pointers) + "\n"),
    ]
