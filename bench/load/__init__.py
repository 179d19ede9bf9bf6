"""The load: what is sent, and how."""
