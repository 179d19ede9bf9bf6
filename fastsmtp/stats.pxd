cdef class Histogram:
    cdef long long[::1] _bounds
    cdef long long[::1] _cells
    cdef Py_ssize_t _first
    cdef Py_ssize_t _sum

    cpdef object observe(self, long long value)
    cpdef object observe_and_count(self, long long value, Py_ssize_t cell)
    cdef Py_ssize_t _bucket(self, long long value) except -1
