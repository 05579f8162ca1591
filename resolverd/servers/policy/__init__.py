"""Postfix's policy service: `server`, and `protocol` without IO."""
