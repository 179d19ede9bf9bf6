"""Measurements: fastsmtp beside its peers and beside what the kernel alone takes. `python -m bench --help`."""
