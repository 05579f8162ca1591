"""What the admin allows and denies, whatever else is found.

- `rules`: what an override says · `matching`: which are in force for an attempt, and which of them decides
- `store`: kept, every change in the audit log · `records`: as octets
- `postfix_maps`: access maps of Postfix · `map_text`: read from their source files
"""
