"""`python -m tests.lab`: see the service work, get a shell beside it, or run a command in fresh namespaces.

::

    python -m tests.lab                        six SMTP sessions, with what is said and why; then it is all gone
    python -m tests.lab --stack tutorial       the same with Unbound and Postgrey in resolverd's place
    python -m tests.lab --rtt 20ms             with a round trip between the mail server and the internet
    python -m tests.lab --shell                a shell inside, everything running
    python -m tests.lab enter -- COMMAND …     a command in fresh, empty namespaces; its exit status is ours
    python -m tests.lab possible               says what keeps the lab from running here; status 0 if nothing does
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import time

from tests.lab import namespace
from tests.lab.lab import Lab
from tests.lab.lists import LISTS
from tests.lab.namespace import LAB, LabError
from tests.lab.postfix import VARIANTS, Postfix
from tests.lab.transcript import STACKS, bold, play
from tests.lab.world import WORLD

SHELL_HINTS = """
A shell inside the lab; `exit` ends it all. What you can try:

    the fake internet, asked directly       dig com NS @198.41.0.4
    what the mail server's resolver says    dig 66.2.0.192.zen.spamhaus.org
{resolverd}    a message by hand                       swaks --server 203.0.113.25 --local-interface 192.0.2.10 \\
                                                  --to anna@our-company.org --helo mail.honest-mail.com \\
                                                  --from carol@honest-mail.com
    the mail log, and what was delivered    less {postfix}/mail.log {postfix}/mail/anna/new/*
    what each program wrote                 ls {lab}/log
"""

RESOLVERD_HINTS = """\
    what all lists say, as one              dig 66.2.0.192.bl.rbl.internal TXT
    the whole verdict, every check a row    resolverd check 192.0.2.66
    the same for programs                   curl -s 'http://127.0.0.1:8053/v1/verdict?client_address=192.0.2.66'
"""


def seconds(text: str) -> float:
    """Read a duration with its unit: 20ms, 0.5s. Raises ArgumentTypeError."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(ms|s)", text)
    if not match:
        raise argparse.ArgumentTypeError(f"{text!r} is no duration; write 20ms or 0.5s")
    return float(match[1]) / (1000 if match[2] == "ms" else 1)


def arguments(argv: list[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.lab", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stack", choices=STACKS, default="resolverd", help="who answers the mail server's questions")
    parser.add_argument("--main-cf", choices=VARIANTS, help="with --shell: another configuration of Postfix")
    parser.add_argument("--rtt", type=seconds, default=0.0, metavar="TIME", help="a round trip to the internet, like 20ms")
    parser.add_argument("--shell", action="store_true", help="a shell inside instead of the sessions")
    options = parser.parse_args(argv)
    if options.main_cf and not options.shell:
        parser.error("--main-cf goes with --shell; the sessions are made for the stack's own configuration")
    return options


def main(argv: list[str]) -> int:
    """Go inside if we are not yet, and do as asked; give the exit status."""
    try:
        if argv[:1] == ["enter"]:
            command = argv[2:] if argv[1:2] == ["--"] else argv[1:]
            return namespace.enter(command or [os.environ.get("SHELL", "/bin/sh")])
        if argv == ["possible"]:
            return namespace.enter(["true"])
        options = arguments(argv)
        if not namespace.inside():
            return namespace.enter([sys.executable, "-m", "tests.lab", *argv])
        return run(options)
    except LabError as error:
        print(f"lab: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def run(options: argparse.Namespace) -> int:
    """Start the lab and play the sessions, or leave the terminal to a shell."""
    began = time.monotonic()
    with Lab(options.rtt) as lab, lab.stack(options.stack, options.main_cf) as postfix:
        print(f"{bold('A small internet on this machine')}: {len(lab.nsd)} NSD with {len(WORLD.zones)} zones, "
              f"{len(LISTS)} lists on rbldnsd, {round(options.rtt * 1000)} ms away.\n"
              f"A mail server in it: Postfix, mx.our-company.org; {STACKS[options.stack]}.\n"
              f"Started in {time.monotonic() - began:.1f} s. Nothing here leaves the machine.", flush=True)
        if options.shell:
            return shell(postfix, options.stack)
        right = play(lab, postfix, options.stack)
        print("\nThe lab is over and leaves nothing behind. `make lab ARGS=--shell` keeps one open to look around in.")
        return 0 if right else 1


def shell(postfix: Postfix, stack: str) -> int:
    """Run an interactive shell beside the running programs."""
    print(SHELL_HINTS.format(lab=LAB, postfix=postfix.directory, resolverd=RESOLVERD_HINTS if stack == "resolverd" else ""))
    environment = {**os.environ, "PS1": "lab# ", "PATH": f"{os.path.dirname(sys.executable)}:{os.environ['PATH']}"}
    return subprocess.run(["bash", "--norc", "-i"], env=environment).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
