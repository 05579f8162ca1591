"""What is known of clients: `record` (of one, pure), `history` (all of them, kept in the store)."""
