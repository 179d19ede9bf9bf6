cdef class Histogram:
    cdef tuple _bounds
    cdef object _cells
    cdef Py_ssize_t _first
    cdef Py_ssize_t _sum

    cpdef object observe(self, value)
