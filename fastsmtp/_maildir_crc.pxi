"""CRC-32 as zlib has it: by carry-less multiplication where the processor can, else by tables."""

from libc.string cimport memcpy

cdef extern from "<endian.h>" nogil:
    unsigned int le32toh(unsigned int)

cdef extern from *:
    """
    #if defined(__x86_64__) && defined(__GNUC__)
    #include <immintrin.h>

    static int can_fold(void) { return __builtin_cpu_supports("pclmul") != 0; }

    /* Of `size` bytes, a multiple of 16 and at least 64, with `crc` before them: 16 that have the same remainder.
       Four lanes run beside each other; each step multiplies the halves of a lane by x^n modulo the polynomial,
       n being how far the lane moves (V. Gopal et al., "Fast CRC computation using PCLMULQDQ", Intel 2009). */
    __attribute__((target("pclmul"))) static __m128i moved(__m128i lane, __m128i by) {
        return _mm_xor_si128(_mm_clmulepi64_si128(lane, by, 0x00), _mm_clmulepi64_si128(lane, by, 0x11));
    }

    __attribute__((target("pclmul")))
    static void fold(unsigned int crc, const unsigned char *data, size_t size, unsigned char *folded) {
        const __m128i by_64_bytes = _mm_set_epi64x(0x1c6e41596, 0x154442bd4);
        const __m128i by_16_bytes = _mm_set_epi64x(0x0ccaa009e, 0x1751997d0);
        const __m128i *block = (const __m128i *)data, *end = block + size / 16;
        __m128i lanes[4];
        for (int i = 0; i < 4; i++) lanes[i] = _mm_loadu_si128(block++);
        lanes[0] = _mm_xor_si128(lanes[0], _mm_cvtsi32_si128((int)crc));
        for (; end - block >= 4; block += 4)
            for (int i = 0; i < 4; i++)
                lanes[i] = _mm_xor_si128(moved(lanes[i], by_64_bytes), _mm_loadu_si128(block + i));
        for (int i = 1; i < 4; i++) lanes[i] = _mm_xor_si128(moved(lanes[i - 1], by_16_bytes), lanes[i]);
        for (; block < end; block++)
            lanes[3] = _mm_xor_si128(moved(lanes[3], by_16_bytes), _mm_loadu_si128(block));
        _mm_storeu_si128((__m128i *)folded, lanes[3]);
    }
    #else
    static int can_fold(void) { return 0; }
    static void fold(unsigned int crc, const unsigned char *data, size_t size, unsigned char *folded) {
        (void)crc, (void)data, (void)size, (void)folded;
    }
    #endif
    """
    bint can_fold() nogil
    void fold(unsigned int crc, const unsigned char *data, size_t size, unsigned char *folded) nogil

cdef enum:
    FOLDED_BYTES = 16
    FOLD_FROM = 64

cdef bint FOLDS = can_fold()

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


cdef unsigned int look_up(unsigned int crc, const unsigned char *data, size_t size) noexcept nogil:
    """By tables; neither what goes in nor what comes out is inverted."""
    cdef unsigned int low, high
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
    return crc


cdef unsigned int crc32(unsigned int crc, const unsigned char *data, size_t size) noexcept nogil:
    """zlib's crc32; 0 to begin with."""
    cdef unsigned char[FOLDED_BYTES] folded
    cdef size_t whole
    crc = ~crc
    if FOLDS and size >= FOLD_FROM:
        whole = size - size % FOLDED_BYTES
        fold(crc, data, whole, folded)
        crc = look_up(0, folded, FOLDED_BYTES)
        data += whole
        size -= whole
    return ~look_up(crc, data, size)
