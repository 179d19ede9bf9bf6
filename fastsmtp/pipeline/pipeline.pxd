cdef class Pipeline:
    cdef object _cells
    cdef object _chain
    cdef object _directory
    cdef object _login_desk
    cdef dict _lookups
    cdef object _quotas
    cdef bint _queue_hooks
    cdef bint _rcpt_hooks
    cdef object _store
    cdef bint _tells_end

    cpdef object answer(self, ask, connection, transaction)
    cpdef object ended(self, transaction)
    cdef object _mail(self, transaction, decision)
    cdef object _rcpt(self, transaction, recipient)
    cdef object _rcpt_decided(self, transaction, decision)
    cdef object _locate(self, transaction, recipient, accepted)
    cdef object _located(self, transaction, recipient, accepted, whereabouts)
    cdef object _queue(self, transaction)
