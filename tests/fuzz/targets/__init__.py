"""The surfaces, a target each.

- `messages`: octets from servers and clients: messages, names, rdata, options
- `resolution`: what an authority says, from its packet to the client's; the same from signed zones
- `serving`: what clients of the DNS, policy and HTTP sockets send
- `files`: configuration, zones, lists, maps   - `records`: what a store gives back   - `mail`: SPF, mail's names and addresses
"""

from tests.fuzz.target import TARGETS, Target, TooSlow, check
from tests.fuzz.targets import files, mail, messages, records, resolution, serving

__all__ = ["TARGETS", "Target", "TooSlow", "check", "files", "mail", "messages", "records", "resolution", "serving"]
