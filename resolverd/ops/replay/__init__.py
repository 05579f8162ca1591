"""What a configuration would have said to mail that has come already.

    verdicts kept ──replies──> what was asked, and what came back ──judge──> what the configuration says ──compare──> differences

`replies` reads a verdict's evidence back into the replies that the checks had. `judge` has the very checks of the daemon run over
them, and the fold of `policy.verdict` after them: nothing here knows what a check means. What the evidence does not hold is
unknown, unless the verdict is the same whatever it may be (`policy.early`). `log` has the attempts of a mail log, which holds
less. `compare` counts, and names the differences.
"""
