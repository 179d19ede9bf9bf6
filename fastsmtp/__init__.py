"""fastsmtp: a receiving SMTP server whose policy lives in short plugins."""

__version__ = "0.1.0"
