"""Floor 1: what a mail server wants to know of a client, as pure functions and values.

- an attempt and its verdict: `attempt`, `questions`, `findings`, `checks` (one file a check), `verdict` (the fold), `headers`
- the lists: `catalogue`, `listconfig`, `listtables` (data to `listspec`), `returncodes` (what an answer means), `listnames`
  (what is asked), `listreply` (what came back), `replycache`, `standing` (all lists' word on one subject), `foresight` (is it
  decided already?); `health`, `suspicion`, `witnesses`: does a list deserve belief?
- names made of them: `combined` (the zone below the origin), `guard` (the lists' own zones)
- the admin's own word: `overrides`, `patterns` (how clients may be written), `localdomains`;
  `lifting` (what need not be asked then)
- what is known of a client: `acquaintance`
- SPF: `spf` (RFC 7208), asked by its check
- greylisting: `triplet`, `organisation` (whose mail is it?), `greylist`, `allowfiles` with `expressions` (Perl's, without
  backtracking), `shippedlist` (who is never greylisted), `postgrey` (its database)
- texts: `hostnames`, `domains`, `recipients`, `printable`
"""
