"""Data shipped in the wheel: ``root.hints`` and ``root.key`` (IANA, as in Debian's dns-root-data), ``catalogue.toml`` (lists),
``greylist_allowed.toml`` (senders that are never greylisted)."""
