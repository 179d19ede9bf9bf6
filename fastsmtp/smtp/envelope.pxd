cimport cython

from fastsmtp.smtp.address cimport Address
from fastsmtp.smtp.commands cimport parse_mail, parse_rcpt
from fastsmtp.smtp.dialogue cimport Dialogue
from fastsmtp.smtp.extensions cimport MailParameters
from fastsmtp.smtp.replies cimport Reply
from fastsmtp.smtp.transaction cimport Hello, Recipient, Transaction


@cython.locals(hello=Hello, sender=Address, parameters=MailParameters, transaction=Transaction)
cpdef object mail(Dialogue dialogue, bytes argument)
cdef Transaction _begin(Dialogue dialogue, Address sender, MailParameters parameters)
@cython.locals(reply=Reply)
cpdef object _mail_answered(Dialogue dialogue, object answer)
@cython.locals(transaction=Transaction, recipient=Address)
cpdef object rcpt(Dialogue dialogue, bytes argument)
@cython.locals(transaction=Transaction, reply=Reply)
cpdef object _rcpt_answered(Dialogue dialogue, object answer)
cpdef object rset(Dialogue dialogue, bytes argument)
