from fastsmtp.smtp.dialogue cimport Dialogue

cpdef object data(Dialogue dialogue, bytes argument)
cpdef object _data_answered(Dialogue dialogue, object answer)
cpdef object refusal_to_start(Dialogue dialogue, object answer)
cpdef object take_piece(Dialogue dialogue, bytes piece)
cpdef object end_of_data(Dialogue dialogue)
cdef object _ask_message(Dialogue dialogue)
cpdef object _message_answered(Dialogue dialogue, object answer)
cpdef object _queue_answered(Dialogue dialogue, object answer)
