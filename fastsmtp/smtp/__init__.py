"""The protocol: sans-I/O, synchronous, without a clock."""
