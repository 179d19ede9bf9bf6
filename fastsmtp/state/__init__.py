"""What plugins remember beyond a connection: token buckets and records, shared by workers and hosts."""
