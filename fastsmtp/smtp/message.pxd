cdef class Header:
    cdef list _fields
    cdef Py_ssize_t _lines
    cdef readonly bytes raw

    cpdef list fields(self)
    cdef Py_ssize_t _line_count(self) except -1
    cpdef bint has_more_fields(self, Py_ssize_t count) except -1
    cpdef bint begins(self) except -1
    cpdef bint has_more(self, bytes name, Py_ssize_t count) except -1


cdef class Message:
    cdef list _added
    cdef list _body
    cdef long long _body_limit
    cdef long long _body_size
    cdef Py_ssize_t _coalesce_at
    cdef Header _header
    cdef list _header_pieces
    cdef object _make_spool
    cdef public bint header_complete
    cdef public long long held
    cdef public long long size
    cdef public object spool

    cpdef object append(self, bytes piece)
    cpdef object begin_body(self)
    cpdef object spool_above(self, long long octets, object make_spool)
    cpdef object finish(self)
    cpdef object drop(self)
    cdef object _spill(self)
    cdef object _coalesce(self, list pieces)
