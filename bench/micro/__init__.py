"""Parts of the server alone, without sockets."""
