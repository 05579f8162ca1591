"""``serve --user NAME``: ports bound as root, and nothing of root left behind them; and what a user may do who is not root."""

import contextlib
import os
import shutil
import signal
import ssl
import stat
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import certificates
import dns.message
import dns.query
import pytest

from resolverd.app.privileges import PrivilegeError, account
from tests.running import REQUEST, Running

ROOT = Path(__file__).parents[3]
NOBODY = 65534
SMTPD = 2
QUIET = """
[dns]
listen = ["127.0.0.1:0"]
[policy]
listen = []
[http]
listen = "127.0.0.1:0"
"""

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user")


def everybodys_python() -> tuple[str, Mapping[str, str]] | None:
    """An interpreter of this version whose modules everybody may read, and the environment in which it finds ours."""
    ours = f"{sys.version_info.major}.{sys.version_info.minor}"
    for candidate in (sys.executable, shutil.which(f"python{ours}", path="/usr/bin:/usr/local/bin")):
        words = [candidate or "", "-c", "import ssl, json"]
        with contextlib.suppress(OSError):
            if subprocess.run(words, user=NOBODY, group=NOBODY, extra_groups=[], capture_output=True, timeout=20).returncode == 0:
                return words[0], {"PYTHONPATH": f"{ROOT}:{sysconfig.get_path('purelib')}"}
    return None


@pytest.fixture(scope="module")
def python() -> tuple[str, Mapping[str, str]]:
    found = everybodys_python()
    if found is None:
        pytest.skip("no interpreter of this version that everybody may read")
    return found


@pytest.fixture
def folder() -> Iterator[Path]:
    """One that everybody may look into, as /etc/resolverd is."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


def status(process: int) -> dict[str, str]:
    return dict(line.split(":\t", 1) for line in Path(f"/proc/{process}/status").read_text().splitlines() if ":\t" in line)


@as_root
def test_nothing_of_root_is_left_and_everything_works(folder: Path, python: tuple[str, Mapping[str, str]]) -> None:
    (folder / "private").mkdir(mode=0o700)  # of Postfix, say
    certificates.write(folder)  # its key as certbot leaves it: root's alone
    tls = f'[dns.tls]\nlisten = ["127.0.0.1:0"]\ncertificate = "{folder}/cert.pem"\nkey = "{folder}/key.pem"\n'
    more = f'{tls}[store]\nurl = "disk:{folder}/state"\n'
    running = Running(folder, more, options=["--user", "nobody"], python=[python[0]], environment=python[1])
    try:
        found = status(running.process.pid)
        assert found["Uid"].split() == found["Gid"].split() == [str(NOBODY)] * 4
        assert found["Groups"].split() == [str(NOBODY)]
        assert {int(found[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapAmb")} == {0}
        state = folder / "state"
        for each in (state, state / "token", state / "lock", state / "store", state / "resolverd.sock"):
            assert (each.stat().st_uid, each.stat().st_gid) == (NOBODY, NOBODY), each
        assert running.policy(REQUEST).startswith(b"action=DEFER_IF_PERMIT 4.2.0 Greylisted")
        assert running.dns("localhost.", tcp=True).answer
        context, question = ssl.create_default_context(cafile=str(folder / "cert.pem")), dns.message.make_query("localhost.", "A")
        where = "127.0.0.1", 5, running.ports["DoT"]
        assert dns.query.tls(question, *where, ssl_context=context, server_hostname="dns.example").answer
        running.waits_for(f"key.pem cannot be read by user {NOBODY}")
        # A reload reads as that user, and cannot bind what needs root.
        (folder / "config.toml").write_text((folder / "config.toml").read_text().replace('["127.0.0.1:0"]', '["127.0.0.1:1"]', 1))
        running.process.send_signal(signal.SIGHUP)
        running.waits_for("the configuration was read again")
        assert "dns.listen has changed: that takes effect at the next start" in running.log.read_text()
        assert running.dns("localhost.").answer
    finally:
        assert running.end() == 0


@as_root
def test_a_policy_socket_in_a_directory_that_only_root_and_its_owner_enter(
    folder: Path, python: tuple[str, Mapping[str, str]]
) -> None:
    """As Postfix's ``private`` is: bound by root, open to its smtpd and to nobody else, and in nobody's way at the next start."""
    private = folder / "private"
    private.mkdir(mode=0o700)
    os.chown(private, SMTPD, SMTPD)
    more = '[policy]\nlisten = ["unix:private/policy"]\n'
    for _ in range(2):
        running = Running(folder, options=["--user", "nobody"], python=[python[0]], environment=python[1], policy=more)
        try:
            assert stat.S_IMODE((private / "policy").stat().st_mode) == 0o666
            assert asked_by(SMTPD, private / "policy", python[0]) == "action=DEFER_IF_PERMIT 4.2.0 Greylisted"
            assert asked_by(SMTPD + 1, private / "policy", python[0]) == "PermissionError"
        finally:
            assert running.end() == 0


def asked_by(user: int, path: Path, python: str) -> str:
    """The reply that this user has on that socket, as far as it is always the same, or what keeps it from asking."""
    words = [python, "-c", ASK, str(path), REQUEST.decode()]
    done = subprocess.run(words, user=user, group=user, extra_groups=[], capture_output=True, text=True, timeout=20, check=True)
    return done.stdout.partition(",")[0].strip()


ASK = """
import socket, sys
try:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(sys.argv[1])
        sock.sendall(sys.argv[2].encode())
        print(sock.recv(4096).decode())
except OSError as error:
    print(type(error).__name__)
"""


def serve(python: tuple[str, Mapping[str, str]], file: Path, *options: str) -> str:
    """What it says until it is ready, or ends."""
    command = [python[0], "-m", "resolverd", "serve", "-c", str(file), *options]
    said = []
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env={**os.environ, **python[1]}) as process:
        assert process.stderr is not None
        for line in process.stderr:
            said.append(line)
            if "try it" in line:
                process.terminate()
        process.wait(10)
    return "".join(said) + f"status {process.returncode}"


FAULTS = {
    "a user who is not there": (["--user", "no-such-user"], "there is no such user; on Debian make one with: adduser", 1),
    "a user who is root": (["--user", "root"], "keeps capabilities of root's", 1),
}


@as_root
@pytest.mark.parametrize("name", FAULTS)
def test_what_would_leave_root_is_refused(folder: Path, python: tuple[str, Mapping[str, str]], name: str) -> None:
    options, words, expected = FAULTS[name]
    (folder / "config.toml").write_text(QUIET)
    said = serve(python, folder / "config.toml", *options)
    assert words in said
    assert f"status {expected}" in said
    assert "Traceback" not in said


@as_root
def test_root_goes_on_where_it_is_told_to(folder: Path, python: tuple[str, Mapping[str, str]]) -> None:
    running = Running(
        folder, options=["--user", "root", "--keep-capabilities"], python=[python[0]], environment=python[1]
    )
    assert running.end() == 0


@as_root
def test_what_only_root_may_read_is_found_at_the_start_and_not_at_the_first_reload(
    folder: Path, python: tuple[str, Mapping[str, str]]
) -> None:
    (folder / "config.toml").write_text(QUIET)
    (folder / "config.toml").chmod(0o600)
    said = serve(python, folder / "config.toml", "--user", "nobody")
    assert f"cannot be read: Permission denied ({folder}/config.toml is open to root, user root)" in said
    assert "status 78" in said


@as_root
def test_a_state_directory_that_stands_there_is_not_given_away(folder: Path, python: tuple[str, Mapping[str, str]]) -> None:
    (folder / "config.toml").write_text(QUIET)
    (folder / "var").mkdir(mode=0o700)
    said = serve(python, folder / "config.toml", "--user", "nobody")
    assert f"store.url: {folder}/var cannot be read and written by user nobody; as root: chown -R nobody {folder}/var" in said
    assert "status 78" in said
    assert (folder / "var").stat().st_uid == 0


AS_NOBODY = """
import os
from resolverd.app.privileges import PrivilegeError, account
os.setgroups([]); os.setgid(65534); os.setuid(65534)
account("nobody")
try:
    account("root")
except PrivilegeError as error:
    print(error)
"""


@as_root
def test_a_normal_user_becomes_nobody_else() -> None:
    done = subprocess.run([sys.executable, "-c", AS_NOBODY], capture_output=True, text=True, timeout=20, check=True)
    assert done.stdout.startswith("--user root: only root can become another user, and this is user 65534; start it as root")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may become anybody")
def test_another_user_is_refused_to_a_normal_one() -> None:
    with pytest.raises(PrivilegeError, match="only root can become another user"):
        account("root")
