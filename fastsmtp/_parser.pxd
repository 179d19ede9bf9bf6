"""The parser's state: everything that must survive between two reads."""

cdef struct DataState:
    # Where we are in the raw line (it ends in CRLF) ...
    bint at_start       # nothing of it was seen yet
    bint held_dot       # it is "." so far; the dot is not written
    bint held_cr        # its last byte so far is a CR; the CR is not written
    # ... and in the stored line (it also ends at a bare LF).
    int stored          # EMPTY, DOT or OTHER: what was written of it
    bint soft           # it began behind a bare LF
    # What has been seen in the whole message.
    bint bare_newline
    bint in_header      # no empty stored line yet
    bint ended
    long long size      # octets, line ends counted as CRLF


cdef class Parser:
    cdef bytes _buffer
    cdef Py_ssize_t _position
    cdef Py_ssize_t _searched
    cdef bint _skipping_line
    cdef bint _skipped_cr
    cdef bint _keep
    cdef Py_ssize_t _header_bytes
    cdef DataState _data
    cdef readonly Py_ssize_t line_bytes
    cdef readonly Py_ssize_t header_limit
    cdef readonly long long message_limit

    cdef object _fault(self, object fault, Py_ssize_t used)
    cdef bint _skip_line(self)

    cpdef void feed(self, bytes data)
    cpdef Py_ssize_t discard_input(self)
    cpdef object next_command(self)
    cpdef void start_data(self)
    cpdef void discard_data(self)
    cpdef object next_data(self)
