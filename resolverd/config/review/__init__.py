"""What can be said against a configuration without faults: it was meant otherwise, or breaks what others ask of us.

- `warning`: a warning · `review`: the table of all that is looked for
- a function each: `reach` who may ask, and who is asked · `origin` the combined zone's name · `lists` the terms of lists, and
  codes that never count · `store` the server that hosts share · `unmatched` values that match nobody

Nothing here is a fault: what a daemon starts with today it starts with tomorrow.
"""

from resolverd.config.review.review import review
from resolverd.config.review.warning import ConfigWarning

__all__ = ["ConfigWarning", "review"]
