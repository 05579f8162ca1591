"""Every key of config.toml in one place, for people: what the commented file says of it, and what the settings know of it.

The file's comments are the text, the settings' types and the places where they are acted on the rest, so a page made of this
cannot disagree with either.

- `read`: the file, taken apart · `forms`: types in words
- `markdown`: the page docs/configuration.md; resolverd-config(5) is made by `cli.config_manual`

``python -m resolverd.config.reference`` prints the page.
"""

from resolverd.config.reference.markdown import page
from resolverd.config.reference.read import Entry, Key, Reference, Section, reference

__all__ = ["Entry", "Key", "Reference", "Section", "page", "reference"]
