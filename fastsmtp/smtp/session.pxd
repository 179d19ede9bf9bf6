cimport cython

from fastsmtp.smtp.dialogue cimport Dialogue
from fastsmtp.smtp.replies cimport Reply


cdef class Session(Dialogue):
    cdef bint _draining
    cdef bint _finishes

    cpdef object feed(self, bytes data)
    cpdef object advance(self)
    cpdef object resume(self, object answer)
    cpdef bytes take_output(self)
    cdef bint _goes_on(self) except -1
    @cython.locals(row=dict)
    cdef object _take_command(self, bytes verb, bytes argument)
