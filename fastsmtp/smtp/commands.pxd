cimport cython

from fastsmtp._parser cimport path_begin
from fastsmtp.smtp.address cimport Address, parse_forward_path, parse_reverse_path
from fastsmtp.smtp.extensions cimport MailParameters, parse_mail_parameters, parse_rcpt_parameters


@cython.locals(begin=Py_ssize_t, path=bytes, sender=Address, rest=bytes, parameters=MailParameters)
cpdef tuple parse_mail(bytes argument, object offered)
@cython.locals(begin=Py_ssize_t, recipient=Address, rest=bytes)
cpdef Address parse_rcpt(bytes argument, bint smtputf8)
cpdef tuple parse_bdat(bytes argument)
