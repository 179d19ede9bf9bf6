cdef class FlowControl:
    cdef object _transport
    cdef public bint can_write
    cdef public bint is_reading
