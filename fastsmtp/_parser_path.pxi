"""The path that nearly every MAIL and RCPT has, `<dot-string@domain>` in ASCII; for others smtp.address has the grammar."""

from cpython.unicode cimport PyUnicode_DecodeASCII

cdef extern from "Python.h":
    bint PyUnicode_IS_ASCII(object text)
    const char* PyUnicode_DATA(object text)

cdef enum:
    LABEL_OCTETS = 63
    DOMAIN_OCTETS = 255
    PATH_OCTETS = 256

cdef char[128] ATEXT  # RFC 5322 section 3.2.3
cdef int atext
for atext in b"!#$%&'*+-/=?^_`{|}~" + bytes(range(48, 58)) + bytes(range(65, 91)) + bytes(range(97, 123)):
    ATEXT[atext] = 1


cpdef Py_ssize_t path_begin(bytes argument, bytes keyword) noexcept:
    """Where the path begins behind a keyword (in upper case, with its colon) and blanks, or -1: the keyword is not there."""
    cdef const char* text = PyBytes_AS_STRING(argument)
    cdef const char* wanted = PyBytes_AS_STRING(keyword)
    cdef Py_ssize_t i
    if PyBytes_GET_SIZE(argument) < PyBytes_GET_SIZE(keyword):
        return -1
    for i in range(PyBytes_GET_SIZE(keyword)):
        if text[i] != wanted[i] and not (65 <= wanted[i] <= 90 and text[i] == wanted[i] + 32):
            return -1
    i = PyBytes_GET_SIZE(keyword)
    while text[i] == SP:  # behind the last octet there is a NUL
        i += 1
    return i


cpdef tuple plain_path(bytes argument):
    """Local part, domain in lower case, and where the path ends with which the argument begins; None: ask the grammar."""
    cdef const char* text = PyBytes_AS_STRING(argument)
    cdef Py_ssize_t size = min(PyBytes_GET_SIZE(argument), PATH_OCTETS)
    cdef Py_ssize_t at, end
    cdef char[DOMAIN_OCTETS] lower
    if size < 1 or text[0] != 60:  # <
        return None
    at = 1 + _dot_string(text + 1, size - 1)
    if at == 1 or at == size or text[at] != 64:  # @
        return None
    end = at + 1 + _domain(text + at + 1, size - at - 1, lower)
    if end == at + 1 or end == size or text[end] != 62:  # >
        return None
    return PyUnicode_DecodeASCII(text + 1, at - 1, NULL), PyUnicode_DecodeASCII(lower, end - at - 1, NULL), end + 1


cpdef bint is_dot_string(str text) noexcept:
    """Whether a local part can stand as it is, and is ASCII (RFC 5321 section 4.1.2)."""
    if not text or not PyUnicode_IS_ASCII(text):
        return False
    return _dot_string(PyUnicode_DATA(text), len(text)) == len(text)


cpdef bint is_printable_ascii(str text) except -1:
    """Whether there is nothing in a text but printable ASCII: no control character, and so no line break."""
    cdef const char* chars
    cdef Py_ssize_t i
    if text is None:  # which no type keeps out of what a plugin says
        raise TypeError("a text is wanted, not None")
    if not PyUnicode_IS_ASCII(text):
        return False
    chars = PyUnicode_DATA(text)
    for i in range(len(text)):
        if chars[i] < SP or chars[i] == DEL:
            return False
    return True


cdef Py_ssize_t _dot_string(const char* text, Py_ssize_t size) noexcept:
    """How many octets of dot-string the text begins with; none of a dot-string that ends in a dot."""
    cdef Py_ssize_t i = 0
    cdef bint in_atom = False
    while i < size:
        if text[i] == DOT and in_atom:
            in_atom = False
        elif <unsigned char>text[i] < 128 and ATEXT[<unsigned char>text[i]]:
            in_atom = True
        else:
            break
        i += 1
    return i if in_atom else 0


cdef Py_ssize_t _domain(const char* text, Py_ssize_t size, char* lower) noexcept:
    """How many octets of domain the text begins with, written in lower case to `lower`; none of one that is too long."""
    cdef Py_ssize_t i = 0
    cdef Py_ssize_t label = 0
    while i < size and i < DOMAIN_OCTETS:
        if text[i] == DOT:
            if label == 0 or text[i - 1] == 45:  # a label does not end in a hyphen
                return 0
            label = 0
        elif _is_alphanumeric(text[i]) or text[i] == 95 or (text[i] == 45 and label > 0):
            label += 1
            if label > LABEL_OCTETS:
                return 0
        else:
            break
        lower[i] = text[i] + 32 if 65 <= text[i] <= 90 else text[i]
        i += 1
    return 0 if label == 0 or text[i - 1] == 45 else i
