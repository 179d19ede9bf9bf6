"""The parser's state: everything that must survive between two reads."""

cdef struct DataState:
    bint has_dots       # DATA: dots at the start of a line are transparency, or the end; BDAT: they are dots
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
    cdef Py_ssize_t _response_bytes  # 0: the next line is a command
    cdef bint _skipping_line
    cdef bint _skipped_cr
    cdef bint _keep
    cdef Py_ssize_t _header_bytes
    cdef DataState _data
    cdef bint _is_header_cut
    cdef long long _commands_left  # -1: as many as they like
    cdef long long _chunk_left
    cdef bint _is_last
    cdef bint _is_dropping
    cdef bint _is_binary
    cdef readonly Py_ssize_t line_bytes
    cdef readonly Py_ssize_t header_limit
    cdef readonly long long message_limit

    cdef object _fault(self, object fault, Py_ssize_t used)
    cdef bint _is_one_too_many(self)
    cdef bint _skip_line(self)
    cdef void _start(self, bint has_dots)
    cdef object _next_of_chunk(self)
    cdef object _end_of_chunks(self)
    cdef object _scan_piece(self, Py_ssize_t size, Py_ssize_t extra)
    cdef bint _is_kept(self)

    cpdef void feed(self, bytes data)
    cpdef Py_ssize_t discard_input(self)
    cpdef object next_command(self)
    cpdef void permit_commands(self, long long count)
    cpdef void expect_response(self, Py_ssize_t line_bytes)
    cpdef void forget_used(self)
    cpdef void start_data(self)
    cpdef void start_chunks(self, bint is_binary)
    cpdef void start_chunk(self, long long size, bint is_last)
    cpdef void drop_chunk(self, long long size)
    cpdef void discard_data(self)
    cpdef object next_data(self)


cpdef Py_ssize_t path_begin(bytes argument, bytes keyword) noexcept
cpdef tuple plain_path(bytes argument)
cpdef bint is_dot_string(str text) noexcept
cpdef bint is_printable_ascii(str text) except -1
