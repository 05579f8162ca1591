"""Data shipped in the wheel: ``root.hints`` and ``root.key`` (IANA, as in Debian's dns-root-data), ``catalogue.toml`` (lists)."""
