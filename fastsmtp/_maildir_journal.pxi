"""The journal: a ring of segments, written one behind the other, one lap of the ring after the other.

A lap is one use of one segment, counted on: lap n is written to segment n modulo the number of segments. A segment that
fails once is never touched again, and its laps are skipped.
"""

from libc.errno cimport ENOSPC
from libc.stdlib cimport free


cdef Segment *segment_of(Ring *ring, unsigned long long lap) noexcept nogil:
    return &ring.segments[lap % ring.count]


cdef bint goes_to_journal(Mail *mail) noexcept nogil:
    return mail.durability == JOURNAL and not mail.error


cdef bint next_lap(Ring *ring) noexcept nogil:
    """Begin the next lap that is allowed and has a segment. Whether there is one."""
    cdef unsigned long long lap
    for lap in range(ring.lap + 1, ring.allowed):
        if not segment_of(ring, lap).dead:
            ring.lap = lap
            ring.offset = 0
            return True
    return False


cdef int append(Segment *segment, Batch *batch, const iovec *end, unsigned long long offset) noexcept nogil:
    """Write the pieces at the front of `batch.pieces` there, and sync them."""
    cdef int error
    batch.step = APPEND
    error = write_pieces(segment.fd, batch.pieces, <int>(end - batch.pieces), <off_t>offset)
    if not error:
        batch.step = SYNC_JOURNAL
        error = sync_data(segment.fd)
    return error


cdef void settle(Batch *batch, Py_ssize_t first, Py_ssize_t end, int error) noexcept nogil:
    """What became of the records of these messages."""
    cdef Py_ssize_t i
    cdef Mail *mail
    for i in range(first, end):
        mail = &batch.mails[i]
        if not goes_to_journal(mail):
            continue
        if error:
            mail.segment = <int>(batch.ring.lap % batch.ring.count)
            fail(batch, mail.files, error)
        else:
            mail.journalled = True


cdef Py_ssize_t append_stretch(Batch *batch, Py_ssize_t first) noexcept nogil:
    """Put records into the segment, from the first message on while they fit. The first message that did not."""
    cdef Ring *ring = batch.ring
    cdef Segment *segment = segment_of(ring, ring.lap)
    cdef unsigned long long start = round_up(ring.offset, BATCH_ALIGNMENT)
    cdef unsigned long long offset = start
    cdef iovec *end = batch.pieces  # what lies there was used already: by phase 1, or by the stretch before
    cdef Py_ssize_t i = first
    cdef int error
    cdef Mail *mail
    while i < batch.mail_count:
        mail = &batch.mails[i]
        if goes_to_journal(mail):
            if segment.dead or offset + mail.record_size > ring.segment_size:
                break
            seal(mail, ring.lap, offset)
            end = gather(mail, end)
            offset += round_up(mail.record_size, RECORD_ALIGNMENT)
        i += 1
    if offset > start:
        error = append(segment, batch, end, start)
        if error:
            segment.dead = True
            ring.dead += 1
            ring.error = error
        ring.offset = offset
        settle(batch, first, i, error)
    return i


cdef void append_records(Batch *batch) noexcept nogil:
    """Journal every message that is to be journalled and has not failed yet."""
    cdef Ring *ring = batch.ring
    cdef Py_ssize_t i = append_stretch(batch, 0)
    while i < batch.mail_count:
        if next_lap(ring):
            i = append_stretch(batch, i)
        else:
            batch.step = APPEND
            settle(batch, i, batch.mail_count, ring.error if ring.dead == ring.count else ENOSPC)
            return


@cython.final
@cython.auto_pickle(False)
cdef class Journal:
    """A ring of files that take the records of batches, and the place where the next one goes.

    `segments` are descriptors of files of `segment_bytes` each, which stay the caller's. The first record goes to the
    beginning of this `lap`, records larger than `limit` bytes are none. Nothing here may be used while a batch is under
    way. Raises ValueError for a size that cannot be.
    """

    cdef Ring _ring

    def __init__(self, segments, unsigned long long segment_bytes, unsigned long long lap, unsigned long long limit):
        cdef Ring *ring = &self._ring
        descriptors = list(segments)
        if not descriptors:
            raise ValueError("a journal has segments")
        if not segment_bytes or segment_bytes % BATCH_ALIGNMENT:
            raise ValueError(f"the size of a segment is a multiple of {BATCH_ALIGNMENT}, not {segment_bytes}")
        if limit > min(segment_bytes, 0xFFFFFFFF):
            raise ValueError(f"a record of {limit} bytes has no room in a segment")
        free(ring.segments)
        ring.segments = <Segment *>array(len(descriptors), sizeof(Segment))
        for i, descriptor in enumerate(descriptors):
            ring.segments[<Py_ssize_t>i].fd = descriptor
        ring.count = <unsigned int>len(descriptors)
        ring.segment_size = segment_bytes
        ring.limit = limit
        ring.lap = lap
        ring.offset = 0
        ring.allowed = lap + ring.count

    @property
    def position(self):
        """The lap, and the offset in bytes in its segment, behind the last record."""
        return self._ring.lap, self._ring.offset

    @property
    def room(self):
        """So many bytes of records the next batch may have, whatever their sizes: the sum of their `record_bytes`."""
        cdef Ring *ring = &self._ring
        cdef unsigned long long last = 0
        cdef unsigned long long room, lap
        if not segment_of(ring, ring.lap).dead:
            last = ring.segment_size - round_up(ring.offset, BATCH_ALIGNMENT)
        room = last
        for lap in range(ring.lap + 1, ring.allowed):
            if not segment_of(ring, lap).dead:
                # What did not fit at the end of the last one has left less than a record's size unused there.
                room += ring.segment_size - min(last, ring.limit)
                last = ring.segment_size
        return room

    @property
    def dead(self):
        """How many segments have failed and are not used any more."""
        return self._ring.dead

    def allow(self, unsigned long long lap):
        """Laps below this one may be written: what their segments hold of older laps is not needed any more.

        Raises ValueError when that would be the segment that is in use.
        """
        if lap > self._ring.lap + self._ring.count:
            raise ValueError(f"lap {lap} would be written over lap {self._ring.lap}")
        self._ring.allowed = lap

    def __dealloc__(self):
        free(self._ring.segments)
