"""The edge: sockets, deadlines, processes and the little HTTP that operators need."""
