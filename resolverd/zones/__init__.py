"""What lists and clients look like as DNS.

- `answer`: whose name is it?
- `lists`: names made of what lists say: `dnsbl_zone` (below the origin), `guard` (the lists' own zones), `override_lookup`
  (what the admin allows and denies), `list_answers` (what is answered once it is known)
- `client_zones`: what is known of clients, as lists
"""
