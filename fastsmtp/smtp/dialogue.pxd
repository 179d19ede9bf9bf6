from fastsmtp._parser cimport Parser
from fastsmtp.smtp.address cimport Address
from fastsmtp.smtp.counters cimport ReplyCounter
from fastsmtp.smtp.options cimport SessionOptions
from fastsmtp.smtp.reception cimport Reception
from fastsmtp.smtp.replies cimport Reply
from fastsmtp.smtp.transaction cimport Connection, Transaction


cdef class Dialogue:
    cdef readonly SessionOptions options
    cdef public Connection connection
    cdef public dict transitions
    cdef public object state
    cdef public Transaction transaction
    cdef public bint closing
    cdef public bytes verb
    cdef public frozenset asks
    cdef public object extensions
    cdef readonly object ids
    cdef ReplyCounter _counter
    cdef Parser _parser
    cdef readonly Reception reception
    cdef list _output
    cdef object _effect
    cdef object _continue
    cdef public long long _errors
    cdef long long _unknown
    cdef long long _nonmail
    cdef long long _messages
    cdef public Address candidate
    cdef public object exchange
    cdef public long long wrong_passwords

    cpdef Transaction current(self)
    cpdef object reply(self, Reply reply, str id_=*)
    cdef bytes _refuse(self, Reply reply, str id_)
    cpdef object error(self, Reply reply, str id_=*)
    cpdef bint permits_talk(self) except -1
    cpdef bint permits_message(self) except -1
    cpdef bint permits_input(self) except -1
    cpdef object ask(self, object ask, object go_on)
    cpdef object conclude(self, Reply reply)
    cpdef object conclude_message(self, Reply reply)
    cdef object _conclude_each(self, Transaction transaction, Reply reply)
    cpdef object settle(self, Reply reply)
    cpdef object end(self, str outcome)
