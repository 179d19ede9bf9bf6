cimport cython

from fastsmtp.pipeline.guard cimport Guard
from fastsmtp.smtp.transaction cimport Connection, Transaction


cdef class Chain:
    cdef object _background
    cdef dict _hooks
    cdef object _now

    cpdef tuple guards(self, stage)
    cpdef object ask_all(self, tuple guards, tuple args)
    @cython.locals(connection=Connection, guard=Guard, begun=cython.longlong, index=Py_ssize_t)
    cdef object _go_on(self, tuple guards, Py_ssize_t first, tuple args)
    cdef tuple _weigh(self, Guard guard, tuple args, opinion)


@cython.locals(transaction=Transaction)
cdef Connection _connection_of(about)
cdef object _subject(tuple args)
