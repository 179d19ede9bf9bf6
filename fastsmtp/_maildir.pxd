"""What `_maildir` works on while it has no GIL: C arrays that point into the Python bytes of the batch."""

from posix.uio cimport iovec

cdef extern from "<pthread.h>" nogil:
    ctypedef unsigned long pthread_t

cdef extern from "<semaphore.h>" nogil:
    ctypedef struct sem_t:
        pass


cdef enum Step:
    OPEN_TMP
    OPEN_NEW
    MAKE
    CREATE
    WRITE
    SYNC
    CLOSE
    RENAME
    SYNC_NEW


# Declared first, because files and messages point at each other.
cdef struct Mail


cdef struct Mailbox:
    const char *domain
    const char *user
    int tmp             # descriptors of the two directories, -1 while closed
    int new
    bint kept           # they stay open until the end of the batch
    bint published      # something was put into new/
    int sync_error      # what fsync said of new/


cdef struct File:
    Mail *mail
    Mailbox *mailbox
    const char *name
    iovec head
    int fd              # written, not yet synced nor closed; else -1
    bint in_tmp
    bint in_new


cdef struct Mail:
    File *files
    Py_ssize_t file_count
    iovec *pieces       # the first is room for the head of one file after the other
    int piece_count
    int error           # errno, 0 while all is well; then where it happened:
    Step step
    File *culprit
    int left_behind     # files that could not be taken back


cdef struct Batch:
    int root
    bint durable
    bint walk           # no openat2 here
    int room            # how many more descriptors may be kept open
    Step step           # the one that is being taken
    Mail *mails
    Py_ssize_t mail_count
    File *files         # of all messages
    Py_ssize_t file_count
    Mailbox *mailboxes
    Py_ssize_t mailbox_count
    iovec *pieces       # of all messages


cdef struct Desk:
    # What the writer's thread and everybody else look at; the semaphore and the event say whose turn it is.
    sem_t wake          # there is a batch, or else it is time to stop
    int event           # an eventfd: the batch is done
    bint has_work
    Batch work
