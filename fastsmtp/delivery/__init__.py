"""Where messages go: each store puts one into all of its mailboxes, or into none."""
