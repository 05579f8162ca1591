"""``resolverd status``: the daemon at a glance."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import click

from resolverd import config as configuration
from resolverd.cli import output
from resolverd.cli.daemon import DaemonClient
from resolverd.cli.options import config_option, json_option

_LABEL = 9
_NAMED: Final = 8
"""Hosts that are named; of more it is said how many they are. Those that are silent stand among what is wrong."""
_SEVERITY: Final = ("accept", "greylist", "defer", "reject")


@click.command("status")
@json_option
@config_option
def command(as_json: bool, config: Path | None) -> None:
    """The daemon at a glance, and what is wrong with it.

    Since when it is up, what it has answered, how lists, cache, greylist and store fare. Counts are since the start. What is
    wrong with the mail server around it: `resolverd doctor`.
    """
    settings = configuration.load(config)
    daemon = DaemonClient(settings)
    found = daemon.get("v1", "status")
    file = configuration.find(config)
    found["configuration"] = str(file.absolute()) if file else None
    directory = settings.state_directory()
    found["state_directory"] = str(directory) if directory else None
    if as_json:
        output.print_json(found)
        return
    for name, text in _lines(found):
        output.print_text(text, label=f"{name:<{_LABEL}} ")
    name, colour = "wrong", "red" if found["problems"] else "green"
    for problem in found["problems"] or ["nothing"]:
        output.print_text(problem, label=f"{name:<{_LABEL}} ", colour=colour)
        name = ""
    if found["problems"]:
        output.print_text("resolverd doctor says what to type, the log has more", label=f"{'next':<{_LABEL}} ")


def _lines(found: dict[str, Any]) -> Iterator[tuple[str, str]]:
    yield "resolverd", f"{found['version']}, up {output.seconds(found['uptime'])}, since {output.moment(found['started'])}"
    questions = found["questions"]
    cached = "" if questions["cached"] is None else f", {100 * questions['cached']:.0f} % of them from the cache"
    others = [f"{questions[what]} {what}" for what in ("refused", "limited", "dropped") if questions[what]]
    yield "answered", "; ".join([f"{questions['answered']} questions{cached}", *others])
    yield "verdicts", ", ".join(f"{action} {found['verdicts'][action]}" for action in _SEVERITY)
    yield "lists", _of_lists(found["lists"])
    cache = found["cache"]
    size = f"{output.size(cache['bytes'])} of {output.size(cache['max_bytes'])}"
    yield "cache", f"{cache['records']} records, {cache['packets']} replies, {size}"
    yield "greylist", _of_greylist(found["greylist"])
    yield "store", _of_store(found["store"], found["state_directory"])
    if found["fleet"] is not None:
        yield "fleet", _of_fleet(found["fleet"])
    yield "config", found["configuration"] or "by the built-in defaults"


def _of_fleet(fleet: dict[str, Any]) -> str:
    store, hosts = fleet["store"], fleet["hosts"]
    server = f" ({store['server']})" if store["server"] else ""
    times = "" if store["slow_ms"] is None else f", reads p99 {store['slow_ms']:.1f} ms"
    waiting = f", {store['waiting']} to be written" if store["waiting"] else ""
    share = "share" if len(hosts) > 1 else "shares"
    health = "in trouble" if store["fault"] else "healthy"
    return f"{_of_hosts(hosts)} {share} {store['url']}{server}, {health}{times}{waiting}"


def _of_hosts(hosts: list[dict[str, Any]]) -> str:
    """Their names, or how many they are; their versions, where they have several."""
    versions = sorted({host["version"] for host in hosts})
    if len(hosts) > _NAMED:
        silent = sum(not host["alive"] for host in hosts)
        quiet = f", {silent} of them silent," if silent else ""
        return f"{len(hosts)} hosts{quiet}" + (f" of versions {', '.join(versions)}" if len(versions) > 1 else "")
    texts = []
    for host in hosts:
        version = f" {host['version']}" if len(versions) > 1 else ""
        texts.append(f"{host['name']}{version}{'' if host['alive'] else ' (silent)'}")
    return ", ".join(texts)


def _of_lists(lists: dict[str, Any]) -> str:
    trouble = [f"{each['id']} {each['state']}" for each in lists["trouble"]]
    return ", ".join([f"{lists['ok']} of {lists['enabled']} ok", *trouble]) if lists["enabled"] else "none in use"


def _of_greylist(greylist: dict[str, Any] | None) -> str:
    if greylist is None:
        return "cannot be read"
    least = "" if greylist["complete"] else "at least "
    counts = ", ".join(f"{least}{greylist[what]} {what}" for what in ("waiting", "passed"))
    return f"{counts} (triplets)" if greylist["enabled"] else f"off; {counts}"


def _of_store(store: dict[str, Any], directory: str | None) -> str:
    size = f", {output.size(store['bytes'])}" if store["bytes"] is not None else ""
    health = store["fault"] or ("set aside as damaged" if store["set_aside"] else "healthy")
    return f"{directory or 'in memory, kept nowhere'}{size}, {health}"
