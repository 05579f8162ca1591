"""resolverd: the DNS side of spam blocking for mail servers, in one daemon."""

__version__ = "0.1.0"
