cimport cython

from fastsmtp.delivery.batch cimport Batcher, Receipt, StoreCounts
from fastsmtp.delivery.writer cimport Item


cdef class _Names:
    cdef str _process
    cdef str _host
    cdef long long _count

    @cython.locals(microseconds=cython.longlong, seconds=cython.longlong)
    cpdef bytes new(self, double now, long long size)


cdef class MaildirStore:
    cdef readonly object room
    cdef readonly object spools
    cdef readonly object quotas
    cdef object _settings
    cdef object _hostname
    cdef object _clock
    cdef object _stats
    cdef StoreCounts _counts
    cdef bint _waits_for_disk
    cdef object _resources
    cdef Batcher _batcher
    cdef object _checkpointer
    cdef object _sweeper
    cdef _Names _names
    cdef object _writer
    cdef long long _limit

    @cython.locals(content=list, content_size=cython.longlong, size=cython.longlong, total_size=cython.longlong,
                   spool_size=cython.longlong, piece=bytes, head=bytes, top=bytes, now=cython.double)
    cpdef store(self, transaction)
    cdef _write(self, Item item, long long total_size)


cdef list _content(message)
