cdef tuple _parse_path(bytes argument, bint smtputf8)
