cdef class Load:
    cdef object _cells
    cdef Py_ssize_t _deferred
    cdef Py_ssize_t _full
    cdef public object deferral
    cdef public object limit
    cdef public object most
    cdef public long long octets

    cpdef object refusal(self)
    cpdef object full(self)
