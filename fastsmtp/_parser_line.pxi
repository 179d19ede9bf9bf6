"""One command line, without its CRLF: what it says, and whether it can be one at all."""


cdef bint _is_bdat(const char* line, Py_ssize_t size):
    """Whether the line begins like a BDAT: then octets follow it that are no commands, and nobody knows how many."""
    cdef const char* verb = b"BDAT"
    cdef int i
    if size < 4:
        return False
    for i in range(4):
        if line[i] & 0xDF != verb[i]:
            return False
    return size == 4 or not _is_alphanumeric(line[4])


cdef inline bint _is_alphanumeric(char byte) noexcept nogil:
    return 48 <= byte <= 57 or 65 <= byte <= 90 or 97 <= byte <= 122


cdef object _split_command(const char* line, Py_ssize_t size):
    """(verb in upper case, argument) of a line without its CRLF, or the fault of a control character."""
    cdef Py_ssize_t i, verb_end
    cdef unsigned char byte
    cdef bytes verb
    cdef char* letters
    for i in range(size):
        byte = <unsigned char>line[i]
        if (byte < SP and byte != TAB) or byte == DEL:
            return FAULT_CHUNK_LOST if _is_bdat(line, size) else FAULT_BAD_BYTES
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
