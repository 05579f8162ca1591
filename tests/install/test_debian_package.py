"""The Debian package in a fresh Debian: installed, run, edited, upgraded, downgraded, removed, installed again, purged."""

import subprocess
from pathlib import Path

from debian import Debian

INSTALL = Path(__file__).parents[2] / "contrib" / "install"
CONFIG = "/etc/resolverd/config.toml"

DPKGS_OWN = (
    "/var/lib/dpkg/", "/var/cache/", "/var/log/dpkg.log", "/run/adduser",
    "/etc/passwd-", "/etc/group-", "/etc/shadow-", "/etc/gshadow-",
)
"""What dpkg and adduser leave behind whatever is installed."""


def _newer(package: Path, folder: Path) -> Path:
    """The same as a later version, with another configuration to begin with."""
    subprocess.run(["dpkg-deb", "-R", package, folder / "tree"], check=True, timeout=60)
    control, config = folder / "tree" / "DEBIAN" / "control", folder / "tree" / CONFIG[1:]
    control.write_text(control.read_text().replace("\nVersion: ", "\nVersion: 9:"))
    config.write_text(config.read_text() + "# said by the later version\n")
    words = ["dpkg-deb", "-Znone", "-b", folder / "tree", folder / "newer.deb"]
    subprocess.run(words, check=True, capture_output=True, timeout=60)
    return folder / "newer.deb"


def _files(debian: Debian) -> set[str]:
    return set(debian.run("find / -xdev ! -path '/tmp/*'").splitlines())


def test_from_installation_to_purge(debian: Debian, package: Path, tmp_path: Path) -> None:
    before = _files(debian)
    said = debian.install(package)
    assert "warning" not in said.lower()
    assert debian.run("dpkg --audit; dpkg --verify resolverd") == ""
    shown = debian.run(
        f"""
        stat -c '%n %a %U:%G' {CONFIG} /var/lib/resolverd /opt/resolverd/bin/resolverd
        getent passwd resolverd | cut -d: -f6,7
        readlink -f /usr/bin/resolverd /etc/systemd/system/multi-user.target.wants/resolverd.service
        ls /usr/lib/systemd/system/resolverd*
        ls /usr/share/bash-completion/completions/resolverd /usr/share/zsh/site-functions/_resolverd
        dpkg-query -W -f '${{Conffiles}}' resolverd | cut -d' ' -f2
        """
    ).splitlines()
    for expected in (
        f"{CONFIG} 640 root:resolverd",
        "/var/lib/resolverd 700 resolverd:resolverd",
        "/opt/resolverd/bin/resolverd 755 root:root",
        "/var/lib/resolverd:/usr/sbin/nologin",
        "/opt/resolverd/bin/resolverd",
        "/usr/lib/systemd/system/resolverd.service",
        "/usr/lib/systemd/system/resolverd.socket",
        "/usr/lib/systemd/system/resolverd-policy.socket",
        "/usr/share/bash-completion/completions/resolverd",
        "/usr/share/zsh/site-functions/_resolverd",
        CONFIG,
    ):
        assert expected in shown
    # Nothing that runs knows where it was made, and the sockets wait for the administrator.
    run_from = "/opt/resolverd /usr/lib/systemd /etc/resolverd"
    assert debian.run(f"grep -rl --exclude=direct_url.json -e '/tmp/tmp\\.' {run_from}", status=1) == ""
    assert debian.run("find /etc/systemd -name 'resolverd*.socket'") == ""

    debian.write("/tmp/install", INSTALL.read_text())
    assert "apt remove resolverd" in debian.run("sh /tmp/install", status=1), "make install over the package"

    daemon = debian.serves()
    assert "CapEff:\t0000000000000000\n" in debian.run(f"cat /proc/{daemon}/status")
    assert debian.run(f"stat -c %U /proc/{daemon}") == "resolverd\n"
    debian.run("resolverd allow 192.0.2.7 --reason 'kept through all of it'; resolverd config check; resolverd --version")
    debian.ends(daemon)
    token = debian.run("cat /var/lib/resolverd/token")

    debian.run(f"echo '# mine' >>{CONFIG}")
    mine = f"cat {CONFIG} /var/lib/resolverd/token; stat -c '%a %U:%G' {CONFIG} /var/lib/resolverd"
    kept = debian.run(mine)
    assert kept.endswith(f"# mine\n{token}640 root:resolverd\n700 resolverd:resolverd\n")
    newer = _newer(package, tmp_path)
    debian.install(newer)
    assert debian.run("dpkg-query -W -f '${Version}' resolverd").startswith("9:")
    assert debian.run(mine) == kept
    assert debian.run(f"tail -n 1 {CONFIG}.dpkg-dist") == "# said by the later version\n"
    assert "downgrading" in debian.install(package)
    assert debian.run(mine) == kept

    debian.run("dpkg --remove resolverd")
    assert debian.run(mine) == kept
    assert debian.run("ls -d /opt/resolverd /usr/bin/resolverd /usr/lib/systemd/system/resolverd* 2>/dev/null", status=2) == ""
    debian.install(package)
    assert debian.run(mine) == kept
    daemon = debian.serves()
    assert "kept through all of it" in debian.run("resolverd overrides --json")
    debian.ends(daemon)

    debian.run("dpkg --purge resolverd; rm /var/log/resolverd.log")
    left = {each for each in _files(debian) - before if not each.startswith(DPKGS_OWN)}
    assert left == set()
    assert "resolverd" not in debian.run("dpkg-query -W")
    assert debian.run("getent passwd resolverd | cut -d: -f7") == "/usr/sbin/nologin\n"

    # What `make install` made stays alone.
    debian.run("mkdir -p /opt/resolverd && touch /opt/resolverd/pyvenv.cfg")
    assert "make uninstall" in debian.install(package, status=1)
    assert debian.run("ls /opt/resolverd") == "pyvenv.cfg\n"
