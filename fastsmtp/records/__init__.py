"""What became of every transaction, kept for a while: written by workers, read by `fastsmtp explain`."""
