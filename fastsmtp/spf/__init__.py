"""Sender Policy Framework (RFC 7208), without any input or output: it asks, and is sent answers."""
