cdef class MailParameters:
    cdef public object size
    cdef public str body
    cdef public bint smtputf8
    cdef public bint require_tls


cpdef MailParameters parse_mail_parameters(bytes rest, object offered)
cpdef object parse_rcpt_parameters(bytes rest)
