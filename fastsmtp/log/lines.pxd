cimport cython

from fastsmtp.log.encoding cimport encode_value, iso_time, quoted
from fastsmtp.smtp.transaction cimport Connection, Hello, Recipient, Transaction


@cython.locals(
    connection=Connection, hello=Hello, microseconds=cython.longlong, milliseconds=cython.longlong, tls=str, reply=str,
    refused=str, results=str, user=str,
)
cpdef bytes encode_transaction(Transaction transaction, double time, long long duration_ns)
@cython.locals(recipient=Recipient)
cdef str _recipients(list recipients)
cdef list _refused(Transaction transaction)
