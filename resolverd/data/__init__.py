"""Data shipped in the wheel: ``root.hints`` and ``root.key`` (IANA, as in Debian's dns-root-data), ``build_date`` (that of the
release, before which no clock can be right), ``catalogue.toml`` (lists), ``greylist_allowed.toml`` (senders that are never
greylisted)."""
