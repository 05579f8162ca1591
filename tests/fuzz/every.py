"""Every target there is."""

from tests.fuzz.target import TARGETS
from tests.fuzz.targets import databases, files, mail, mail_log, messages, records, replies, resolution, serving

__all__ = ["TARGETS", "databases", "files", "mail", "mail_log", "messages", "records", "replies", "resolution", "serving"]
