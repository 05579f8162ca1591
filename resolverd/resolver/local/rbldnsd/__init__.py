"""Lists in rbldnsd's formats, as rbldnsd(8) understands them, packed into arrays.

- `key`: a name below a list's origin, as the address or the part of one that it spells
- `directives`: the ``$`` lines        - `values`: A values and TXT templates
- `reader`: what all formats share, line by line       - `addresses`: the ways to write an address or a range
- `ip4set`, `iptrie`, `dnset`: the formats              - `intervals`, `buckets`, `nametable`: how their entries are kept
- `dataset`: a list, read

An entry that cannot be read is passed over with a warning, as rbldnsd does; only a file of which no entry can be read,
and one that comes from the future, is refused.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from resolverd.resolver.local.rbldnsd.dataset import Dataset
from resolverd.resolver.local.rbldnsd.dnset import parse_names
from resolverd.resolver.local.rbldnsd.ip4set import parse_addresses
from resolverd.resolver.local.rbldnsd.iptrie import parse_ip4, parse_ip6
from resolverd.resolver.local.rbldnsd.reader import BadDataset

FORMATS: Final[Mapping[str, Callable[[Iterable[bytes], int, float], Dataset]]] = {
    "ip4set": parse_addresses,
    "ip4trie": parse_ip4,
    "ip6trie": parse_ip6,
    "dnset": parse_names,
}
"""What reads each format: from its lines, the second of the file's last change, and now (both wall)."""

__all__ = ["FORMATS", "BadDataset", "Dataset"]
