cimport cython

from fastsmtp.pipeline.pipeline cimport Pipeline
from fastsmtp.server.shared cimport ConnectionStats, ListenerStats, Shared
from fastsmtp.smtp.options cimport SessionOptions
from fastsmtp.smtp.transaction cimport Transaction


cdef class Service:
    cdef public str name
    cdef public Shared shared
    cdef public SessionOptions options
    cdef public object patience
    cdef public Pipeline pipeline
    cdef public object tls
    cdef public object trust
    cdef public ListenerStats counts

    @cython.locals(shared=Shared, stats=ConnectionStats, line=bytes)
    cpdef object ended(self, Transaction transaction)
