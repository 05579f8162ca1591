"""Floor 0: what is told of the daemon at work: `counters` for /metrics, `logs` for people and log readers,
`discretion` for names with a key in them, `pseudonyms` for lines that name nobody."""
