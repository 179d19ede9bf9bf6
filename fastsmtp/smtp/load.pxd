from fastsmtp.smtp.replies cimport Reply


cdef class Load:
    cdef long long[::1] _cells
    cdef Py_ssize_t _deferred
    cdef Py_ssize_t _full
    cdef public Reply deferral
    cdef public object limit
    cdef public object most
    cdef public long long octets

    cpdef Reply refusal(self)
    cpdef Reply full(self)
