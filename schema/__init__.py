"""The tables, as SQL; shipped as the package `fastsmtp_schema`."""
