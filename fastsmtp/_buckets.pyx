# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
# cython: auto_pickle=False, autotestdict=False
"""Token buckets for all workers of a server, in memory that they share.

    head, 64 octets | sets of 8 entries of 16 octets

A bucket is one number: the time at which it will be full again (the generic cell rate algorithm, ITU-T I.371). So a
token is taken by one compare-and-swap: there is no lock that a worker could die with, and nobody waits. A key is a
number of 64 bits that says in which set it is; it has to be a hash with a secret key (`hash_key`), or strangers could
choose to be in one set. A new key takes the place of a bucket that is full, which nobody can tell from none; when all
eight are in use, of the one that is nearest to it, and `forgotten` counts that.

Times are nanoseconds of a clock that all workers share and that does not go back. Two workers that meet a new key in the
same instant may give one token too many; nothing else is ever out of step.
"""

import os

cimport cython
from cpython.buffer cimport PyBUF_WRITABLE, Py_buffer, PyBuffer_Release, PyObject_GetBuffer
from libc.math cimport INFINITY
from libc.stdint cimport int64_t, uint8_t, uint64_t, uintptr_t
from libc.string cimport memcpy, memset

cdef extern from *:
    """
    #define LOAD(place) __atomic_load_n(place, __ATOMIC_SEQ_CST)
    #define SWAP(place, old, new) \\
        __atomic_compare_exchange_n(place, &(old), new, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)
    """
    uint64_t LOAD_KEY "LOAD"(uint64_t *) nogil
    int64_t LOAD_TIME "LOAD"(int64_t *) nogil
    bint SWAP_KEY "SWAP"(uint64_t *, uint64_t, uint64_t) nogil
    bint SWAP_TIME "SWAP"(int64_t *, int64_t, int64_t) nogil

cdef enum:
    WAYS = 8
    KEY_BYTES = 16
    MAGIC = 0x31746B6275747366
    TRIES = 64  # each of them lost to somebody else who got on

cdef struct Head:
    uint64_t magic
    uint64_t entries  # a power of two
    uint8_t key[KEY_BYTES]
    uint8_t unused[32]

cdef struct Entry:
    uint64_t key  # 0: free
    int64_t full_ns


def memory_bytes(buckets):
    """memory_bytes(buckets)
--

How much memory is needed for so many buckets. Raises ValueError."""
    return sizeof(Head) + _entries(buckets) * sizeof(Entry)


def prepare(memory, buckets):
    """prepare(memory, buckets)
--

Write the head into zeroed memory of `memory_bytes`, with a new secret key."""
    cdef Head head
    cdef bytes key = os.urandom(KEY_BYTES)
    memset(&head, 0, sizeof(Head))
    head.magic = MAGIC
    head.entries = _entries(buckets)
    memcpy(head.key, <const char*>key, KEY_BYTES)
    if len(memory) != memory_bytes(buckets):
        raise ValueError("the memory has another size than it should have")
    memoryview(memory).cast("B")[: sizeof(Head)] = (<char*>&head)[: sizeof(Head)]


cdef Py_ssize_t _entries(object buckets) except -1:
    if not 1 <= buckets <= 1 << 28:
        raise ValueError("buckets is 1 to 2**28")
    return max(WAYS, 1 << (buckets - 1).bit_length())


@cython.final
cdef class BucketTable:
    """BucketTable(memory)
--

The buckets in memory that was prepared. Raises ValueError for other memory.
"""  # in the form out of which help(), inspect and stubtest read the signature

    cdef Py_buffer _view
    cdef bint _has_view
    cdef Entry* _first
    cdef uint64_t _sets_mask
    cdef readonly unsigned long long forgotten

    def __cinit__(self, memory):
        PyObject_GetBuffer(memory, &self._view, PyBUF_WRITABLE)
        self._has_view = True
        cdef Head* head = <Head*>self._view.buf
        if <uintptr_t>head % 8 or self._view.len < <Py_ssize_t>sizeof(Head) or head.magic != MAGIC:
            raise ValueError("these are no buckets")
        if self._view.len != <Py_ssize_t>(sizeof(Head) + head.entries * sizeof(Entry)):
            raise ValueError("the memory has another size than its head says")
        self._first = <Entry*>(<char*>head + sizeof(Head))
        self._sets_mask = head.entries - WAYS
        self.forgotten = 0

    def __dealloc__(self):
        if self._has_view:
            PyBuffer_Release(&self._view)

    @property
    def hash_key(self):
        """The secret with which keys are to be hashed: 16 octets."""
        cdef Head* head = <Head*>self._view.buf
        return (<char*>head.key)[:KEY_BYTES]

    cpdef double take(
        self, uint64_t key, int64_t now_ns, int64_t interval_ns, int64_t burst, int64_t tokens
    ) noexcept:
        """Take tokens out of a bucket that holds `burst` and gets one each `interval_ns`: 0.0 when they were there.

        Else nothing is taken: in how many seconds they will be there. `tokens=0` asks for one and takes none.
        """
        cdef Entry* entry
        cdef int64_t full_ns, early_ns
        cdef int64_t wanted = max(tokens, 1)
        if wanted > burst:
            return INFINITY
        key = key or 1
        for _ in range(TRIES):
            entry = self._find(key)
            if entry == NULL:
                if tokens == 0:
                    return 0.0
                entry = self._claim(key, now_ns)
                if entry == NULL:
                    continue
            full_ns = LOAD_TIME(&entry.full_ns)
            early_ns = max(full_ns, now_ns) - now_ns + (wanted - burst) * interval_ns
            if early_ns > 0:
                return early_ns / 1e9
            if tokens == 0 or SWAP_TIME(&entry.full_ns, full_ns, max(full_ns, now_ns) + tokens * interval_ns):
                return 0.0
        return 0.0

    cpdef object give_back(self, uint64_t key, int64_t interval_ns, int64_t tokens):
        """So many tokens were not used after all."""
        cdef Entry* entry = self._find(key or 1)
        cdef int64_t full_ns
        for _ in range(TRIES):
            if entry == NULL:
                return
            full_ns = LOAD_TIME(&entry.full_ns)
            if SWAP_TIME(&entry.full_ns, full_ns, full_ns - tokens * interval_ns):
                return

    cdef inline Entry* _set(self, uint64_t key) noexcept:
        return self._first + (key & self._sets_mask)

    cdef Entry* _find(self, uint64_t key) noexcept:
        cdef Entry* entries = self._set(key)
        cdef int way
        for way in range(WAYS):
            if LOAD_KEY(&entries[way].key) == key:
                return entries + way
        return NULL

    cdef Entry* _claim(self, uint64_t key, int64_t now_ns) noexcept:
        """A full bucket under this key; NULL when somebody else was quicker."""
        cdef Entry* entries = self._set(key)
        cdef int way
        cdef int best = 0
        cdef int64_t full_ns
        cdef int64_t best_ns = LOAD_TIME(&entries[0].full_ns)
        for way in range(1, WAYS):
            full_ns = LOAD_TIME(&entries[way].full_ns)
            if full_ns < best_ns:
                best, best_ns = way, full_ns
        cdef uint64_t old = LOAD_KEY(&entries[best].key)
        if not SWAP_KEY(&entries[best].key, old, key):
            return NULL
        if best_ns > now_ns:
            self.forgotten += 1
            SWAP_TIME(&entries[best].full_ns, best_ns, now_ns)
        # Who claimed the same key in another place at the same time sees ours, or we see theirs: the first place stays.
        for way in range(best):
            if LOAD_KEY(&entries[way].key) == key:
                old = key
                SWAP_KEY(&entries[best].key, old, 0)
                return entries + way
        return entries + best
