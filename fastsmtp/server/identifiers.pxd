cdef class Identifiers:
    cdef object _now
    cdef long long _last
    cdef str _suffix


cdef str _name(long long value, list pairs, str suffix)
