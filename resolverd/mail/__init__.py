"""What a mail server says of a delivery attempt, and what is said of it: values and texts, as `wire` has those of the DNS.

- `request`: the attributes of one attempt · `lookups`: what may be asked about it, and what comes back
- `findings`: what checks find, and the verdict
- `hostnames`: what smtpd takes for a name or literal · `domains`: which text is a domain, and whose is it?
- `patterns`: clients and recipients as people write them · `sanitize`: text from strangers, fit for a reply
"""
