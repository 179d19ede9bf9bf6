cimport cython

from fastsmtp.smtp.transaction cimport Connection, Transaction
from fastsmtp.stats cimport Histogram


cdef class Guard:
    cdef readonly object loaded
    cdef readonly object stage
    cdef readonly bint is_shadow
    cdef readonly long long ended_ns
    cdef readonly bint spares_exempt
    cdef bint _remembers
    cdef tuple _asked
    cdef long long[::1] _cells
    cdef dict _counts
    cdef object _hook
    cdef Py_ssize_t _none
    cdef object _now
    cdef Histogram _seconds

    cpdef object call(self, tuple args, long long begun)
    cdef object _settle(self, opinion, about, long long begun)
    @cython.locals(transaction=Transaction, connection=Connection, answers=list)
    cdef object _remember(self, about, answer, long long took_ns)
    cdef object _fault(self, error, about, long long begun)


cdef class ShadowGuard(Guard):
    cdef object _call_in_transaction(self, Transaction transaction, tuple args, long long begun)


cdef object _take_back(Transaction transaction, bint is_trusted, str remote_name, tuple fields)
