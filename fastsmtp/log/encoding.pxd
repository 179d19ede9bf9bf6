cimport cython


@cython.locals(milliseconds=cython.longlong)
cpdef str iso_time(double seconds)
cpdef bytes encode_value(object value)
cpdef bytes shortened(bytes encoded, Py_ssize_t limit)
@cython.locals(char=Py_UCS4)
cpdef str quoted(str text)
