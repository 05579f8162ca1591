"""Inputs on disk: of each target's corpus one file of base64 lines; of its regressions a file each, as it was found."""

from base64 import b64decode, b64encode
from collections.abc import Iterable, Iterator
from pathlib import Path

_HERE = Path(__file__).parent
_CORPUS = _HERE / "corpus"
_REGRESSIONS = _HERE / "regressions"


def corpus(name: str) -> list[bytes]:
    """The corpus of a target; none where nothing is kept."""
    path = _CORPUS / f"{name}.txt"
    return [b64decode(line) for line in path.read_text().splitlines()] if path.exists() else []


def keep(name: str, inputs: Iterable[bytes]) -> int:
    """Keep these as the corpus of a target, short ones first; how many."""
    lines = [b64encode(each).decode() for each in sorted(set(inputs), key=lambda each: (len(each), each))]
    _CORPUS.mkdir(exist_ok=True)
    path = _CORPUS / f"{name}.txt"
    if lines:
        path.write_text("".join(f"{line}\n" for line in lines))
    else:
        path.unlink(missing_ok=True)
    return len(lines)


def regressions(name: str) -> Iterator[tuple[str, bytes]]:
    """What has been a fault of a target, by what it was."""
    for path in sorted((_REGRESSIONS / name).glob("*")):
        yield path.name, path.read_bytes()
