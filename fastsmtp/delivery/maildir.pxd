cdef class _Names:
    cdef bytes _process
    cdef bytes _host
    cdef long long _count


cdef class MaildirStore:
    cdef readonly object room
    cdef readonly object spools
    cdef readonly object quotas
    cdef object _settings
    cdef object _hostname
    cdef object _clock
    cdef object _stats
    cdef object _counts
    cdef bint _waits_for_disk
    cdef object _resources
    cdef object _batcher
    cdef object _checkpointer
    cdef object _sweeper
    cdef _Names _names
    cdef object _writer
    cdef long long _limit


cdef list _content(message)
