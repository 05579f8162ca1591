"""A fresh Debian, made from Debian's packages, and what happens in it: a root of its own in namespaces of its own.

The root is made once and kept in `CACHE`; every `Debian` writes to a layer above it that ends with its namespaces. The network is
a loopback interface, on which are the addresses of `ADDRESSES`; no packet leaves.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self

CACHE = Path("/var/cache/resolverd-tests")
INCLUDED = ("adduser", "libstdc++6", "postfix", Path("/usr/bin/python3").resolve().name)
"""What the package depends on, and the mail server."""

ADDRESSES = ("203.0.113.25", "192.0.2.7")
"""The mail server's and a client's, of the documentation networks (RFC 5737)."""

PROGRAMS = ("mmdebstrap", "unshare", "nsenter", "dh", "swaks")

_FURNISHED = """
set -e
mount --make-rprivate /
mount -t tmpfs tmpfs {scratch}
mkdir {scratch}/upper {scratch}/work {root}
mount -t overlay overlay -o lowerdir={lower},upperdir={scratch}/upper,workdir={scratch}/work {root}
mount -t proc proc {root}/proc
mount --rbind /dev {root}/dev
hostname mx.our-company.org
ip link set lo up
for address in {addresses}; do ip addr add $address/32 dev lo; done
printf '#!/bin/sh\\nexit 101\\n' >{root}/usr/sbin/policy-rc.d
chmod 755 {root}/usr/sbin/policy-rc.d
printf '127.0.0.1 localhost\\n127.0.1.1 mx.our-company.org mx\\n' >{root}/etc/hosts
echo ready    # and reap what is left behind, as the first process of a machine
sleep 600 & wait
"""


def what_is_missing() -> str:
    """Why there can be no such root on this machine; nothing if there can."""
    if os.geteuid():
        return "needs root"
    missing = [program for program in PROGRAMS if shutil.which(program) is None]
    return f"needs {', '.join(missing)} (tests/install-peers)" if missing else ""


def fresh_root() -> Path:
    """The root, made where there is none of this machine's release. Raises CalledProcessError, with what mmdebstrap said."""
    release = platform.freedesktop_os_release()["VERSION_CODENAME"]
    root = CACHE / f"{release}-{'-'.join(INCLUDED)}"
    if not root.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        made = root.with_name(f"{root.name}.new")
        shutil.rmtree(made, ignore_errors=True)
        words = ["mmdebstrap", "--quiet", "--variant=minbase", "--dpkgopt=force-unsafe-io", f"--include={','.join(INCLUDED)}"]
        subprocess.run([*words, release, made], check=True, capture_output=True, text=True, timeout=600)
        made.rename(root)
    return root


class Debian:
    """One machine. As a context it runs; what was started in it ends with it."""

    def __init__(self, lower: Path, scratch: Path) -> None:
        self._lower, self._scratch = lower, scratch
        self.root = scratch / "root"

    def __enter__(self) -> Self:
        script = _FURNISHED.format(lower=self._lower, scratch=self._scratch, root=self.root, addresses=" ".join(ADDRESSES))
        words = ["unshare", "--mount", "--net", "--pid", "--uts", "--ipc", "--fork", "--kill-child", "bash", "-c", script]
        self._holder = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
        assert self._holder.stdout is not None
        assert self._holder.stdout.readline() == "ready\n"
        # unshare's child is the first process of the namespaces; unshare itself stays without.
        self._inside = Path(f"/proc/{self._holder.pid}/task/{self._holder.pid}/children").read_text().split()[0]
        return self

    def __exit__(self, *_: object) -> None:
        self._holder.kill()
        self._holder.wait()
        assert self._holder.stdout is not None
        self._holder.stdout.close()

    def command(self, *words: str, chroot: bool = True) -> list[str]:
        """The words that run it there; without `chroot`, this machine's program on that network."""
        entered = ["nsenter", f"--target={self._inside}", "--mount", "--net", "--pid", "--uts", "--ipc"]
        return [*entered, *(["chroot", str(self.root)] if chroot else []), *words]

    def run(self, script: str, *, chroot: bool = True, status: int | None = 0) -> str:
        """What a shell's script says, both streams. Fails with that where its status is another (None: any)."""
        path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        environment = {"PATH": path, "LANG": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive", "HOME": "/root"}
        done = subprocess.run(
            self.command("bash", "-c", script, chroot=chroot), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, env=environment, timeout=120,
        )  # fmt: skip
        assert status is None or done.returncode == status, f"{script}\n-> {done.returncode}\n{done.stdout}"
        return done.stdout

    def write(self, path: str, text: str) -> None:
        """A file of it."""
        subprocess.run(self.command("tee", path), input=text, text=True, check=True, stdout=subprocess.DEVNULL, timeout=60)

    def install(self, package: Path, status: int = 0) -> str:
        """What dpkg says."""
        with package.open("rb") as file:
            subprocess.run(self.command("tee", "/tmp/it.deb"), stdin=file, stdout=subprocess.DEVNULL, check=True, timeout=60)
        return self.run("dpkg --force-confold -i /tmp/it.deb; status=$?; rm /tmp/it.deb; exit $status", status=status)

    def serves(self) -> str:
        """Start the daemon with the unit's own line, under its user, and give its process id there once it listens."""
        return self.run(
            """
            line=$(sed -n 's/^ExecStart=//p' /usr/lib/systemd/system/resolverd.service)
            : >/var/log/resolverd.log  # an earlier start has said the same
            setsid $line --user resolverd >/var/log/resolverd.log 2>&1 & daemon=$!
            for turn in $(seq 200); do
                ! grep -q 'try it' /var/log/resolverd.log || { echo $daemon; exit 0; }
                kill -0 $daemon || break
                sleep 0.1
            done
            cat /var/log/resolverd.log; exit 1
            """
        ).strip()

    def ends(self, daemon: str) -> None:
        """End a process of it, and wait until it has."""
        self.run(f"kill {daemon}; for turn in $(seq 100); do kill -0 {daemon} 2>/dev/null || exit 0; sleep 0.1; done; exit 1")


def comes(happens: Callable[[], bool], limit: float = 20.0) -> bool:
    """Whether a callable says true within so many seconds."""
    end = time.monotonic() + limit
    while not happens():
        if time.monotonic() > end:
            return False
        time.sleep(0.1)
    return True
