from fastsmtp.log.encoding cimport shortened


cdef class RecordWriter:
    cdef object _file
    cdef object _loop
    cdef long long[::1] _cells
    cdef Py_ssize_t _kept
    cdef Py_ssize_t _lost
    cdef list _pending
    cdef Py_ssize_t _pending_bytes
    cdef object _timer
    cdef object _changed
    cdef object _batches
    cdef Py_ssize_t _waiting_bytes
    cdef bint _is_ending
    cdef bint _is_failing
    cdef object _thread

    cpdef take_encoded(self, bytes record)
