"""The processes of a server: a supervisor that holds what stays, and workers that come and go."""
