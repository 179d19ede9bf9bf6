# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, embedsignature=False
# cython: autotestdict=False
"""What a recovery does for each record and each file, without the GIL: read, compare, put where it belongs.

Only what is ordinary. The rules for reading a segment are those of `delivery.records`. What cannot be brought to its
mailbox is left to `delivery.restorer`, which takes the same steps and can deal with errors.
"""

from libc.stdlib cimport calloc, free
from libc.string cimport memset
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from posix.uio cimport iovec

cimport cython

from fastsmtp._maildir cimport RECORD_ALIGNMENT, RECORD_HEADER, Batch, Mailbox, array, round_up

cdef enum Outcome:
    LEFT                # for somebody else to see to
    ABSENT
    PRESENT
    RESTORED


cdef struct Wanted:
    # A copy that shall be in its mailbox.
    Py_ssize_t mailbox
    const char *name
    iovec pieces[2]     # the head and the content
    Outcome outcome


include "_salvage_records.pxi"
include "_salvage_compare.pxi"
include "_salvage_mailbox.pxi"


cdef void set_place(iovec *piece, const char *begin, const char *end) noexcept nogil:
    piece.iov_base = <void *>begin
    piece.iov_len = end - begin


cdef bytes text(const iovec *piece):
    return PyBytes_FromStringAndSize(<const char *>piece.iov_base, piece.iov_len)


@cython.final
@cython.auto_pickle(False)
cdef class Salvage:
    """The copies that records want to have in mailboxes.

    `root` is a descriptor of the directory that holds the domains. `stretches` are segments, each with the offset of
    a first record and that of the end of the last one, as `delivery.records` finds them. `records` is how many there
    are, the length is how many copies. Raises ValueError where there is no record.
    """

    cdef int _root
    cdef Wanted *_wanted        # those of a mailbox in a row
    cdef Py_ssize_t _count
    cdef Mailbox *_mailboxes
    cdef dict _numbers          # of mailboxes, by domain and user
    cdef list _names            # keeps the bytes alive that the copies point into, and so does the next
    cdef list _stretches
    cdef readonly Py_ssize_t records

    def __init__(self, int root, stretches):
        cdef Wanted *found
        cdef bytes segment
        cdef unsigned long long first, end
        self._root = root
        self._numbers = {}
        self._names = []
        self._stretches = list(stretches)
        for segment, first, end in self._stretches:
            self._count_copies(segment, first, end)
        self._mailboxes = <Mailbox *>array(self._count, sizeof(Mailbox))
        self._wanted = <Wanted *>array(self._count, sizeof(Wanted))
        found = <Wanted *>array(self._count, sizeof(Wanted))
        try:
            for segment, first, end in self._stretches:
                self._find_copies(segment, first, end, found)
            self._sort(found)
        finally:
            free(found)

    cdef int _count_copies(self, bytes segment, unsigned long long offset, unsigned long long end) except -1:
        cdef unsigned long long size = PyBytes_GET_SIZE(segment)
        cdef const char *place
        cdef Header header
        while offset < end:
            place = PyBytes_AS_STRING(segment) + offset
            if offset + RECORD_HEADER > size:
                raise ValueError(f"no record at {offset}")
            get_header(place, &header)
            if not makes_sense(place, size - offset, &header):
                raise ValueError(f"no record at {offset}")
            self.records += 1
            self._count += header.copies
            offset += round_up(header.length, RECORD_ALIGNMENT)
        return 0

    cdef int _find_copies(
        self, bytes segment, unsigned long long offset, unsigned long long end, Wanted *found
    ) except -1:
        """Put all copies of a stretch behind those that were found before."""
        cdef const char *at
        cdef const char *record_end
        cdef Wanted *first
        cdef Wanted *wanted = found + len(self._names)
        cdef Header header
        cdef Fields fields
        cdef bytes name
        while offset < end:
            at = PyBytes_AS_STRING(segment) + offset
            get_header(at, &header)
            record_end = at + header.length
            at += RECORD_HEADER
            first = wanted
            while wanted < first + header.copies:
                at = get_copy(at, record_end, &fields)
                name = fields.name[:fields.name_size]
                self._names.append(name)
                wanted.name = PyBytes_AS_STRING(name)
                wanted.mailbox = self._number_of(&fields)
                set_place(&wanted.pieces[0], fields.head, at)
                wanted += 1
            while first < wanted:
                set_place(&first.pieces[1], at, record_end)
                first += 1
            offset += round_up(header.length, RECORD_ALIGNMENT)
        return 0

    cdef Py_ssize_t _number_of(self, Fields *fields) except -1:
        cdef bytes domain = fields.domain[:fields.domain_size]
        cdef bytes user = fields.user[:fields.user_size]
        cdef tuple key = (domain, user)
        number = self._numbers.get(key)
        if number is None:
            number = self._numbers[key] = len(self._numbers)
            self._mailboxes[<Py_ssize_t>number].domain = PyBytes_AS_STRING(domain)
            self._mailboxes[<Py_ssize_t>number].user = PyBytes_AS_STRING(user)
        return number

    cdef int _sort(self, const Wanted *found) except -1:
        """By mailbox; within one they stay in the order of the records."""
        cdef Py_ssize_t *place = <Py_ssize_t *>array(len(self._numbers) + 1, sizeof(Py_ssize_t))
        cdef Py_ssize_t i
        for i in range(self._count):
            place[found[i].mailbox + 1] += 1
        for i in range(len(self._numbers)):
            place[i + 1] += place[i]
        for i in range(self._count):
            self._wanted[place[found[i].mailbox]] = found[i]
            place[found[i].mailbox] += 1
        free(place)
        return 0

    def __len__(self):
        return self._count

    def restore(self, Py_ssize_t first, Py_ssize_t end):
        """Bring the copies from `first` to before `end` into their mailboxes; without the GIL, any thread may do that.

        Returns how many lay there, in new/ or cur/, and how many were put there. They are on the disk when the file
        system of the root was synced. Raises IndexError.
        """
        cdef Batch batch
        cdef Mailbox mailbox
        cdef Py_ssize_t i, next
        cdef Py_ssize_t present = 0
        cdef Py_ssize_t restored = 0
        if not 0 <= first <= end <= self._count:
            raise IndexError(f"{first} to {end} of {self._count} copies")
        memset(&batch, 0, sizeof(Batch))
        batch.root = self._root
        with nogil:
            i = first
            while i < end:
                next = i + 1
                while next < end and self._wanted[next].mailbox == self._wanted[i].mailbox:
                    next += 1
                mailbox = self._mailboxes[self._wanted[i].mailbox]
                restore_mailbox(&batch, &mailbox, &self._wanted[i], next - i)
                i = next
            for i in range(first, end):
                present += self._wanted[i].outcome == PRESENT
                restored += self._wanted[i].outcome == RESTORED
        return present, restored

    def left(self):
        """The copies that are not in their mailboxes, each with its content: `((domain, user, name, head), content)`."""
        keys = list(self._numbers)
        copies = []
        for i in range(self._count):
            wanted = &self._wanted[<Py_ssize_t>i]
            if wanted.outcome != PRESENT and wanted.outcome != RESTORED:
                domain, user = keys[wanted.mailbox]
                copies.append(((domain, user, <bytes>wanted.name, text(&wanted.pieces[0])), text(&wanted.pieces[1])))
        return copies

    def __dealloc__(self):
        free(self._mailboxes)
        free(self._wanted)
