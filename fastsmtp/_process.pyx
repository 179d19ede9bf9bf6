# cython: language_level=3, auto_pickle=False, autotestdict=False
"""What a process asks of the kernel about itself, and Python has no call for (prctl(2))."""

import os

from libc.errno cimport errno
from libc.signal cimport SIGKILL

cdef extern from "<sys/prctl.h>" nogil:
    int prctl(int option, ...)
    int PR_SET_PDEATHSIG
    int PR_SET_NAME
    int PR_SET_NO_NEW_PRIVS


def die_with_parent():
    """die_with_parent()
--

Be killed (SIGKILL) as soon as the thread that started this process ends. A change of credentials undoes it.

Who calls this looks at the parent afterwards: it may have ended before."""
    _checked(prctl(PR_SET_PDEATHSIG, <unsigned long>SIGKILL, 0, 0, 0))


def forbid_new_privileges():
    """forbid_new_privileges()
--

From now on no program that this process or its children start has more rights than they (set-user-ID and the like)."""
    _checked(prctl(PR_SET_NO_NEW_PRIVS, <unsigned long>1, <unsigned long>0, <unsigned long>0, <unsigned long>0))


def set_name(bytes name):
    """set_name(name)
--

Call this process so in `top` and `ps -c`; the kernel keeps 15 octets."""
    cdef const char *text = name
    _checked(prctl(PR_SET_NAME, text, 0, 0, 0))


cdef int _checked(int result) except -1:
    if result != 0:
        raise OSError(errno, os.strerror(errno))
    return 0
