"""The daily report of a mail log: records in, one document out, and its forms.

- `report`: a record to all that count it, and the document made of the counts
- counts: `traffic` what pflogsumm has · `refusals` by reason, list and sender · `comebacks` greylisted and false-positive
  candidates · `abuse` logins, early talkers, fail2ban's jails · `top` the most frequent of many
- forms: `text` · `page` HTML by itself, with `charts` in SVG; JSON is the document

Memory doesn't grow with the log: every table is bounded (`bounds`), and where it was full the document says so in ``cut``.
"""

from resolverd.ops.report.page import page
from resolverd.ops.report.report import Report
from resolverd.ops.report.text import text

__all__ = ["Report", "page", "text"]
