from fastsmtp.smtp.address cimport Address
from fastsmtp.smtp.message cimport Message
from fastsmtp.smtp.record cimport Notes
from fastsmtp.smtp.replies cimport Reply


cdef class Hello:
    cdef public str verb
    cdef public str name
    cdef public dict extensions


cdef class Connection:
    cdef public str id
    cdef public str remote_address
    cdef public object remote_port
    cdef public str local_address
    cdef public object local_port
    cdef public Hello hello
    cdef public object tls
    cdef public str user
    cdef public Reply naughty
    cdef public str naughty_by
    cdef public bint naughty_observed
    cdef public bint early_talker
    cdef public bint pipelined_too_much
    cdef public bint is_known
    cdef public bint is_trusted
    cdef public str listener
    cdef public str proxy_address
    cdef public str remote_name
    cdef public Notes notes
    cdef public list results
    cdef public list refused_commands
    cdef public list answers


cdef class Recipient:
    cdef public Address address
    cdef public tuple mailboxes
    cdef public Reply reply
    cdef public Reply refusal


cdef class Transaction:
    cdef public str id
    cdef public Connection connection
    cdef public Address sender
    cdef public object declared_size
    cdef public str body
    cdef public bint smtputf8
    cdef public bint require_tls
    cdef public list recipients
    cdef public list refusals
    cdef public Message message
    cdef public Notes notes
    cdef public list results
    cdef public Reply reply
    cdef public str outcome
    cdef public long long begun_ns
    cdef public bint replies_each
    cdef public list refused_commands
    cdef public list answers
