cimport cython

from fastsmtp.smtp.dialogue cimport Dialogue
from fastsmtp.smtp.message cimport Message
from fastsmtp.smtp.replies cimport Reply
from fastsmtp.smtp.transaction cimport Transaction


cpdef object data(Dialogue dialogue, bytes argument)
@cython.locals(refusal=Reply)
cpdef object _data_answered(Dialogue dialogue, object answer)
@cython.locals(transaction=Transaction)
cpdef Reply refusal_to_start(Dialogue dialogue, object answer)
cpdef object take_piece(Dialogue dialogue, bytes piece)
@cython.locals(transaction=Transaction, message=Message, refusal=Reply)
cpdef object end_of_data(Dialogue dialogue)
cdef object _ask_message(Dialogue dialogue)
cpdef object _message_answered(Dialogue dialogue, object answer)
cpdef object _queue_answered(Dialogue dialogue, object answer)
