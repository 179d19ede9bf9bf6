cdef class Item:
    cdef readonly object transaction_id
    cdef readonly object delivery
    cdef readonly object spool
