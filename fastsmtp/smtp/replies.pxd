from fastsmtp._parser cimport is_printable_ascii


cdef class Reply:
    cdef readonly long code
    cdef readonly str enhanced
    cdef readonly str text
    cdef readonly bint closes
    cdef readonly str limit
    cdef public bytes wire

    cpdef __post_init__(self)
    cdef str _careful_wire(self, str prefix)
    cpdef bytes wire_naming(self, str id_)


cpdef Reply stored_as(str transaction_id)
