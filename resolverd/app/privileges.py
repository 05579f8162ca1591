"""Becoming a user without rights, once what needs root's has been done: bound ports, a state directory made.

For a start without systemd, whose unit has no root to drop. Whatever would stay is looked for, and is an error: a daemon that
strangers send packets to has no use for it.
"""

import os
import pwd
from pathlib import Path
from typing import NamedTuple

_SETS = ("CapInh:", "CapPrm:", "CapEff:", "CapAmb:")
"""Of /proc/PID/status: capabilities that a thread has or may take (capabilities(7)); what bounds them gives none."""


class PrivilegeError(Exception):
    """Root cannot be dropped, or would not be gone; the message says what to type."""


class Account(NamedTuple):
    """A user to become, with the groups that it belongs to."""

    name: str
    user: int
    group: int
    groups: tuple[int, ...]


def account(name: str) -> Account:
    """The account of this name. Raises PrivilegeError if there is none, or if this process may not become it."""
    try:
        found = pwd.getpwnam(name)
    except KeyError:
        make = f"adduser --system --group --no-create-home {name}"
        raise PrivilegeError(f"--user {name}: there is no such user; on Debian make one with: {make}") from None
    if os.geteuid() not in (0, found.pw_uid):
        who = f"only root can become another user, and this is user {os.geteuid()}"
        raise PrivilegeError(f"--user {name}: {who}; start it as root, or as {name} without --user")
    return Account(name, found.pw_uid, found.pw_gid, tuple(os.getgrouplist(name, found.pw_gid)))


def become(wanted: Account, *, keep_capabilities: bool = False) -> None:
    """Be this user from now on, with its groups and nothing of root's. Raises PrivilegeError where something of it stays.

    Groups first, as only root may set them; all three ids, so that there is no way back (setresuid(2)).
    """
    if os.geteuid() == 0:
        os.setgroups(wanted.groups)
        os.setresgid(wanted.group, wanted.group, wanted.group)
        os.setresuid(wanted.user, wanted.user, wanted.user)
    if set(os.getresuid()) != {wanted.user} or (held() and not keep_capabilities):
        raise PrivilegeError(
            f"--user {wanted.name}: the process keeps capabilities of root's ({held():#x}): is {wanted.name} root, or are "
            "they ambient? To go on with them all the same, add --keep-capabilities"
        )
    for file in (os.__file__, __file__):
        if not os.access(file, os.R_OK):
            raise PrivilegeError(
                f"--user {wanted.name}: {Path(file).parent} cannot be read by that user, and parts of it are loaded when they "
                "are needed: install resolverd where everybody may read it, as `make install` does"
            )


def held() -> int:
    """The capabilities of this process, as a bit set; 0 is none."""
    found = 0
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(_SETS):
            found |= int(line.split()[1], 16)
    return found


def make_directory(directory: Path, owner: Account) -> None:
    """A state directory that is missing, owned by who is to work there. What stands there already is never given away.

    Raises OSError.
    """
    if not directory.exists():
        directory.mkdir(mode=0o700, parents=True)
        os.chown(directory, owner.user, owner.group)
