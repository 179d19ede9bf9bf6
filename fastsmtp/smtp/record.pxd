cdef class Notes:
    cdef dict _notes
