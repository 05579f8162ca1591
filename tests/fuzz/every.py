"""Every target there is."""

from tests.fuzz.target import TARGETS
from tests.fuzz.targets import files, mail, messages, records, resolution, serving

__all__ = ["TARGETS", "files", "mail", "messages", "records", "resolution", "serving"]
