"""What the admin allows and denies, whatever else is found.

- `rules`: what an override says, and which decides · `store`: kept, every change in the audit log
- `postfix_maps`: access maps of Postfix
"""
