"""Lists that an operator keeps: how they are read from files, kept up to date, and searched."""
