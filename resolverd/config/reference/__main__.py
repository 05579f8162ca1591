"""``python -m resolverd.config.reference``: the page docs/configuration.md."""

import sys

from resolverd.config.reference import page, reference

sys.stdout.write(page(reference()))
