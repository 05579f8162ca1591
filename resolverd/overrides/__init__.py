"""What the admin allows and denies, whatever else is found.

- `rules`: what an override says, and which wins · `store`: kept, and told in the audit log
- `lookup`: on what a list is asked about · `postfix_maps`: access maps of Postfix
"""
