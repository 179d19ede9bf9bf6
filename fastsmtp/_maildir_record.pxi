"""A record of the journal: one message, with everything that is needed to write its files again.

It begins at a multiple of 8, the first one of a batch at a multiple of 4096. Little endian:

     0  magic  "FSJ1"
     4  u32    CRC-32 of all that follows
     8  u32    length of the record, from the magic to the end of the content
    12  u32    number of copies
    16  u64    lap
    24  u64    offset of the record in its segment
    32         of each copy: u16 lengths of domain, user and name, u16 0, u32 length of head; domain, user, name, head
               content: the file of a copy is its head and the content
               zeros up to a multiple of 8
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.string cimport memcpy
from posix.uio cimport iovec

cdef extern from "<endian.h>" nogil:
    unsigned short htole16(unsigned short)
    unsigned int htole32(unsigned int)
    unsigned long long htole64(unsigned long long)

cdef char[RECORD_ALIGNMENT] ZEROS


cdef unsigned long long round_up(unsigned long long size, unsigned int alignment) noexcept nogil:
    return (size + alignment - 1) // alignment * alignment


cdef void put_u16(char *place, unsigned short value) noexcept nogil:
    value = htole16(value)
    memcpy(place, &value, sizeof(value))


cdef void put_u32(char *place, unsigned int value) noexcept nogil:
    value = htole32(value)
    memcpy(place, &value, sizeof(value))


cdef void put_u64(char *place, unsigned long long value) noexcept nogil:
    value = htole64(value)
    memcpy(place, &value, sizeof(value))


cdef char *put_bytes(char *place, bytes data) noexcept:
    memcpy(place, PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data))
    return place + PyBytes_GET_SIZE(data)


cdef void lay_out_front(char *place, tuple copies, size_t record_size) noexcept:
    """All of a record before the content, but for what `seal` knows."""
    cdef bytes domain, user, name, head
    memcpy(place, b"FSJ1", 4)
    put_u32(place + 8, <unsigned int>record_size)
    put_u32(place + 12, <unsigned int>len(copies))
    place += RECORD_HEADER
    for domain, user, name, head in copies:
        put_u16(place, <unsigned short>len(domain))
        put_u16(place + 2, <unsigned short>len(user))
        put_u16(place + 4, <unsigned short>len(name))
        put_u16(place + 6, 0)
        put_u32(place + 8, <unsigned int>len(head))
        place = put_bytes(put_bytes(put_bytes(put_bytes(place + COPY_HEADER, domain), user), name), head)


cdef void seal(Mail *mail, unsigned long long lap, unsigned long long offset) noexcept nogil:
    """Complete a record that goes to this place."""
    cdef unsigned int crc
    cdef int i
    put_u64(mail.record + 16, lap)
    put_u64(mail.record + 24, offset)
    crc = crc32(0, <const unsigned char *>mail.record + 8, mail.front_size - 8)
    for i in range(1, mail.piece_count):
        crc = crc32(crc, <const unsigned char *>mail.pieces[i].iov_base, mail.pieces[i].iov_len)
    put_u32(mail.record + 4, crc)


cdef iovec *gather(Mail *mail, iovec *end) noexcept nogil:
    """Put the pieces of a record there; it may be where the mail's own pieces are, or before. The end of them."""
    cdef int i
    for i in range(mail.piece_count):
        end[i] = mail.pieces[i]
    end[0].iov_base = mail.record
    end[0].iov_len = mail.front_size
    end += mail.piece_count
    end.iov_base = ZEROS
    end.iov_len = round_up(mail.record_size, RECORD_ALIGNMENT) - mail.record_size
    return end + 1
