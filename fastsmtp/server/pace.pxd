cdef class Pace:
    cdef public long long received
    cdef public bint had_message
    cdef object _patience
    cdef double _end_s
    cdef double _idle_end_s
    cdef long long _span_from
    cpdef double next_command(self, double now_s)
    cpdef double next_span(self, double now_s)
    cpdef rest(self)
