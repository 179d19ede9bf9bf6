cdef class ReplyCounter:
    cdef long long[::1] _cells
    cdef dict _first
    cdef Py_ssize_t _unknown
    cdef dict _limits
    cdef Py_ssize_t _pipelined

    cpdef object count(self, bytes verb, Py_ssize_t code)
    cpdef object reach(self, str limit)
    cpdef object pipelined(self)
