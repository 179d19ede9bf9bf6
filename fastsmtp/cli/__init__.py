"""The command `fastsmtp`, one module for each of its commands."""

from fastsmtp.cli.group import main

__all__ = ["main"]
