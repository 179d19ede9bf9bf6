cimport cython

from fastsmtp.stats cimport Histogram


cdef class Receipt:
    cdef readonly object item
    cdef readonly long long size
    cdef readonly long long journal_bytes
    cdef object _reader
    cdef object _future
    cdef object _reply

    cpdef tell(self, reader)
    cpdef settle(self, reply)


cdef class StoreCounts:
    cdef long long[::1] _cells
    cdef dict _messages
    cdef Py_ssize_t _bytes
    cdef Histogram _batch_messages
    cdef Histogram _commit_ns
    cdef Py_ssize_t _stalls

    cpdef batch(self, Py_ssize_t messages, long long elapsed_ns)
    cpdef message(self, reply, long long size)


cdef class Batcher:
    cdef object _writer
    cdef object _pending
    cdef list _batch
    cdef long long _begun_ns
    cdef bint _is_open
    cdef bint _is_busy
    cdef object _stall
    cdef object _idle
    cdef StoreCounts _counts
    cdef double _stall_s
    cdef object _loop
    cdef int _descriptor

    cpdef Receipt put(self, item, long long size, long long journal_bytes=?)
    @cython.locals(counts=StoreCounts, receipt=Receipt)
    cdef _answer(self, list answers, long long elapsed_ns)
