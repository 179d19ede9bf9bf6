"""The PROXY protocol: who the client of a proxy is, said by the proxy before the client's first word."""
