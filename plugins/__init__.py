"""The plugins that come with fastsmtp, one idea a file; nothing runs that the configuration does not name."""
