"""Greylisting, compatible with Postgrey.

- `decide`: what becomes of a triplet, pure · `triplet`: its key · `organisation`: whose mail is it? · `keys`: all of an attempt
- `allow_files` with `expressions` (Perl's, without backtracking; `expression_syntax`: what they say), `shipped_list`: who is
  never greylisted
- `postgrey`: its database · `service`: asked by the policy service · `admin`: looked into by hand
"""
