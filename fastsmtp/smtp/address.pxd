cimport cython

from fastsmtp._parser cimport is_dot_string, plain_path


cdef class Address:
    cdef readonly str local
    cdef readonly str domain
    cdef public str _text

    cpdef __post_init__(self)


@cython.locals(plain=tuple, end=Py_ssize_t)
cdef tuple _plain_path(bytes argument)
cdef tuple _parse_path(bytes argument, bint smtputf8)
cpdef tuple parse_reverse_path(bytes argument, bint smtputf8=*)
cpdef tuple parse_forward_path(bytes argument, bint smtputf8=*)
