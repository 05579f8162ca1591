"""The file of the caches, killed while it is written."""

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

from resolverd import bounds
from resolverd.state.disk.cache_file import CacheFolder
from resolverd.state.rows import Changes

ROWS = 300
WRITER = """
import sys
from pathlib import Path
from resolverd.state.disk.cache_file import CacheFolder
from resolverd.state.rows import Changes
folder = CacheFolder(Path(sys.argv[1]), 10**6)
file = folder.open()
for number in range(int(sys.argv[2]), 10**6):
    rows = [(b"r%d" % key, b"%d " % number * 20) for key in range(300)]
    file.write(Changes(number % 3 == 0, [b"r1"], rows, b"f", folder.moment(float(number))))
    print(number, flush=True)
"""


def test_a_process_killed_while_it_writes_leaves_the_last_batch_whole(tmp_path: Path) -> None:
    rng = random.Random(7)
    last = -1
    for _ in range(8):
        with subprocess.Popen([sys.executable, "-c", WRITER, tmp_path, str(last + 1)], stdout=subprocess.PIPE) as writer:
            assert writer.stdout is not None
            for _ in range(rng.randint(1, 15)):
                last = int(writer.stdout.readline())
            os.kill(writer.pid, signal.SIGKILL)
            last = max([last, *map(int, writer.stdout.read().split())])
        file = CacheFolder(tmp_path, 10**6).open()
        values = {row.key: row.value for row in file.newest(None, 10_000)}
        found = {int(value.split()[0]) for value in values.values() if value is not None}
        assert len(values) == ROWS
        assert found in ({last}, {last + 1}), "a batch that was told as written, or the one behind it"
        fingerprint, moment = file.about()
        assert moment is not None
        assert (fingerprint, moment.wall) == (b"f", found.pop())
        file.close()


def test_a_row_is_bounded_and_one_that_is_too_large_takes_the_older_one_away(tmp_path: Path) -> None:
    folder = CacheFolder(tmp_path, 10**7)
    file = folder.open()
    for octets, kept in ((bounds.CACHE_ROW, True), (bounds.CACHE_ROW + 1, False)):
        file.write(Changes(False, [], [(b"ra", bytes(octets))], b"f", folder.moment(1.0)))
        assert (file.read(b"ra") is not None) == kept
    file.close()


def test_only_the_daemons_user_reads_it(tmp_path: Path) -> None:
    folder = CacheFolder(tmp_path, 10**6)
    file = folder.open()
    file.write(Changes(False, [], [(b"ra", b"value")], b"f", folder.moment(1.0)))
    assert {each.stat().st_mode & 0o777 for each in tmp_path.iterdir()} == {0o600}
    file.close()
