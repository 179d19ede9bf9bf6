cimport cython

from fastsmtp.server.flow cimport FlowControl
from fastsmtp.server.pace cimport Pace
from fastsmtp.server.service cimport Service
from fastsmtp.server.shared cimport Shared
from fastsmtp.smtp.effects cimport Ask, Ended
from fastsmtp.smtp.session cimport Session
from fastsmtp.stats cimport Histogram


cdef class ConnectionProtocol:
    cdef public double deadline
    cdef Service _service
    cdef Shared _shared
    cdef object _transport
    cdef FlowControl _flow
    cdef Pace _pace
    cdef readonly Session _session  # tests look at what plugins would be given
    cdef object _place
    cdef object _pending
    cdef object _handshake
    cdef long long _asked_ns
    cdef object _asked_stage
    cdef bint _eof
    cdef bint _gone
    cdef bint _told_gone
    cdef bint _had_transaction
    cdef bint _is_paused
    cdef bint _is_known
    cdef long long _held
    cdef bint _is_due
    cdef bint _is_waiting
    cpdef answered(self, answer)
    cpdef bint think(self) except -1
    cpdef speak(self)
    cdef _run(self)
    cdef bint _advance_safely(self) except -1
    cdef bint _advance(self) except -1
    @cython.locals(seconds=Histogram)
    cdef _resume(self, answer)
    cdef _wait(self, pending)
    cdef _write(self, bint waiting)
