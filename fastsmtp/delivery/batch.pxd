cdef class Waiting:
    cdef readonly object item
    cdef readonly long long size
    cdef readonly long long journal_bytes
    cdef readonly object answer


cdef class StoreCounts:
    cdef object _cells
    cdef dict _messages
    cdef Py_ssize_t _bytes
    cdef object _batch_messages
    cdef object _commit_ns
    cdef Py_ssize_t _stalls
