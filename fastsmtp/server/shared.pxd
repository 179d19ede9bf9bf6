from fastsmtp.log.line_log cimport LineLog
from fastsmtp.records.writer cimport RecordWriter
from fastsmtp.smtp.counters cimport ReplyCounter


cdef class ConnectionStats:
    cdef object _stats
    cdef readonly long long[::1] cells
    cdef readonly ReplyCounter replies
    cdef readonly Py_ssize_t open
    cdef readonly Py_ssize_t received
    cdef readonly Py_ssize_t faults
    cdef readonly Py_ssize_t early_talkers
    cdef readonly dict limits
    cdef readonly dict seconds
    cdef readonly dict stages


cdef class ListenerStats:
    cdef readonly Py_ssize_t accepted
    cdef readonly dict ended
    cdef readonly Py_ssize_t turned_away


cdef class Shared:
    cdef public object loop
    cdef public object admission
    cdef public ConnectionStats stats
    cdef public object clock
    cdef public LineLog log
    cdef public object ids
    cdef public RecordWriter records
    cdef public bint draining
    cdef public set open
    cdef public object sample
    cdef public object emptied
    cdef public object turns
    cdef public object round

    cpdef object now_s(self)
