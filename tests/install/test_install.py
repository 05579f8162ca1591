"""``make install`` and ``make uninstall``, on a copy of this machine's directories that ends with its mount namespace."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="installs as root"),
    pytest.mark.skipif(Path("/opt/resolverd").exists(), reason="resolverd is installed on this machine; that one stays alone"),
    pytest.mark.skipif(shutil.which("unshare") is None, reason="needs a mount namespace"),
]


@pytest.fixture(scope="module", autouse=True)
def _index(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Leave it out where pip has no package index to build with; a build server must have one."""
    words = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", tmp_path_factory.mktemp("index"), "setuptools>=77"]
    if subprocess.run(words, capture_output=True, timeout=120).returncode:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("pip finds no package index")


IN_A_COPY = """
set -e
mount --make-rprivate /
mount -t tmpfs tmpfs {scratch}
for each in /etc /opt /var/lib /usr/local; do
    upper={scratch}/$(echo $each | tr / _); mkdir -p $upper/upper $upper/work
    mount -t overlay overlay -o lowerdir=$each,upperdir=$upper/upper,workdir=$upper/work $each
done
cd {root}
{script}
"""

INSTALLED = """
make install
stat -c '%n %a %U:%G' /etc/resolverd/config.toml /var/lib/resolverd
readlink /usr/local/bin/resolverd
/opt/resolverd/bin/python -c 'import redis; print("servers can be shared")'
getent passwd resolverd | cut -d: -f7
ls /etc/systemd/system | grep resolverd
ls /usr/local/share/man/man1/resolverd.1 /usr/local/share/man/man5/resolverd-config.5
sed -i 's/:53"/:0"/g; s/:10023"/:0"/; s/:8053"/:0"/' /etc/resolverd/config.toml
cd /
resolverd serve --user resolverd 2>{scratch}/log & daemon=$!
for turn in $(seq 100); do ! grep -q 'try it' {scratch}/log || break; sleep 0.1; done
grep -o 'user .*' {scratch}/log
grep CapEff /proc/$daemon/status
resolverd overrides --json
kill $daemon; wait $daemon
cd {root}
echo '# mine' >>/etc/resolverd/config.toml
make install >/dev/null
tail -n 1 /etc/resolverd/config.toml
make uninstall >/dev/null
echo left: $(ls -d /opt/resolverd /usr/local/bin/resolverd /etc/systemd/system/resolverd* 2>/dev/null) \
    $(find /usr/local/share -name '*resolverd*') $(ls /etc/resolverd) $(ls /var/lib/resolverd)
"""


def test_from_install_to_uninstall(tmp_path: Path) -> None:
    text = IN_A_COPY.replace("{script}", INSTALLED).replace("{scratch}", str(tmp_path)).replace("{root}", str(ROOT))
    done = subprocess.run(["unshare", "--mount", "bash", "-c", text], capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    for expected in (
        "/etc/resolverd/config.toml 640 root:resolverd",
        "/var/lib/resolverd 700 resolverd:resolverd",
        "/opt/resolverd/bin/resolverd",
        "servers can be shared",
        "/usr/sbin/nologin",
        "resolverd.service",
        "resolverd.socket",
        "resolverd-policy.socket",
        "/usr/local/share/man/man1/resolverd.1",
        "/usr/local/share/man/man5/resolverd-config.5",
        "user     resolverd",
        "CapEff:\t0000000000000000",
        "# mine",
        "left: config.toml cache.sqlite lock store token",
    ):
        assert expected in lines, done.stdout
    assert not Path("/opt/resolverd").exists()


def test_a_directory_in_place_of_the_root_is_left_with_what_was_not_installed(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "etc/systemd/system").mkdir(parents=True)

    def make(word: str) -> str:
        words = ["make", word, f"DESTDIR={root}/"]
        return subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=400, check=True).stdout

    def there() -> set[str]:
        return {str(each.relative_to(root)) for each in root.rglob("*") if not each.is_dir() or each.is_symlink()}

    make("install")
    installed = there()
    assert {
        "etc/resolverd/config.toml", "etc/systemd/system/resolverd.service", "opt/resolverd/bin/resolverd",
        "usr/local/bin/resolverd", "usr/local/share/man/man1/resolverd.1",
    } < installed  # fmt: skip
    (root / "var/lib/resolverd/store").write_text("kept")
    (root / "etc/systemd/system/other.service").write_text("somebody else's")
    for _ in range(2):
        said = make("uninstall")
        assert there() == {"etc/resolverd/config.toml", "var/lib/resolverd/store", "etc/systemd/system/other.service"}
        assert f"rm -rf {root}/etc/resolverd {root}/var/lib/resolverd\n" in said
        assert "userdel" not in said, "the machine's user is not the directory's"
