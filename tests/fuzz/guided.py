"""Coverage-guided fuzzing by atheris (libFuzzer): each target for its share of the time, in a process of its own.

A fault does not end it: the first input of each kind, which is the exception's type and the line of ours that it came from, is
written down, and the fuzzer goes on. Whatever reached new code joins the corpus, minimised.
"""

import hashlib
import re
import resource
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Iterable, Sequence
from functools import partial
from importlib import import_module
from pathlib import Path
from types import FrameType
from typing import Any

from tests.fuzz import store
from tests.fuzz.target import TARGETS, Target, check

_SLACK = 20.0
"""Of the limits. Instrumented code is slower, and so is a machine that does other things; `regress` holds the corpus to them."""


def run(names: Sequence[str], seconds: float, findings: str, *, keep: bool) -> int:
    """Fuzz these targets, all where none is named. 1 if there are findings, else 0."""
    # Here, as `child` has to import instrumented what this imports.
    import_module("tests.fuzz.every")
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
        grown = Path(scratch, "grown")
        grown.mkdir()
        for data in begin:
            (grown / hashlib.sha1(data, usedforsecurity=False).hexdigest()).write_bytes(data)
        before = _processor_time()
        done = _libfuzzer(name, findings, [str(grown), f"-max_total_time={seconds}", "-print_final_stats=1"])
        cases = re.findall(r"stat::number_of_executed_units: (\d+)", done)
        print(f"{name}: {' '.join(cases)} cases in {seconds} s, {_processor_time() - before:.0f} s of a processor", flush=True)
        if keep:
            found = [*store.corpus(name), *(each.read_bytes() for each in grown.iterdir())]
            print(f"{name}: {store.keep(name, minimised(TARGETS[name], found))} inputs are kept", flush=True)


def _processor_time() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _libfuzzer(name: str, findings: Path, arguments: list[str]) -> str:
    """Run libFuzzer; what it has said."""
    target = TARGETS[name]
    given = name, target.run.__module__, target.libraries, str(findings)
    script = f"from tests.fuzz import guided; guided.child(*{given!r})"
    more = ["-rss_limit_mb=1500", "-timeout=20", f"-artifact_prefix={findings}/{name}-"]
    command = [sys.executable, "-c", script, *arguments, *more]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    if done.returncode:
        print(f"{name}: libFuzzer ended with {done.returncode}\n{done.stderr[-2000:]}", flush=True)
    return done.stderr


def minimised(target: Target, inputs: Iterable[bytes]) -> list[bytes]:
    """Those of the inputs that go from a line of our code to another as none before, short ones first.

    Before them come the seeds and what has been a fault, which are kept anyway. None is a fault.
    """
    kept: list[bytes] = []
    seen: set[tuple[object, int, int]] = set()
    known = {*target.seeds(), *(data for _, data in store.regressions(target.name))}
    for data in (*known, *sorted(set(inputs) - known, key=lambda each: (len(each), each))):
        arcs: set[tuple[object, int, int]] = set()
        before = sys.gettrace()
        sys.settrace(partial(_trace, arcs))
        try:
            target.run(data)
        except Exception:
            continue
        finally:
            sys.settrace(before)
        if not arcs <= seen:
            seen |= arcs
            if data not in known:
                kept.append(data)
    return kept


def _trace(arcs: set[tuple[object, int, int]], frame: FrameType, event: str, argument: object) -> Any:
    code = frame.f_code
    if "/resolverd/" not in code.co_filename or "/tests/" in code.co_filename:
        return None
    last = code.co_firstlineno

    def line(frame: FrameType, event: str, argument: object) -> Any:
        nonlocal last
        arcs.add((code, last, frame.f_lineno))
        last = frame.f_lineno
        return line

    return line


def _place(error: Exception) -> str:
    """Where in our code an error came from; else that of the target."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [each for each in frames if "/resolverd/" in each.filename and "/tests/" not in each.filename] or frames
    return f"{Path(ours[-1].filename).stem}-{ours[-1].name}-{ours[-1].lineno}"


def child(name: str, module: str, libraries: Sequence[str], findings: str) -> None:
    """The process that libFuzzer drives."""
    import atheris

    with atheris.instrument_imports(include=["resolverd", *libraries]):
        import_module(module)
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
