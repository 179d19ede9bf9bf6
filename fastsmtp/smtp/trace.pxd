cimport cython

from fastsmtp._parser cimport is_printable_ascii
from fastsmtp.smtp.address cimport Address
from fastsmtp.smtp.transaction cimport Connection, Hello, Recipient, Transaction


cpdef bytes return_path(Address sender)
cpdef bytes delivered_to(Address recipient)
@cython.locals(connection=Connection, hello=Hello, words=list, text=str)
cpdef bytes received(Transaction transaction, str hostname, double now)
@cython.locals(text=str)
cdef str _text(Address address)
@cython.locals(field=str, column=Py_ssize_t, word=str)
cdef tuple _fold(tuple begun, list words)
