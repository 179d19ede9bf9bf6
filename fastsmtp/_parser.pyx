# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
# cython: auto_pickle=False, autotestdict=False
"""Command lines and message data out of a byte stream: pull, no clock, no policy.

The rules for line ends and for the end of data are spelled out, with every row, in tests/vectors: data_endings.toml for
DATA, chunking.toml for BDAT.
"""

import enum

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.object cimport PyObject
from cpython.ref cimport Py_DECREF
from libc.string cimport memchr, memcpy

cdef extern from "Python.h":
    # Both with raw references: a bytes object may be resized only while nobody else can see it.
    PyObject* new_bytes "PyBytes_FromStringAndSize"(const char* value, Py_ssize_t size) except NULL
    int resize_bytes "_PyBytes_Resize"(PyObject** value, Py_ssize_t size) except -1


class LineFault(enum.Enum):
    """Why a command line is no command; the rest of such a line, up to its CRLF, has been or will be skipped."""

    TOO_LONG = "too long"
    BARE_LF = "bare LF"
    BAD_BYTES = "control characters"
    CHUNK_LOST = "a BDAT that cannot be read"
    TOO_MANY = "more commands than were permitted"


class DataEnd(enum.Enum):
    """What `Parser.next_data` returns after the last piece, and where a chunk ends that is not the last one."""

    END = "end of data"
    CHUNK = "end of a chunk"
    DROPPED = "end of a chunk that was dropped"


END_OF_DATA = DataEnd.END

cdef object FAULT_TOO_LONG = LineFault.TOO_LONG
cdef object FAULT_BARE_LF = LineFault.BARE_LF
cdef object FAULT_BAD_BYTES = LineFault.BAD_BYTES
cdef object FAULT_CHUNK_LOST = LineFault.CHUNK_LOST
cdef object FAULT_TOO_MANY = LineFault.TOO_MANY
cdef object DATA_ENDED = DataEnd.END
cdef object CHUNK_ENDED = DataEnd.CHUNK
cdef object CHUNK_DROPPED = DataEnd.DROPPED

cdef enum:
    CR = 13
    LF = 10
    SP = 32
    TAB = 9
    DOT = 46
    DEL = 127

cdef enum:
    # A chunk of so many octets is not counted as a command: some send a message in chunks of 8 KiB. Smaller ones are.
    FREE_CHUNK = 1024

cdef enum Stored:
    EMPTY
    LONE_DOT
    OTHER


@cython.final
cdef class Parser:
    """Parser(*, line_bytes=2048, message_limit=0, header_limit=262144)
--

Takes bytes in any portions, gives commands and pieces of message data. It has no clock and no opinion.

`line_bytes` is the longest command line, CRLF included; `message_limit` the largest message in octets, with lines
ending in CRLF (0: no limit); `header_limit` the most octets that are taken for header while no empty line comes.
"""  # in the form out of which help(), inspect and stubtest read the signature

    def __init__(self, *, line_bytes=2048, message_limit=0, header_limit=262144):
        if line_bytes < 2 or message_limit < 0 or header_limit < 1:
            raise ValueError("line_bytes is at least 2, header_limit at least 1, message_limit not negative")
        self.line_bytes = line_bytes
        self.message_limit = message_limit
        self.header_limit = header_limit
        self._buffer = b""
        self._commands_left = -1
        self.start_data()

    @property
    def pending(self):
        """Bytes that were fed and not used up."""
        return PyBytes_GET_SIZE(self._buffer) - self._position

    @property
    def bare_newline(self):
        """Whether the message has a bare CR or a bare LF so far."""
        return bool(self._data.bare_newline)

    @property
    def header_complete(self):
        """Whether every piece up to now is header, its empty line included, and the next one will be body."""
        return not self._data.in_header

    @property
    def header_cut(self):
        """Whether the header was longer than `header_limit`, and the rest of it counts as body."""
        return bool(self._is_header_cut)

    @property
    def size(self):
        """Octets of the message so far: transparency undone, line ends counted as CRLF."""
        return self._data.size

    @property
    def too_big(self):
        """Whether the message has passed `message_limit`; its later pieces are not kept."""
        return 0 < self.message_limit < self._data.size

    cpdef void feed(self, bytes data):
        """Take what the network gave."""
        if self._position == PyBytes_GET_SIZE(self._buffer):
            self._buffer = data
        else:
            self._buffer = self._buffer[self._position:] + data
        self._position = 0

    cpdef Py_ssize_t discard_input(self):
        """Forget what was fed and not used up, a line that had begun included; how many octets were pending."""
        cdef Py_ssize_t pending = PyBytes_GET_SIZE(self._buffer) - self._position
        self._buffer = b""
        self._position = 0
        self._searched = 0
        self._response_bytes = 0
        self._skipping_line = False
        return pending

    cpdef object next_command(self):
        """The next command as (verb in upper case, argument without blanks around it), or None: feed more.

        Where `expect_response` was called, the line as it is, without its CRLF. A faulty line is reported once, as soon as
        the fault is known, and skipped to its CRLF.
        """
        cdef Py_ssize_t size, end
        cdef Py_ssize_t line_bytes = self._response_bytes or self.line_bytes
        cdef const char* line
        cdef const char* found
        if self._skipping_line and not self._skip_line():
            return None
        line = PyBytes_AS_STRING(self._buffer) + self._position
        size = PyBytes_GET_SIZE(self._buffer) - self._position
        found = <const char*>memchr(line + self._searched, LF, size - self._searched)
        end = found - line if found != NULL else size
        if end >= line_bytes:
            # RFC 5321 section 4.5.3.1.9: one error for the whole line, never a second command out of its tail.
            return self._fault(FAULT_TOO_LONG, line_bytes)
        if found == NULL:
            self._searched = size
            return None
        if end == 0 or line[end - 1] != CR:
            # A strict reader sees one line up to the CRLF, so we do not see two (section 2.3.8).
            return self._fault(FAULT_BARE_LF, end + 1)
        self._position += end + 1
        self._searched = 0
        if self._response_bytes:
            self._response_bytes = 0
            return PyBytes_FromStringAndSize(line, end - 1)
        return FAULT_TOO_MANY if self._is_one_too_many() else _split_command(line, end - 1)

    cpdef void permit_commands(self, long long count):
        """So many commands may come from here on: the one behind them is a fault. 0: no limit, as at first.

        Responses are not counted, and chunks only when they are very small.
        """
        self._commands_left = count or -1

    cdef bint _is_one_too_many(self):
        if self._commands_left > 0:
            self._commands_left -= 1
            return False
        return self._commands_left == 0

    cpdef void expect_response(self, Py_ssize_t line_bytes):
        """The next line is no command but a response in a dialogue of its own, of at most so many octets with its CRLF.

        One line only, be it faulty or not; the one behind it is a command again.
        """
        self._response_bytes = line_bytes

    cpdef void forget_used(self):
        """Keep no octet of the lines that were read: a password may be among them."""
        self._buffer = self._buffer[self._position:]
        self._position = 0

    cdef object _fault(self, object fault, Py_ssize_t used):
        cdef const char* line = PyBytes_AS_STRING(self._buffer) + self._position
        cdef bint is_command = self._response_bytes == 0
        self._position += used
        self._searched = 0
        self._response_bytes = 0
        self._skipping_line = True
        self._skipped_cr = line[used - 1] == CR
        if not is_command:
            return fault
        if self._is_one_too_many():
            return FAULT_TOO_MANY
        return FAULT_CHUNK_LOST if _is_bdat(line, used) else fault

    cdef bint _skip_line(self):
        """Drop input up to and including the next CRLF; False while it has not come."""
        cdef const char* data = PyBytes_AS_STRING(self._buffer)
        cdef Py_ssize_t size = PyBytes_GET_SIZE(self._buffer)
        cdef const char* found
        cdef bint after_cr
        while self._position < size:
            found = <const char*>memchr(data + self._position, LF, size - self._position)
            if found == NULL:
                self._skipped_cr = data[size - 1] == CR
                self._position = size
                return False
            after_cr = self._skipped_cr if found == data + self._position else (found - 1)[0] == CR
            self._position = found - data + 1
            self._skipped_cr = False
            if after_cr:
                self._skipping_line = False
                return True
        return False

    cpdef void start_data(self):
        """From here on the input is message data (the client has been told 354)."""
        self._start(True)

    cpdef void start_chunks(self, bint is_binary):
        """A message in chunks begins. In the body of one that `is_binary` no octet is a line end."""
        self._start(False)
        self._is_binary = is_binary

    cpdef void start_chunk(self, long long size, bint is_last):
        """From here on `size` octets are message data; with `is_last` they are all that was missing of it."""
        if size >= FREE_CHUNK and self._commands_left >= 0:
            self._commands_left += 1
        self._chunk_left = size
        self._is_last = is_last
        self._is_dropping = False

    cpdef void drop_chunk(self, long long size):
        """From here on `size` octets are nobody's; whatever message was under way is lost."""
        self._start(False)
        self._chunk_left = size
        self._is_dropping = True

    cdef void _start(self, bint has_dots):
        self._data = DataState(
            has_dots=has_dots,
            at_start=has_dots,  # the CRLF of the DATA line counts as the first one
            held_dot=False,
            held_cr=False,
            stored=EMPTY,
            soft=False,
            bare_newline=False,
            in_header=True,
            ended=False,
            size=0,
        )
        self._keep = True
        self._is_header_cut = False
        self._header_bytes = 0
        self._searched = 0

    cpdef void discard_data(self):
        """Read on to the true end of data, or of the chunk, but keep nothing."""
        self._keep = False

    cpdef object next_data(self):
        """The next piece in its stored form, a DataEnd behind the last one (of the chunk), or None: feed more.

        No piece is empty, and no piece has both header and body.
        """
        cdef Py_ssize_t size
        cdef object piece
        if not self._data.has_dots:
            return self._next_of_chunk()
        while True:
            if self._data.ended:
                self._data.ended = False
                return DATA_ENDED
            size = PyBytes_GET_SIZE(self._buffer) - self._position
            if size == 0:
                return None
            # What is stored is shorter than what was sent, but for a held CR and for doubled dots: the latter are rare,
            # and where a sender makes them on purpose an eighth more room bounds the number of pieces.
            piece = self._scan_piece(size, size // 8 + 4)
            if piece is not None:
                return piece

    cdef object _next_of_chunk(self):
        cdef Py_ssize_t size, begun
        cdef object piece
        while self._chunk_left > 0:
            size = min(PyBytes_GET_SIZE(self._buffer) - self._position, self._chunk_left)
            if size == 0:
                return None
            begun = self._position
            if self._is_dropping or not self._keep:
                self._position += size
                piece = None
            elif self._is_binary and not self._data.in_header:
                self._position += size
                self._data.size += size
                piece = None
                if self._is_kept():
                    piece = PyBytes_FromStringAndSize(PyBytes_AS_STRING(self._buffer) + begun, size)
            else:
                piece = self._scan_piece(size, 4)
            self._chunk_left -= self._position - begun
            if piece is not None:
                return piece
        if self._is_dropping:
            return CHUNK_DROPPED
        return self._end_of_chunks() if self._is_last else CHUNK_ENDED

    cdef object _end_of_chunks(self):
        """The end of a last line that has none, then END_OF_DATA."""
        cdef char[2] rest
        cdef Py_ssize_t written = 0
        if self._data.in_header or not self._is_binary:
            if self._data.held_cr:
                self._data.bare_newline = True
                written = _release_cr(&self._data, rest)
            if self._data.stored != EMPTY:
                rest[written] = LF
                written += 1
                # Nobody has sent it, so it does not make a message too big (RFC 1870 section 3).
                if not self.message_limit - 2 < self._data.size <= self.message_limit:
                    self._data.size += 2
                self._data.stored = EMPTY
        return rest[:written] if written and self._is_kept() else DATA_ENDED

    cdef object _scan_piece(self, Py_ssize_t size, Py_ssize_t extra):
        """What is to be stored of the next `size` octets, or of the first of them, or None: nothing.

        It may be longer than they are, by less than `extra`.
        """
        cdef Py_ssize_t written
        cdef PyObject* piece
        cdef bint was_header = self._data.in_header
        cdef object result
        if was_header:
            size = min(size, self.header_limit - self._header_bytes)
        piece = new_bytes(NULL, size + extra)
        self._position += _scan(
            &self._data,
            PyBytes_AS_STRING(self._buffer) + self._position,
            size,
            PyBytes_AS_STRING(<object>piece),
            size + extra,
            &written,
        )
        if was_header:
            self._header_bytes += written
            if self._header_bytes >= self.header_limit and self._data.in_header:
                self._data.in_header = False
                self._is_header_cut = True
                if self._is_binary and self._data.held_cr:
                    written += _release_cr(&self._data, PyBytes_AS_STRING(<object>piece) + written)
        if written == 0 or not self._is_kept():
            Py_DECREF(<object>piece)
            return None
        resize_bytes(&piece, written)
        result = <object>piece
        Py_DECREF(result)  # `result` took a reference of its own
        return result

    cdef bint _is_kept(self):
        if 0 < self.message_limit < self._data.size:
            self._keep = False
        return self._keep


include "_parser_line.pxi"
include "_parser_path.pxi"
include "_parser_data.pxi"
