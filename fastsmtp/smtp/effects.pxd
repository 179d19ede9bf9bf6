from fastsmtp.smtp.transaction cimport Transaction


cdef class Ask:
    cdef readonly object stage
    cdef readonly object subject


cdef class Ended:
    cdef readonly Transaction transaction
