"""Words from strangers made harmless: one line of printable ASCII, however it came (RFC 5321 §4.5.3.1.5, CWE-93)."""


def sanitize(text: str, limit: int = 400) -> str:
    """`text` on one line, every octet outside printable ASCII as ``?``, cut to `limit` octets with ``...`` at the end.

    What comes back can stand in an SMTP reply, a header, a policy answer or a log line without ending it. Nothing in it is
    ever a template: ``%`` and ``$`` stay what they are.
    """
    if len(text) <= limit and text.isascii() and text.isprintable() and "  " not in text:
        return text.strip()
    flat = "".join(char if " " <= char <= "~" else "?" for char in " ".join(text.split()))
    return flat if len(flat) <= limit else flat[: max(0, limit - 3)] + "..."[:limit]


def points(score: float) -> str:
    """A score in points, without needless zeros."""
    return f"{round(score, 2):g}"
