"""Zones of the generated tree whose delegation is broken: what servers' names, glue and NS sets can be wrong in."""

from __future__ import annotations

from typing import Any

from tests.lab.grower import FEW, Grower
from tests.lab.model import Zone

NAMES = 13
"""Names asked of each zone."""

ROUNDS = 3
"""Zones of each kind."""


def grow(tree: Grower) -> None:
    """Add every kind of broken delegation."""
    for _ in range(ROUNDS):
        for kind in _KINDS:
            kind(tree)
        _circles(tree)


def _zone(tree: Grower, kind: str, name: str, servers: tuple[str, ...], number: int = NAMES, **more: Any) -> None:
    tree.grow(Zone(name, servers, kind=kind, **more), True, number)


def _no_glue(tree: Grower) -> None:
    name = tree.domain()
    _zone(tree, "glue missing, no way in", name, (tree.good(name, "east"),), glue=False)


def _some_glue(tree: Grower) -> None:
    name = tree.domain()
    _zone(tree, "glue missing for one", name, (tree.good(name, "east"), *tree.company("east")[:1]), glue=False)


def _alias_servers(tree: Grower) -> None:
    for all_of_them in (True, False):
        name, company = tree.domain(), "west"
        alias = tree.nowhere(f"{tree.label()}.name-servers.net", company)
        _alias_record(tree, alias, tree.company(company)[0])
        servers = (alias,) if all_of_them else (alias, tree.company(company)[1])
        _zone(tree, f"NS is an alias ({'all' if all_of_them else 'one'})", name, servers)


def _alias_record(tree: Grower, alias: str, target: str) -> None:
    at = next(n for n, each in enumerate(tree.zones) if each.name == "name-servers.net")
    old = tree.zones[at]
    tree.zones[at] = Zone(old.name, old.servers, records=f"{old.records}{alias}. CNAME {target}.\n")


def _unnamed(tree: Grower) -> None:
    for all_of_them in (True, False):
        name = tree.domain()
        lost = tuple(tree.nowhere(f"{tree.label()}.name-servers.net") for _ in range(2))
        _zone(tree, f"NS does not exist ({'all' if all_of_them else 'some'})", name,
              lost if all_of_them else (*lost, *tree.any_company()))


def _many_unnamed(tree: Grower) -> None:
    name = tree.domain()
    lost = tuple(tree.nowhere(f"{tree.label()}.name-servers.net") for _ in range(10))
    _zone(tree, "NS does not exist (ten of twelve)", name, (*lost, *tree.any_company()))


def _circles(tree: Grower) -> None:
    left, right = tree.domain(), tree.domain()
    _zone(tree, "circular delegations", left, (tree.good(right, "north"),), glue=False)
    _zone(tree, "circular delegations", right, (tree.good(left, "south"),), glue=False)
    first, second = tree.domain(), tree.domain()
    _zone(tree, "circular delegations, one way in", first, (tree.good(second, "north"),), glue=False)
    _zone(tree, "circular delegations, one way in", second, (tree.good(first, "north"), tree.company("north")[0]), glue=False)
    around = [tree.domain() for _ in range(3)]
    for here, there in zip(around, (*around[1:], around[0]), strict=True):
        _zone(tree, "circular delegations, three zones", here, (tree.good(there, "east"),), glue=False)


def _half_dead(tree: Grower) -> None:
    name = tree.domain()
    dead = tuple(tree.server("silent", name, inside) for inside in (True, False))
    _zone(tree, "half of the servers dead", name, (*dead, *tree.any_company()))
    name = tree.domain()
    dead = (tree.server("closed", name, True), tree.server("silent", name, True), tree.server("SERVFAIL", name, True))
    _zone(tree, "three of four servers dead", name, (*dead, tree.company("west")[0]))


def _parent_differs(tree: Grower) -> None:
    east, west = tree.company("east"), tree.company("west")
    name = tree.domain()
    _zone(tree, "parent names other servers, all good", name, (*east, *west), delegated_to=west)
    name = tree.domain()
    _zone(tree, "parent names fewer servers", name, (*east, *west), delegated_to=east[:1])
    name = tree.domain()
    _zone(tree, "parent names a dead server more", name, east, delegated_to=(*east, tree.server("silent", name, False)))
    name = tree.domain()
    _zone(tree, "child names a dead server more", name, (*east, tree.server("silent", name, True)), delegated_to=east)
    name = tree.domain()
    _zone(tree, "child names one good, one silent; parent another good", name, (tree.server("silent", name, False), west[0]),
          delegated_to=west)
    name = tree.domain()
    lost = tree.nowhere(f"{tree.label()}.name-servers.net")
    _zone(tree, "child names a server that does not exist", name, (lost, *west), delegated_to=west)
    name = tree.domain()
    _zone(tree, "parent names dead servers only", name, west, FEW,
          delegated_to=(tree.server("silent", name, False), tree.server("closed", name, False)))


def _glue_differs(tree: Grower) -> None:
    name = tree.domain()
    servers = (tree.good(name, "south"), tree.good(name, "south"))
    _zone(tree, "glue of one server outdated", name, servers, glue_differs={servers[0]: ("45.66.250.1",)})
    name = tree.domain()
    servers = (tree.good(name, "south"),)
    _zone(tree, "glue outdated, no way in", name, servers, FEW, glue_differs={servers[0]: ("45.66.250.2",)})
    name = tree.domain()
    servers = (tree.good(name, "south"), tree.good(name, "south"))
    _zone(tree, "glue of one server is loopback", name, servers, glue_differs={servers[0]: ("127.0.0.1",)})


def _broken_aliases(tree: Grower) -> None:
    name = tree.domain()
    other = tree.domain()
    records, far = [], []
    for number in range(30):
        label = tree.label()
        if number % 3 == 0:                                     # in the zone: one to four names in a circle
            ring = [label, *(f"{label}{n}" for n in range(number // 3 % 4))]
            records += [f"{here} CNAME {there}" for here, there in zip(ring, (*ring[1:], ring[0]), strict=True)]
            kind = "CNAME loop"
        elif number % 3 == 1:
            records.append(f"{label} CNAME {label}.{other}.")
            far.append(f"{label} CNAME {label}.{name}.")
            kind = "CNAME loop across zones"
        else:
            records.append(f"{label} CNAME {label}.{tree.rng.choice(['nowhere.invalid-tld.', f'missing.{other}.'])}")
            kind = "CNAME to nothing"
        tree.ask(kind, f"{label}.{name}", tree.rng.choice(("A", "AAAA", "MX")), True)
    tree.zones += [Zone(name, tree.company("east"), "\n".join(records) + "\n"),
                   Zone(other, tree.company("west"), "\n".join(far) + "\n")]


def _lost_child(tree: Grower) -> None:
    """A good zone with a child that nobody serves: only names below the child fail."""
    name = tree.domain()
    servers = tree.company("north")
    tree.grow(Zone(name, servers), False, 3)
    lost = tree.nowhere(f"{tree.label()}.name-servers.net")
    _zone(tree, "child of a good zone is not served", f"lost.{name}", (lost,))


_KINDS = (_no_glue, _some_glue, _alias_servers, _unnamed, _many_unnamed, _half_dead, _parent_differs, _glue_differs,
          _broken_aliases, _lost_child)
