"""Coverage-guided fuzzing by atheris (libFuzzer): each target for its share of the time, in a process of its own.

A fault does not end it: the first input of each kind, which is the exception's type and the line of ours that it came from, is
written down, and the fuzzer goes on. Whatever reached new code joins the corpus, minimised.
"""

import hashlib
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Sequence
from pathlib import Path

from tests.fuzz import store

_SLACK = 20.0
"""Of the limits. Instrumented code is slower, and so is a machine that does other things; `regress` holds the corpus to them."""


def run(names: Sequence[str], seconds: float, findings: str, *, keep: bool) -> int:
    """Fuzz these targets, all where none is named. 1 if there are findings, else 0."""
    from tests.fuzz.targets import TARGETS

    if unknown := set(names) - TARGETS.keys():
        print(f"no such target: {', '.join(sorted(unknown))}", file=sys.stderr)
        return 2
    chosen = list(names) or list(TARGETS)
    folder = Path(findings)
    folder.mkdir(parents=True, exist_ok=True)
    before = {each.name for each in folder.iterdir()}
    for name in chosen:
        begin = [*TARGETS[name].seeds(), *store.corpus(name), *(data for _, data in store.regressions(name))]
        _fuzz(name, begin, max(1, int(seconds / len(chosen))), folder, keep)
    new = sorted(each.name for each in folder.iterdir() if each.name not in before and each.suffix != ".txt")
    print(f"{len(new)} findings" + "".join(f"\n  {folder / each}" for each in new))
    return 1 if new else 0


def _fuzz(name: str, begin: Sequence[bytes], seconds: int, findings: Path, keep: bool) -> None:
    with tempfile.TemporaryDirectory(prefix="fuzz-") as scratch:
        grown, least = Path(scratch, "grown"), Path(scratch, "least")
        grown.mkdir()
        least.mkdir()
        for data in begin:
            (grown / hashlib.sha1(data, usedforsecurity=False).hexdigest()).write_bytes(data)
        done = _libfuzzer(name, findings, [str(grown), f"-max_total_time={seconds}", "-print_final_stats=1"])
        figures = [line for line in done.splitlines() if line.startswith("stat::number_of") or " cov: " in line][-2:]
        print(f"{name}: {seconds} s; " + "; ".join(each.strip()[:100] for each in figures), flush=True)
        if keep:
            _libfuzzer(name, findings, ["-merge=1", str(least), str(grown)])
            kept = [each.read_bytes() for each in least.iterdir()]
            if kept:
                print(f"{name}: {store.keep(name, kept)} inputs are kept", flush=True)


def _libfuzzer(name: str, findings: Path, arguments: list[str]) -> str:
    from tests.fuzz.targets import TARGETS

    libraries = TARGETS[name].libraries
    command = [sys.executable, "-c", f"from tests.fuzz import guided; guided.child({name!r}, {libraries!r}, {str(findings)!r})"]
    more = ["-rss_limit_mb=1500", "-timeout=20", f"-artifact_prefix={findings}/{name}-"]
    done = subprocess.run([*command, *arguments, *more], capture_output=True, text=True, errors="replace", check=False)
    if done.returncode:
        print(f"{name}: libFuzzer ended with {done.returncode}\n{done.stderr[-2000:]}", flush=True)
    return done.stderr


def _place(error: Exception) -> str:
    """Where in our code an error came from; else that of the target."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [each for each in frames if "/resolverd/" in each.filename and "/tests/" not in each.filename] or frames
    return f"{Path(ours[-1].filename).stem}-{ours[-1].name}-{ours[-1].lineno}"


def child(name: str, libraries: Sequence[str], findings: str) -> None:
    """The process that libFuzzer drives."""
    import atheris

    with atheris.instrument_imports(include=["resolverd", *libraries]):
        from tests.fuzz.targets import TARGETS, check
    target, seen = TARGETS[name], set[str]()

    def one(data: bytes) -> None:
        try:
            check(target, data, _SLACK)
        except Exception as error:
            kind = f"{name}-{type(error).__name__}-{_place(error)}"
            if kind not in seen:
                seen.add(kind)
                path = Path(findings, kind)
                if not path.exists():
                    path.write_bytes(data)
                    text = "".join(traceback.format_exception(error))
                    Path(findings, f"{kind}.txt").write_text(text)

    atheris.Setup([sys.argv[0], f"-max_len={target.longest}", *sys.argv[1:]], one)
    atheris.Fuzz()
