"""Who exists: backends of the `Directory` port."""
