"""What is known of clients: `record` (of one), `history` (noted), `names` (what it is called, and does that lead back?)."""
