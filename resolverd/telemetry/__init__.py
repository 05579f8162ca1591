"""What happens now and what has happened of late. Nothing depends on it: mail and names are answered without.

- `series`: counts by time, in rings · `counted`: which counters make them · `recorder`: feeds them and keeps them over a restart
- `feed`: what happens, to those who listen
- `troubles`: what is wrong of that which somebody is told about · `alerts`: when he is told · `wording`: in which words ·
  `notifier`: sees it and has it delivered, by `sendmail` and `webhook` · `shared_notices`: by one host for all
"""
