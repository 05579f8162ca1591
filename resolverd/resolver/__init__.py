"""From a question to its answer.

- `answer`: the whole order of things: local data, what is cached, recursion
- `mesh`: questions in flight: one recursion a question, however many ask, with `admission` (who may recurse while room is
  short) and `driver` (has carried what the generators of `iterator` yield)
- `iterator`: recursion as pure generators · `cache`: what is remembered · `local`: what is answered without asking anybody
- `priming`: the root, by itself · `ports`: the Protocols through which network and state are met
"""
