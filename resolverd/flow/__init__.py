"""Floor 3: the order of things. Cores decide, flow asks for what they want and carries their answers on.

A DNS question: `answer` (whose name is it?) · `listzones` (names made of what lists say) · `resolve` (built in, remembered,
recursed for) · `recurse` (drives the generators of `recursion`).
An attempt: `screen` (the order of screening) · `inquiry` (all checks' questions side by side) · `recent` (verdicts by id) ·
`greylisting`.
The lists: `fanout` (the engine) · `dispatch` (one question, coalesced and remembered) · `desk` (one list's gate and books).
By itself: `upkeep`. `ports`: the Protocols through which the floors below are met.
"""
