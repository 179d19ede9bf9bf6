cimport cython

from fastsmtp.log.encoding cimport encode_value, quoted
from fastsmtp.smtp.transaction cimport Connection, Recipient, Transaction


@cython.locals(more=dict)
cpdef bytes encode_record(bytes line, Transaction transaction)
@cython.locals(connection=Connection, recipient=Recipient)
cdef dict _more(Transaction transaction)
