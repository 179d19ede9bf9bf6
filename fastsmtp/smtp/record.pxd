cdef class Notes:
    cdef dict _notes


cdef class Authentication:
    cdef readonly str method
    cdef readonly str result
    cdef readonly tuple properties
    cdef readonly str reason

    cpdef __post_init__(self)


cdef class Result:
    cdef readonly object plugin
    cdef readonly object outcome
    cdef readonly object evidence
    cdef readonly Authentication authentication
    cdef public str written
