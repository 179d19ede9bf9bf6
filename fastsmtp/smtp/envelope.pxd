from fastsmtp.smtp.dialogue cimport Dialogue

cpdef object mail(Dialogue dialogue, bytes argument)
cdef object _begin(Dialogue dialogue, object sender, object parameters)
cpdef object _mail_answered(Dialogue dialogue, object answer)
cpdef object rcpt(Dialogue dialogue, bytes argument)
cpdef object _rcpt_answered(Dialogue dialogue, object answer)
cpdef object rset(Dialogue dialogue, bytes argument)
