"""What the operator writes: the model of fastsmtp.toml, and reading it."""
