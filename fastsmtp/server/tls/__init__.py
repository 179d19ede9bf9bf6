"""TLS: the layer between a transport and a connection, and the certificates that it shows."""
