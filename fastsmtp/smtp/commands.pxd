cpdef tuple parse_mail(bytes argument, object offered)
cpdef object parse_rcpt(bytes argument, bint smtputf8)
cpdef tuple parse_bdat(bytes argument)
