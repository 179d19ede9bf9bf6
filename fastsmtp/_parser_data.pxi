"""Message data: out of what a client sends into what is stored. The state is DataState (_parser.pxd)."""

cdef extern from *:
    """
    #include <stdint.h>
    #include <string.h>
    #ifdef __SSE2__
    #include <emmintrin.h>
    #endif

    /* Copies up to the first CR or LF, and says how many bytes those are: `size` where there is none. Behind them, and within
       `size`, anything may be written. One pass, where memchr for each of the two and memcpy are three: a message of 4 KiB
       takes 910 ns with it, 1085 with those (docs/performance.md). */
    static inline Py_ssize_t copy_text(char *to, const char *from, Py_ssize_t size) {
        Py_ssize_t at = 0;
    #ifdef __SSE2__
        const __m128i crs = _mm_set1_epi8('\\r'), lfs = _mm_set1_epi8('\\n');
        for (; size - at >= 16; at += 16) {
            __m128i block = _mm_loadu_si128((const __m128i *)(from + at));
            int ends = _mm_movemask_epi8(_mm_or_si128(_mm_cmpeq_epi8(block, crs), _mm_cmpeq_epi8(block, lfs)));
            _mm_storeu_si128((__m128i *)(to + at), block);
            if (ends) return at + __builtin_ctz((unsigned)ends);
        }
    #else
        const uint64_t each = UINT64_MAX / 255, high = each << 7, crs = each * '\\r', lfs = each * '\\n';
        for (; size - at >= 8; at += 8) {
            uint64_t block;
            memcpy(&block, from + at, 8);
            memcpy(to + at, &block, 8);
            uint64_t cr = block ^ crs, lf = block ^ lfs; /* a byte of zeros where one stands */
            if ((((cr - each) & ~cr) | ((lf - each) & ~lf)) & high) break;
        }
    #endif
        for (; at < size && from[at] != '\\r' && from[at] != '\\n'; at++) to[at] = from[at];
        return at;
    }

    #ifdef __SSE2__
    /* A bit for each of 64 bytes: CR or LF. */
    static inline uint64_t line_ends(const char *from) {
        const __m128i crs = _mm_set1_epi8('\\r'), lfs = _mm_set1_epi8('\\n');
        uint64_t ends = 0;
        for (int part = 0; part < 4; part++) {
            __m128i block = _mm_loadu_si128((const __m128i *)from + part);
            int found = _mm_movemask_epi8(_mm_or_si128(_mm_cmpeq_epi8(block, crs), _mm_cmpeq_epi8(block, lfs)));
            ends |= (uint64_t)(unsigned)found << (16 * part);
        }
        return ends;
    }
    #endif

    /* Copies lines, from the start of one, as long as nothing is to be thought about: each ends in CRLF, of which the LF is
       written, and none begins with `dot` (-1: with what it may), nor is one empty where that `is_header`. Says how many
       bytes are used up and `written`, and in `is_within` whether that is in the middle of a line. Behind what it writes,
       and within `size`, anything may be written.

       Where the next 64 bytes are does not depend on where lines end in these, so that the processor looks at several
       blocks at a time: a line of 76 takes it 5 ns, less than memchr, and 9 when each line is looked for where the last one
       has ended (docs/performance.md). */
    static inline Py_ssize_t copy_lines(
        char *to, const char *from, Py_ssize_t size, int dot, int is_header, Py_ssize_t *written, int *is_within
    ) {
        Py_ssize_t line = 0, shift = 0; /* where the line begins; what is at x goes to x - shift */
    #ifdef __SSE2__
        Py_ssize_t base = 0;
        if (size == 0 || from[0] == dot) goto at_a_line;
        /* The furthest that is read is 64 bytes from behind a CRLF whose LF is the first byte of the next block. */
        for (; size - base >= 64 + 1 + 64; base += 64) {
            uint64_t ends = line_ends(from + base);
            memcpy(to + base - shift, from + base, 64);
            while (ends) {
                Py_ssize_t end = base + __builtin_ctzll(ends);
                if (from[end] != '\\r' || from[end + 1] != '\\n' || (is_header && end == line)) goto at_a_line;
                to[end - shift] = '\\n';
                line = end + 2;
                shift++;
                if (from[line] == dot) goto at_a_line;
                memcpy(to + line - shift, from + line, 64);
                ends &= ends - 1;
                ends &= ends - 1;
                if (line > base + 64) base = line - 64; /* that LF was taken from the next block */
            }
        }
        *written = base - shift;
        *is_within = base > line;
        return base;
    at_a_line:
    #else
        (void)to, (void)from, (void)size, (void)dot, (void)is_header;
    #endif
        *written = line - shift;
        *is_within = 0;
        return line;
    }
    """
    Py_ssize_t copy_text(char* to, const char* source, Py_ssize_t size) noexcept nogil
    Py_ssize_t copy_lines(
        char* to, const char* source, Py_ssize_t size, int dot, bint is_header, Py_ssize_t* written, bint* is_within
    ) noexcept nogil


cdef Py_ssize_t _scan(
    DataState* kept, const char* data, Py_ssize_t size, char* out, Py_ssize_t room, Py_ssize_t* written
) noexcept nogil:
    """Move message data from `data` to `out` in its stored form; returns how many bytes of `data` are used up.

    Stops early at the end of data, behind the header, and when `out` might become too small.
    """
    cdef Py_ssize_t i = 0
    cdef Py_ssize_t o = 0
    cdef Py_ssize_t length, used
    cdef bint is_within
    cdef DataState now = kept[0]  # not to be looked up again behind every byte that is written
    cdef DataState* state = &now
    cdef bint was_header = state.in_header
    while i < size:
        # One turn writes at most a held CR, the input up to the next LF, a second dot and the LF.
        if room - o < size - i + 3 or (was_header and not state.in_header):
            break
        if state.stored == EMPTY and not (state.soft or state.held_cr or state.held_dot):
            if state.at_start or not state.has_dots:
                used = copy_lines(
                    out + o, data + i, size - i, DOT if state.has_dots else -1, state.in_header, &length, &is_within
                )
                i += used
                o += length
                state.size += used
                if is_within:
                    state.at_start = False
                    state.stored = OTHER
        if state.at_start:
            state.at_start = False
            if data[i] == DOT:
                state.held_dot = True
                i += 1
                continue
        if state.held_cr:
            state.held_cr = False
            if data[i] == LF:
                i += 1
                if state.held_dot:
                    # <CRLF>.<CRLF>: the one end of data (RFC 5321 section 4.1.1.4)
                    state.held_dot = False
                    state.ended = True
                    break
                o += _end_line(state, out + o, True)
                continue
            # A CR without LF is content, and so the line is not a lone dot.
            state.held_dot = False
            state.bare_newline = True
            o += _release_cr(state, out + o)
        if state.held_dot:
            if data[i] == CR:
                state.held_cr = True
                i += 1
                continue
            state.held_dot = False  # transparency: the first dot of a longer line goes (section 4.5.2)
        length = copy_text(out + o, data + i, size - i)
        if length > 0:
            if state.stored == EMPTY and length == 1 and data[i] == DOT and state.has_dots:
                state.stored = LONE_DOT
            else:
                state.stored = OTHER
            i += length
            o += length
            state.size += length
            if i == size:
                break
        if data[i] == CR:
            i += 1
            if i < size and data[i] == LF:
                i += 1
                o += _end_line(state, out + o, True)
            else:
                state.held_cr = True
        else:
            i += 1
            o += _end_line(state, out + o, False)
    kept[0] = now
    written[0] = o
    return i


cdef inline Py_ssize_t _end_line(DataState* state, char* out, bint hard) noexcept nogil:
    """End the stored line; `hard` is a CRLF, the only thing behind which a dot is transparency or the end."""
    cdef Py_ssize_t o = 0
    if state.stored == LONE_DOT and (state.soft or not hard):
        out[0] = DOT
        o = 1
        state.size += 1
    out[o] = LF
    state.size += 2
    if state.stored == EMPTY:
        state.in_header = False
    if not hard:
        state.bare_newline = True
    state.at_start = hard and state.has_dots
    state.soft = not hard
    state.stored = EMPTY
    return o + 1


cdef inline Py_ssize_t _release_cr(DataState* state, char* out) noexcept nogil:
    """Write the CR that was held: nothing, or something other than LF, has come behind it."""
    state.held_cr = False
    out[0] = CR
    state.size += 1
    state.stored = OTHER
    return 1
