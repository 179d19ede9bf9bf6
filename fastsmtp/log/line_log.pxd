cdef class LineLog:
    cdef object _encode
    cdef bytes _end
    cdef object _outbox
    cdef object _loop
    cdef object _thread
    cdef list _pending
    cdef Py_ssize_t _pending_bytes
    cdef readonly object _timer  # tests look whether there is something to wait for

    cpdef write_encoded(self, bytes encoded)
    cdef _take(self, bytes encoded)
    cpdef flush(self)
