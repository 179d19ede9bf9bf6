from fastsmtp.pipeline.chain cimport Chain


cdef class Pipeline:
    cdef long long[::1] _cells
    cdef Chain _chain
    cdef tuple _data_guards
    cdef object _directory
    cdef tuple _headers_guards
    cdef object _login_desk
    cdef dict _lookups
    cdef tuple _mail_guards
    cdef tuple _message_guards
    cdef object _quotas
    cdef bint _queue_hooks
    cdef tuple _rcpt_guards
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
