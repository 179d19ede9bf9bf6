from fastsmtp.smtp.load cimport Load
from fastsmtp.smtp.replies cimport Reply


cdef class Room:
    cdef public object octets


cdef class SessionOptions:
    cdef readonly str hostname
    cdef readonly str protocol
    cdef readonly str banner
    cdef readonly long long message_size
    cdef readonly long long recipients
    cdef readonly Py_ssize_t command_line
    cdef readonly Py_ssize_t header_size
    cdef readonly Py_ssize_t header_fields
    cdef readonly Py_ssize_t hops
    cdef readonly long long errors
    cdef readonly long long unknown_commands
    cdef readonly long long messages
    cdef readonly long long commands
    cdef readonly long long nonmail_commands
    cdef readonly str pipelining
    cdef readonly long long spool_above
    cdef readonly object make_spool
    cdef readonly Room room
    cdef readonly Load load
    cdef readonly str bare_newline
    cdef readonly frozenset asks
    cdef readonly bint starttls
    cdef readonly bint requires_tls
    cdef readonly object auth
    cdef readonly bint xclient
    cdef public object extensions
    cdef public object tls_extensions
    cdef public Reply greeting
    cdef public Reply helo_reply
    cdef public Reply ehlo_reply
    cdef public Reply tls_ehlo_reply

    cdef Reply _list(self, object extensions)
