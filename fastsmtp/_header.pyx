# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
# cython: auto_pickle=False, autotestdict=False
"""The fields of a header (RFC 5322 section 2.2), out of its bytes in one pass."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.string cimport memchr

cdef inline bint _is_blank(char octet) noexcept:
    return octet == b" " or octet == b"\t"


cdef inline char _lower(char octet) noexcept:
    return octet + 32 if b"A" <= octet <= b"Z" else octet


def split_header(bytes raw not None):
    """split_header(raw)
--

All fields in order as (name in lower case, value); values are unfolded and stripped of blanks and CR at both ends.

Lines end in LF. One that is no field (no colon, no name, a blank before any field) is skipped.
"""
    cdef const char* at = PyBytes_AS_STRING(raw)
    cdef const char* end = at + PyBytes_GET_SIZE(raw)
    cdef const char* line_end
    cdef const char* colon
    cdef const char* line
    cdef list fields = []
    cdef list lines
    cdef bytes name
    cdef object value
    while at < end:
        line, line_end = at, _end_of_line(at, end)
        at = line_end + 1
        if _is_blank(line[0]):
            continue  # it folds no field
        colon = <const char*>memchr(line, b":", line_end - line)
        if colon == NULL:
            continue
        name = _lowered(line, colon)
        if not name:
            continue
        value = _stripped(colon + 1, line_end)
        if at < end and _is_blank(at[0]):
            lines = [value]
            while at < end and _is_blank(at[0]):
                line_end = _end_of_line(at, end)
                lines.append(_stripped(at, line_end))
                at = line_end + 1
            value = b" ".join(lines).strip(b" ")
        fields.append((name, value))
    return fields


def begins_line(bytes raw not None, bytes name not None):
    """begins_line(raw, name)
--

Whether a line begins with the name of a field, in whatever case; the name is in lower case.
"""
    cdef const char* wanted = PyBytes_AS_STRING(name)
    cdef Py_ssize_t size = PyBytes_GET_SIZE(name)
    cdef Py_ssize_t index
    cdef const char* at = PyBytes_AS_STRING(raw)
    cdef const char* end = at + PyBytes_GET_SIZE(raw)
    while end - at >= size:
        index = 0
        while index < size and _lower(at[index]) == wanted[index]:
            index += 1
        if index == size:
            return True
        at = _end_of_line(at, end) + 1
    return False


cdef inline const char* _end_of_line(const char* at, const char* end) noexcept:
    cdef const char* found = <const char*>memchr(at, b"\n", end - at)
    return end if found == NULL else found


cdef bytes _lowered(const char* begin, const char* end):
    """The name of a field; blanks before its colon are no part of it (RFC 5322 section 4.5.3)."""
    cdef bytes name
    cdef char* to
    cdef Py_ssize_t index
    while end > begin and _is_blank((end - 1)[0]):
        end -= 1
    name = PyBytes_FromStringAndSize(NULL, end - begin)
    to = PyBytes_AS_STRING(name)
    for index in range(end - begin):
        to[index] = _lower(begin[index])
    return name


cdef bytes _stripped(const char* begin, const char* end):
    while begin < end and (_is_blank(begin[0]) or begin[0] == b"\r"):
        begin += 1
    while begin < end and (_is_blank((end - 1)[0]) or (end - 1)[0] == b"\r"):
        end -= 1
    return PyBytes_FromStringAndSize(begin, end - begin)
