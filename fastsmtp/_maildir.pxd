"""What `_maildir` works on while it has no GIL: C arrays that point into the Python bytes of the batch."""

from posix.types cimport off_t
from posix.uio cimport iovec

cdef extern from "<pthread.h>" nogil:
    ctypedef unsigned long pthread_t

cdef extern from "<semaphore.h>" nogil:
    ctypedef struct sem_t:
        pass


cdef enum:
    RECORD_ALIGNMENT = 8
    BATCH_ALIGNMENT = 4096  # what one batch has synced, the next one never writes again: no block of it can tear
    RECORD_HEADER = 32
    COPY_HEADER = 12
    HERE = -1  # in the place of an offset: where the file stands

cdef enum Step:
    OPEN_TMP
    OPEN_NEW
    MAKE
    CREATE
    WRITE
    SYNC
    CLOSE
    APPEND
    SYNC_JOURNAL
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
    bint reached        # they have been open in this batch
    bint made           # in this batch, and not synced at once
    bint foreign        # on another mount than the root
    bint published      # something was put into new/ that is on the disk when new/ is synced
    int sync_error      # what fsync said of the directories around tmp/ and new/, or of new/


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
    iovec *pieces       # the first is room for the head of one file after the other; behind the last is room for one
    int piece_count
    int spool           # a descriptor with the rest of the content
    long long spool_size
    int durability      # what is done for this message
    char *record        # the front of its record, which ends where the content begins
    size_t front_size
    size_t record_size  # without padding
    bint journalled     # the record is on the disk: the message is ours
    int error           # errno, 0 while all is well; then where it happened:
    Step step
    File *culprit
    int segment         # of the journal
    int left_behind     # files that could not be taken back


cdef struct Segment:
    int fd
    bint dead           # a write or a sync has failed: what it holds from there on is anybody's guess


cdef struct Ring:
    Segment *segments
    unsigned int count
    unsigned long long segment_size
    unsigned long long limit    # no larger record
    unsigned long long lap      # the position behind the last record
    unsigned long long offset
    unsigned long long allowed  # laps below this one may be written
    unsigned int dead
    int error                   # of the last segment that died


cdef struct Batch:
    int root
    int durability
    Ring *ring
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
    char *records       # the fronts of all records


cdef struct Desk:
    # What the writer's thread and everybody else look at; the semaphore and the event say whose turn it is.
    sem_t wake          # there is a batch, or else it is time to stop
    int event           # an eventfd: the batch is done
    bint has_work
    Batch work


# What `_salvage` needs, too.
cdef extern from "<fcntl.h>" nogil:
    enum: O_NOFOLLOW

cdef extern from "<limits.h>" nogil:
    enum: NAME_MAX

cdef extern from "<unistd.h>" nogil:
    int unlinkat(int, const char *, int)

cdef void *array(Py_ssize_t count, size_t size) except NULL
cdef unsigned int crc32(unsigned int crc, const unsigned char *data, size_t size) noexcept nogil
cdef unsigned long long round_up(unsigned long long size, unsigned int alignment) noexcept nogil
cdef int write_pieces(int fd, const iovec *pieces, int count, off_t offset) noexcept nogil
cdef bint is_foreign(int root, int fd) noexcept nogil
cdef int open_leaf(Batch *batch, Mailbox *mailbox, const char *leaf) noexcept nogil
