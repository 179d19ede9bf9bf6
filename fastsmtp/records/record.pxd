cimport cython

from fastsmtp.log.encoding cimport encode_value
from fastsmtp.smtp.transaction cimport Connection, Recipient, Transaction


cpdef bytes encode_record(bytes line, Transaction transaction)
@cython.locals(connection=Connection, recipient=Recipient)
cdef dict _more(Transaction transaction)
