cdef class Round:
    cdef object _loop
    cdef list _members
