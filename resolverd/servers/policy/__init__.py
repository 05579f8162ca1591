"""Postfix's policy service: `server` listens, a `connection` decides in order; `protocol` without IO, and the `log_line`."""
