from fastsmtp._parser cimport Parser
from fastsmtp.smtp.load cimport Load
from fastsmtp.smtp.message cimport Message
from fastsmtp.smtp.options cimport SessionOptions
from fastsmtp.smtp.replies cimport Reply


cdef class Reception:
    cdef long long _announced
    cdef long long _counted
    cdef Load _load
    cdef SessionOptions _options
    cdef Parser _parser
    cdef Reply _refusal
    cdef public long long chunk
    cdef public object dropped
    cdef public Message message

    cpdef bint has_room(self, octets) except -1
    cpdef object start(self, Message message)
    cdef object _start(self, Message message)
    cpdef bint take(self, bytes piece) except -1
    cdef Reply _too_many_fields(self)
    cpdef object refuse(self, Reply reply)
    cpdef object shed(self)
    cpdef Reply finish(self, Py_ssize_t copies)
    cpdef Reply check(self)
    cpdef object forget(self)
    cdef object _count(self)
