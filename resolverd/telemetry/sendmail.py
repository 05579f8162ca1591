"""Mail by the local mail server: through its sendmail(1), or by SMTP to port 25 of this machine.

A process that may gain no privileges (systemd's NoNewPrivileges=, which our unit sets) cannot use Postfix's sendmail, which
rests on a set-group-ID program; nor can one where there is no sendmail. Then SMTP is spoken.
"""

import asyncio
import contextlib
import os
import smtplib
import subprocess
from email.message import EmailMessage
from pathlib import Path
from typing import Final

from resolverd.mail.sanitize import sanitize

PATHS: Final = ("/usr/sbin/sendmail", "/usr/lib/sendmail")
PATIENCE: Final = 30.0
"""Seconds for one mail to be taken."""
_STATUS: Final = Path("/proc/self/status")


class NotDelivered(Exception):
    """Nobody has taken it; says why."""


def installed() -> str | None:
    """The sendmail of this machine."""
    return next((path for path in PATHS if os.access(path, os.X_OK)), None)


def program() -> str | None:
    """The sendmail that this process can use; None where it has to speak SMTP."""
    with contextlib.suppress(OSError):
        if "NoNewPrivs:\t1" in _STATUS.read_text("ascii", "replace"):
            return None
    return installed()


async def send(message: EmailMessage, path: str | None, port: int = 25) -> None:
    """Hand it to the sendmail at `path`, or to port `port` of this machine without one. Raises NotDelivered."""
    if path is not None:
        await asyncio.to_thread(_by_program, message, path)
    else:
        await asyncio.to_thread(_by_smtp, message, port)


def _by_program(message: EmailMessage, path: str) -> None:
    try:
        done = subprocess.run([path, "-i", "-t"], input=message.as_bytes(), capture_output=True, timeout=PATIENCE, check=False)
    except subprocess.TimeoutExpired:
        raise NotDelivered(f"{path} has not taken it within {PATIENCE:g} s") from None
    except OSError as error:
        raise NotDelivered(f"{path}: {error.strerror}") from None
    if done.returncode:
        words = sanitize(done.stderr.decode("utf-8", "replace").strip(), 200)
        raise NotDelivered(f"{path} ended with status {done.returncode}{f': {words}' if words else ''}")


def _by_smtp(message: EmailMessage, port: int) -> None:
    try:
        with smtplib.SMTP("127.0.0.1", port, timeout=PATIENCE) as server:
            server.send_message(message)
    except (OSError, smtplib.SMTPException) as error:
        raise NotDelivered(f"127.0.0.1 port {port}: {sanitize(str(error) or type(error).__name__, 200)}") from None
