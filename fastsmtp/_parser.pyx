# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
# cython: auto_pickle=False, autotestdict=False
"""Command lines and message data out of a byte stream: pull, no clock, no policy.

The rule for the end of data and for line ends is spelled out, with every row, in tests/vectors/data_endings.toml.
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


class DataEnd(enum.Enum):
    """What `Parser.next_data` returns after the last piece."""

    END = "end of data"


END_OF_DATA = DataEnd.END

cdef object FAULT_TOO_LONG = LineFault.TOO_LONG
cdef object FAULT_BARE_LF = LineFault.BARE_LF
cdef object FAULT_BAD_BYTES = LineFault.BAD_BYTES
cdef object DATA_ENDED = DataEnd.END

cdef enum:
    CR = 13
    LF = 10
    SP = 32
    TAB = 9
    DOT = 46
    DEL = 127

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
        self._skipping_line = False
        return pending

    cpdef object next_command(self):
        """The next command as (verb in upper case, argument without blanks around it), or None: feed more.

        A faulty line is reported once, as soon as the fault is known, and skipped to its CRLF.
        """
        cdef Py_ssize_t size, end
        cdef const char* line
        cdef const char* found
        if self._skipping_line and not self._skip_line():
            return None
        line = PyBytes_AS_STRING(self._buffer) + self._position
        size = PyBytes_GET_SIZE(self._buffer) - self._position
        found = <const char*>memchr(line + self._searched, LF, size - self._searched)
        end = found - line if found != NULL else size
        if end >= self.line_bytes:
            # RFC 5321 section 4.5.3.1.9: one error for the whole line, never a second command out of its tail.
            return self._fault(FAULT_TOO_LONG, self.line_bytes)
        if found == NULL:
            self._searched = size
            return None
        if end == 0 or line[end - 1] != CR:
            # A strict reader sees one line up to the CRLF, so we do not see two (section 2.3.8).
            return self._fault(FAULT_BARE_LF, end + 1)
        self._position += end + 1
        self._searched = 0
        return _split_command(line, end - 1)

    cdef object _fault(self, object fault, Py_ssize_t used):
        self._position += used
        self._searched = 0
        self._skipping_line = True
        self._skipped_cr = PyBytes_AS_STRING(self._buffer)[self._position - 1] == CR
        return fault

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
        self._data = DataState(
            at_start=True,  # the CRLF of the DATA line counts as the first one
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
        self._header_bytes = 0
        self._searched = 0

    cpdef void discard_data(self):
        """Read on to the true end of data, but keep nothing."""
        self._keep = False

    cpdef object next_data(self):
        """The next piece in its stored form, END_OF_DATA once behind the last one, or None: feed more.

        No piece is empty, and no piece has both header and body.
        """
        cdef Py_ssize_t size, room, written
        cdef PyObject* piece
        cdef bint was_header
        cdef object result
        while True:
            if self._data.ended:
                self._data.ended = False
                return DATA_ENDED
            size = PyBytes_GET_SIZE(self._buffer) - self._position
            if size == 0:
                return None
            was_header = self._data.in_header
            if was_header:
                size = min(size, self.header_limit - self._header_bytes)
            # What is stored is shorter than what was sent, but for a held CR and for doubled dots: the latter are rare,
            # and where a sender makes them on purpose an eighth more room bounds the number of pieces.
            room = size + size // 8 + 4
            piece = new_bytes(NULL, room)
            self._position += _scan(
                &self._data,
                PyBytes_AS_STRING(self._buffer) + self._position,
                size,
                PyBytes_AS_STRING(<object>piece),
                room,
                &written,
            )
            if 0 < self.message_limit < self._data.size:
                self._keep = False
            if was_header:
                self._header_bytes += written
                if self._header_bytes >= self.header_limit:
                    self._data.in_header = False
            if written == 0 or not self._keep:
                Py_DECREF(<object>piece)
                continue
            resize_bytes(&piece, written)
            result = <object>piece
            Py_DECREF(result)  # `result` took a reference of its own
            return result


cdef object _split_command(const char* line, Py_ssize_t size):
    """(verb in upper case, argument) of a line without its CRLF, or the fault of a control character."""
    cdef Py_ssize_t i, verb_end
    cdef unsigned char byte
    cdef bytes verb
    cdef char* letters
    for i in range(size):
        byte = <unsigned char>line[i]
        if (byte < SP and byte != TAB) or byte == DEL:
            return FAULT_BAD_BYTES
    # "SHOULD tolerate trailing white space before the terminating CRLF" (RFC 5321 section 4.1.1)
    while size > 0 and (line[size - 1] == SP or line[size - 1] == TAB):
        size -= 1
    verb_end = 0
    while verb_end < size and line[verb_end] != SP and line[verb_end] != TAB:
        verb_end += 1
    verb = PyBytes_FromStringAndSize(NULL, verb_end)
    letters = PyBytes_AS_STRING(verb)
    for i in range(verb_end):
        letters[i] = line[i] - 32 if 97 <= line[i] <= 122 else line[i]
    while verb_end < size and (line[verb_end] == SP or line[verb_end] == TAB):
        verb_end += 1
    return verb, PyBytes_FromStringAndSize(line + verb_end, size - verb_end)


cdef Py_ssize_t _scan(
    DataState* state, const char* data, Py_ssize_t size, char* out, Py_ssize_t room, Py_ssize_t* written
) noexcept nogil:
    """Move message data from `data` to `out` in its stored form; returns how many bytes of `data` are used up.

    Stops early at the end of data, behind the header, and when `out` might become too small.
    """
    cdef Py_ssize_t i = 0
    cdef Py_ssize_t o = 0
    cdef Py_ssize_t end, length
    cdef const char* found
    cdef bint hard
    cdef bint was_header = state.in_header
    while i < size:
        # One turn writes at most a held CR, the input up to the next LF, a second dot and the LF.
        if room - o < size - i + 3 or (was_header and not state.in_header):
            break
        if state.at_start:
            state.at_start = False
            if data[i] == DOT:
                state.held_dot = True
                i += 1
                continue
        if state.held_cr:
            state.held_cr = False
            if data[i] == LF:
                i += 1
                if state.held_dot:
                    # <CRLF>.<CRLF>: the one end of data (RFC 5321 section 4.1.1.4)
                    state.held_dot = False
                    state.ended = True
                    break
                o += _end_line(state, out + o, True)
                continue
            # A CR without LF is content, and so the line is not a lone dot.
            state.held_dot = False
            state.bare_newline = True
            out[o] = CR
            o += 1
            state.size += 1
            state.stored = OTHER
        if state.held_dot:
            if data[i] == CR:
                state.held_cr = True
                i += 1
                continue
            state.held_dot = False  # transparency: the first dot of a longer line goes (section 4.5.2)
        found = <const char*>memchr(data + i, LF, size - i)
        hard = False
        if found == NULL:
            end = size
            if data[size - 1] == CR:
                state.held_cr = True
                end -= 1
        else:
            end = found - data
            if end > i and data[end - 1] == CR:
                hard = True
                end -= 1
        length = end - i
        if length > 0:
            memcpy(out + o, data + i, length)
            if not state.bare_newline and memchr(data + i, CR, length) != NULL:
                state.bare_newline = True
            if state.stored == EMPTY and length == 1 and data[i] == DOT:
                state.stored = LONE_DOT
            else:
                state.stored = OTHER
            o += length
            state.size += length
        if found == NULL:
            i = size
        else:
            i = found - data + 1
            o += _end_line(state, out + o, hard)
    written[0] = o
    return i


cdef inline Py_ssize_t _end_line(DataState* state, char* out, bint hard) noexcept nogil:
    """End the stored line; `hard` is a CRLF, the only thing behind which a dot is transparency or the end."""
    cdef Py_ssize_t o = 0
    if state.stored == LONE_DOT and (state.soft or not hard):
        out[0] = DOT
        o = 1
        state.size += 1
    out[o] = LF
    state.size += 2
    if state.stored == EMPTY:
        state.in_header = False
    if not hard:
        state.bare_newline = True
    state.at_start = hard
    state.soft = not hard
    state.stored = EMPTY
    return o + 1
