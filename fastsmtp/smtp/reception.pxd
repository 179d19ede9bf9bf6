from fastsmtp._parser cimport Parser
from fastsmtp.smtp.load cimport Load
from fastsmtp.smtp.message cimport Message


cdef class Reception:
    cdef long long _announced
    cdef long long _counted
    cdef Load _load
    cdef object _options
    cdef Parser _parser
    cdef object _refusal
    cdef public long long chunk
    cdef public object dropped
    cdef public Message message

    cpdef bint has_room(self, octets) except -1
    cpdef object start(self, Message message)
    cdef object _start(self, Message message)
    cpdef bint take(self, bytes piece) except -1
    cpdef object refuse(self, object reply)
    cpdef object shed(self)
    cpdef object finish(self, Py_ssize_t copies)
    cpdef object check(self)
    cpdef object forget(self)
    cdef object _count(self)
