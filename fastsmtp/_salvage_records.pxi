"""Records out of a segment: the loops of `delivery.records`, which has the rules."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.string cimport memchr, memcmp, memcpy

from fastsmtp._maildir cimport BATCH_ALIGNMENT, COPY_HEADER, NAME_MAX, RECORD_ALIGNMENT, RECORD_HEADER, crc32, round_up

cdef extern from "<endian.h>" nogil:
    unsigned int le32toh(unsigned int)
    unsigned short le16toh(unsigned short)
    unsigned long long le64toh(unsigned long long)


cdef struct Header:
    bint has_magic
    unsigned int crc
    unsigned int length
    unsigned int copies
    unsigned long long lap
    unsigned long long offset


cdef unsigned int get_u16(const char *place) noexcept nogil:
    cdef unsigned short value
    memcpy(&value, place, sizeof(value))
    return le16toh(value)


cdef unsigned int get_u32(const char *place) noexcept nogil:
    cdef unsigned int value
    memcpy(&value, place, sizeof(value))
    return le32toh(value)


cdef unsigned long long get_u64(const char *place) noexcept nogil:
    cdef unsigned long long value
    memcpy(&value, place, sizeof(value))
    return le64toh(value)


cdef void get_header(const char *place, Header *header) noexcept nogil:
    header.has_magic = memcmp(place, b"FSJ1", 4) == 0
    header.crc = get_u32(place + 4)
    header.length = get_u32(place + 8)
    header.copies = get_u32(place + 12)
    header.lap = get_u64(place + 16)
    header.offset = get_u64(place + 24)


cdef bint is_component(const char *name, size_t size) noexcept nogil:
    """A name in a directory, and nothing anywhere else."""
    if not 0 < size <= NAME_MAX or memchr(name, c"/", size) != NULL or memchr(name, 0, size) != NULL:
        return False
    return not (name[0] == c"." and (size == 1 or size == 2 and name[1] == c"."))


cdef struct Fields:
    # Of one copy; none of them ends in a NUL.
    const char *domain
    const char *user
    const char *name
    const char *head
    size_t domain_size
    size_t user_size
    size_t name_size
    size_t head_size


cdef const char *get_copy(const char *place, const char *end, Fields *copy) noexcept nogil:
    """One copy of a record that ends there. What follows it, or NULL when that is none."""
    if end - place < COPY_HEADER:
        return NULL
    copy.domain_size = get_u16(place)
    copy.user_size = get_u16(place + 2)
    copy.name_size = get_u16(place + 4)
    copy.head_size = get_u32(place + 8)
    place += COPY_HEADER
    if <size_t>(end - place) < copy.domain_size + copy.user_size + copy.name_size + copy.head_size:
        return NULL
    copy.domain = place
    copy.user = copy.domain + copy.domain_size
    copy.name = copy.user + copy.user_size
    copy.head = copy.name + copy.name_size
    if not (
        is_component(copy.domain, copy.domain_size)
        and is_component(copy.user, copy.user_size)
        and is_component(copy.name, copy.name_size)
    ):
        return NULL
    return copy.head + copy.head_size


cdef bint makes_sense(const char *place, size_t room, Header *header) noexcept nogil:
    """Whether what this header tells of fits, and the copies name files."""
    cdef const char *at = place + RECORD_HEADER
    cdef Fields copy
    cdef unsigned int i
    if not header.has_magic or not RECORD_HEADER <= header.length <= room:
        return False
    for i in range(header.copies):
        at = get_copy(at, place + header.length, &copy)
        if at == NULL:
            return False
    return True


cdef bint is_whole(const char *place, size_t room, Header *header) noexcept nogil:
    """Whether a record of this header is there, byte for byte what was written."""
    return (
        makes_sense(place, room, header)
        and header.crc == crc32(0, <const unsigned char *>place + 8, header.length - 8)
    )


def whole_records(bytes segment, unsigned long long offset, unsigned long long lap, unsigned long long limit):
    """Where the whole records of this lap end that follow one another from there on, and begin before `limit`."""
    cdef const char *data = PyBytes_AS_STRING(segment)
    cdef unsigned long long size = PyBytes_GET_SIZE(segment)
    cdef Header header
    with nogil:
        limit = min(limit, size)
        while offset < limit and size - offset >= RECORD_HEADER:
            get_header(data + offset, &header)
            if header.lap != lap or header.offset != offset or not is_whole(data + offset, size - offset, &header):
                break
            offset += round_up(header.length, RECORD_ALIGNMENT)
    return offset


def next_header(bytes segment, unsigned long long offset, unsigned long long lap, unsigned long long oldest_lap):
    """The next place from there on, at the beginning of a block, where a record of this lap was begun.

    Two of three things must hold: the magic, the lap, the offset. Nothing older than `oldest_lap` counts. Without any
    it is the end of the segment or beyond.
    """
    cdef const char *data = PyBytes_AS_STRING(segment)
    cdef unsigned long long size = PyBytes_GET_SIZE(segment)
    cdef Header header
    with nogil:
        while offset + RECORD_HEADER <= size:
            get_header(data + offset, &header)
            if header.lap >= oldest_lap and header.has_magic + (header.offset == offset) + (header.lap == lap) >= 2:
                break
            offset = round_up(offset + 1, BATCH_ALIGNMENT)
    return offset
