"""Reading what the doctor judges: Postfix's files, the name servers', the files that the configuration names, and the daemon."""

import time
from pathlib import Path
from typing import Final

from resolverd.cli.daemon import DaemonClient, Refused
from resolverd.cli.options import CommandError
from resolverd.config import Settings
from resolverd.config.files import read_text
from resolverd.ops.doctor import Machine
from resolverd.ops.doctor.machine import map_path

MAIN_CF: Final = Path("/etc/postfix/main.cf")
RESOLV_CONF: Final = Path("/etc/resolv.conf")


def read(settings: Settings, file: Path | None, main_cf: Path | None) -> Machine:
    """What there is of it; `file`: the configuration; a `main_cf` that is named must be there. Raises CommandError."""
    from resolverd.app import named_files

    path = main_cf or MAIN_CF
    main = _text(path)
    if main is None and main_cf is not None:
        raise CommandError(f"{path} cannot be read")
    faults = tuple(map(str, (*named_files.read(settings).faults, *named_files.of_zones(settings, file, time.time()))))
    daemon = DaemonClient(settings)
    running, lists, not_ready, remarks = _asked(daemon)
    store_fault, shared_fault = _store_faults(daemon) if running else ("", "")
    first = Machine(settings, main, _text(path.parent / "master.cf"))
    queue = first.postfix.queue_directory if first.postfix is not None else ""
    maps = {map_path(each.argument) for smtpd in first.smtpds for each in smtpd.all if each.map_kind}
    return Machine(
        settings,
        first.main,
        first.master,
        resolv=_text(RESOLV_CONF),
        chroot_resolv=_text(Path(queue) / "etc/resolv.conf") if queue else None,
        maps={file: text for file in maps if (text := _text(file)) is not None},
        file_faults=faults,
        daemon=running,
        lists=lists,
        not_ready=not_ready,
        remarks=remarks,
        store_fault=store_fault,
        shared_fault=shared_fault,
    )


def _text(path: Path) -> str | None:
    try:
        return read_text(path)[0]
    except OSError:
        return None


def _asked(daemon: DaemonClient) -> tuple[bool, tuple[dict[str, object], ...], str, tuple[str, ...]]:
    """Whether the daemon answers, how its lists fare, why it cannot resolve names, and what is wrong where it can."""
    try:
        daemon.get("healthz")
    except CommandError:
        return False, (), "", ()
    not_ready, remarks = "", ()
    try:
        remarks = tuple(daemon.get("readyz").get("remarks", ()))
    except Refused as problem:
        not_ready = problem.message
    except CommandError:
        pass
    try:
        return True, tuple(daemon.get("v1", "lists")["lists"]), not_ready, remarks
    except CommandError:
        return True, (), not_ready, remarks


def _store_faults(daemon: DaemonClient) -> tuple[str, str]:
    """What is wrong with the host's own store, and with the server that it shares."""
    try:
        status = daemon.get("v1", "status")
        fleet = status["fleet"]
        return str(status["store"]["fault"]), "" if fleet is None else str(fleet["store"]["fault"])
    except (CommandError, LookupError, TypeError):
        return "", ""
