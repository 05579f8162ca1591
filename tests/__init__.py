"""The tests: `unit` needs nothing but Python; `real` runs in the lab, against real servers."""
