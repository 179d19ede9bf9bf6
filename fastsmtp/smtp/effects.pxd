cdef class Ask:
    cdef readonly object stage
    cdef readonly object subject


cdef class Ended:
    cdef readonly object transaction
