from fastsmtp._parser cimport Parser
from fastsmtp.smtp.counters cimport ReplyCounter
from fastsmtp.smtp.reception cimport Reception


cdef class Dialogue:
    cdef readonly object options
    cdef public object connection
    cdef public dict transitions
    cdef public object state
    cdef public object transaction
    cdef public bint closing
    cdef public bytes verb
    cdef public frozenset asks
    cdef public object extensions
    cdef public tuple naughty_at_door
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
    cdef public object candidate
    cdef public object exchange
    cdef public long long wrong_passwords

    cpdef object reply(self, object reply, str id_=*)
    cdef bytes _refuse(self, object reply, str id_)
    cpdef object error(self, object reply, str id_=*)
    cpdef bint permits_talk(self) except -1
    cpdef bint permits_message(self) except -1
    cpdef bint permits_input(self) except -1
    cpdef object ask(self, object ask, object go_on)
    cpdef object conclude(self, object reply)
    cpdef object conclude_message(self, object reply)
    cdef object _conclude_each(self, object transaction, object reply)
    cpdef object settle(self, object reply)
    cpdef object end(self, str outcome)
