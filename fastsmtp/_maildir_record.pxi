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
    unsigned int le32toh(unsigned int)

cdef char[RECORD_ALIGNMENT] ZEROS

# Of each byte, with 0 to 7 zero bytes behind it ("slicing by 8").
cdef unsigned int[8][256] CRC_TABLES


cdef void make_crc_tables() noexcept:
    cdef unsigned int crc
    cdef int byte, i
    for byte in range(256):
        crc = byte
        for i in range(8):
            crc = (crc >> 1) ^ (<unsigned int>0xEDB88320 if crc & 1 else 0)
        CRC_TABLES[0][byte] = crc
    for i in range(1, 8):
        for byte in range(256):
            crc = CRC_TABLES[i - 1][byte]
            CRC_TABLES[i][byte] = CRC_TABLES[0][crc & 0xFF] ^ (crc >> 8)


make_crc_tables()


cdef unsigned int crc32(unsigned int crc, const unsigned char *data, size_t size) noexcept nogil:
    """zlib's crc32; 0 to begin with."""
    cdef unsigned int low, high
    crc = ~crc
    while size >= 8:
        memcpy(&low, data, 4)
        memcpy(&high, data + 4, 4)
        low = le32toh(low) ^ crc
        high = le32toh(high)
        crc = (
            CRC_TABLES[7][low & 0xFF]
            ^ CRC_TABLES[6][low >> 8 & 0xFF]
            ^ CRC_TABLES[5][low >> 16 & 0xFF]
            ^ CRC_TABLES[4][low >> 24]
            ^ CRC_TABLES[3][high & 0xFF]
            ^ CRC_TABLES[2][high >> 8 & 0xFF]
            ^ CRC_TABLES[1][high >> 16 & 0xFF]
            ^ CRC_TABLES[0][high >> 24]
        )
        data += 8
        size -= 8
    while size:
        crc = CRC_TABLES[0][(crc ^ data[0]) & 0xFF] ^ (crc >> 8)
        data += 1
        size -= 1
    return ~crc


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
