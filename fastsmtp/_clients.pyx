# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
# cython: auto_pickle=False, autotestdict=False
"""How many connections each client has and how often it comes, for all workers of a server, in memory that they share.

    head, 64 octets | region of worker 0 | region of worker 1 | ...
    a region: how many connections are open, in 64 octets | buckets of 8 entries of 32 octets

Only its worker writes to a region; whoever wants to know about a client adds up over all of them. A client is a number
of 64 bits that says in which bucket it is; it has to be a hash with a secret key (`hash_key`), or strangers could choose
to be in one bucket. A bucket that is full forgets the client without a connection who came longest ago, and those of whom
mail was stored after the others. When all eight have connections the newcomer is not counted.

Times are whole seconds of a clock that all workers share and that does not go back.
"""

import os

cimport cython
from cpython.buffer cimport PyBUF_WRITABLE, Py_buffer, PyBuffer_Release, PyObject_GetBuffer
from libc.stdint cimport UINT32_MAX, uint8_t, uint32_t, uint64_t, uintptr_t
from libc.string cimport memcpy, memset

cdef extern from *:
    """
    /* One total order of all stores and loads: a worker first writes that its client has come, then adds up. Of two that
       do so at the same time at least one sees the other. */
    #define STORE(place, value) __atomic_store_n(place, value, __ATOMIC_SEQ_CST)
    #define LOAD(place) __atomic_load_n(place, __ATOMIC_SEQ_CST)
    """
    void STORE32 "STORE"(uint32_t *, uint32_t) nogil
    void STORE64 "STORE"(uint64_t *, uint64_t) nogil
    uint32_t LOAD32 "LOAD"(uint32_t *) nogil
    uint64_t LOAD64 "LOAD"(uint64_t *) nogil

WINDOW_S = 60
NOT_COUNTED = -1

cdef enum:
    WINDOW = 60
    WAYS = 8
    KEY_BYTES = 16
    MAGIC = 0x31746C6373746661
    COUNT_BITS = 20  # of each of two windows; what is left of 64 is the number of the window
    COUNT_MASK = (1 << COUNT_BITS) - 1
    WINDOW_MASK = (1 << 24) - 1

cdef struct Head:
    uint64_t magic
    uint64_t regions
    uint64_t entries  # of a region; a power of two
    uint8_t key[KEY_BYTES]
    uint8_t unused[24]

cdef struct Region:
    uint64_t open
    uint8_t unused[56]

cdef struct Entry:
    uint64_t client  # 0: free
    uint64_t arrivals  # window, how many came in the one before, how many in this one
    uint32_t open
    uint32_t seen_s
    uint32_t stored_s  # 0: never
    uint32_t unused


def memory_bytes(regions, clients):
    """memory_bytes(regions, clients)
--

How much memory so many workers need, if each is to remember about so many clients."""
    return sizeof(Head) + regions * _region_bytes(_entries(clients))


def prepare(memory, regions, clients):
    """prepare(memory, regions, clients)
--

Write the head into zeroed memory of `memory_bytes`, with a new secret key."""
    cdef Head head
    cdef bytes key = os.urandom(KEY_BYTES)
    memset(&head, 0, sizeof(Head))
    head.magic = MAGIC
    head.regions = regions
    head.entries = _entries(clients)
    memcpy(head.key, <const char*>key, KEY_BYTES)
    if len(memory) != memory_bytes(regions, clients):
        raise ValueError("the memory has another size than it should have")
    memoryview(memory).cast("B")[: sizeof(Head)] = (<char*>&head)[: sizeof(Head)]


cdef Py_ssize_t _entries(object clients) except -1:
    if not 1 <= clients <= 1 << 28:
        raise ValueError("clients is 1 to 2**28")
    return max(WAYS, 1 << (clients - 1).bit_length())


cdef inline Py_ssize_t _region_bytes(Py_ssize_t entries) noexcept:
    return sizeof(Region) + entries * sizeof(Entry)


@cython.final
cdef class ClientTable:
    """ClientTable(memory, region)
--

The view of the worker that owns `region`, on memory that was prepared. Raises ValueError for other memory.
"""  # in the form out of which help(), inspect and stubtest read the signature

    cdef Py_buffer _view
    cdef bint _has_view
    cdef Py_ssize_t _regions
    cdef Py_ssize_t _entries
    cdef Py_ssize_t _region_bytes
    cdef Py_ssize_t _region

    def __cinit__(self, memory, region):
        PyObject_GetBuffer(memory, &self._view, PyBUF_WRITABLE)
        self._has_view = True
        cdef Head* head = <Head*>self._view.buf
        if <uintptr_t>head % 8 or self._view.len < <Py_ssize_t>sizeof(Head) or head.magic != MAGIC:
            raise ValueError("this is no table of clients")
        self._regions = head.regions
        self._entries = head.entries
        self._region_bytes = _region_bytes(head.entries)
        if self._view.len != <Py_ssize_t>sizeof(Head) + self._regions * self._region_bytes:
            raise ValueError("the memory has another size than its head says")
        if not 0 <= region < self._regions:
            raise ValueError(f"there is no region {region}")
        self._region = region

    def __dealloc__(self):
        if self._has_view:
            PyBuffer_Release(&self._view)

    @property
    def hash_key(self):
        """The secret with which clients are to be hashed: 16 octets."""
        cdef Head* head = <Head*>self._view.buf
        return (<char*>head.key)[:KEY_BYTES]

    @property
    def regions(self):
        """For how many workers there is room."""
        return self._regions

    @property
    def open(self):
        """Connections that are open, of all workers."""
        cdef uint64_t total = 0
        cdef Py_ssize_t number
        for number in range(self._regions):
            total += LOAD64(&self._at(number).open)
        return total

    cpdef object join(self):
        """One more connection of ours is open; returns `open`, this one included."""
        cdef Region* region = self._at(self._region)
        STORE64(&region.open, region.open + 1)
        return self.open

    cpdef object part(self):
        """One connection of ours is closed. Raises ValueError when none is open."""
        cdef Region* region = self._at(self._region)
        if region.open == 0:
            raise ValueError("no connection is open")
        STORE64(&region.open, region.open - 1)

    cpdef Py_ssize_t enter(self, uint64_t client, uint32_t now_s) except -2:
        """A client has come: one more open connection, one more arrival. Returns its slot, or NOT_COUNTED."""
        cdef Py_ssize_t slot = self._claim(client)
        if slot < 0:
            return slot
        cdef Entry* entry = self._slot(self._region, slot)
        STORE64(&entry.arrivals, _one_more(entry.arrivals, now_s))
        STORE32(&entry.seen_s, now_s)
        STORE32(&entry.open, entry.open + 1)
        return slot

    cpdef object leave(self, Py_ssize_t slot, uint32_t now_s):
        """A connection that was counted in this slot is closed. Raises ValueError when there is none."""
        cdef Entry* entry = self._open_slot(slot)
        STORE32(&entry.seen_s, now_s)
        STORE32(&entry.open, entry.open - 1)

    cpdef object take_back(self, Py_ssize_t slot, uint32_t now_s):
        """As if it had not come: it was turned away, at once. Raises ValueError when nothing is open in the slot."""
        cdef Entry* entry = self._open_slot(slot)
        if _window(entry.arrivals) == _number(now_s) and entry.arrivals & COUNT_MASK:
            STORE64(&entry.arrivals, entry.arrivals - 1)
        STORE32(&entry.open, entry.open - 1)

    cpdef object mark_stored(self, Py_ssize_t slot, uint32_t now_s):
        """Mail of this client was stored. Raises ValueError when nothing is open in the slot."""
        STORE32(&self._open_slot(slot).stored_s, max(now_s, 1))

    cpdef tuple look(self, uint64_t client, uint32_t now_s):
        """What all workers know of a client: (open connections, arrivals within WINDOW_S, when mail was stored or 0).

        Arrivals are those of this window, and of the one before it as much as still is within WINDOW_S.
        """
        cdef uint64_t open_ = 0
        cdef uint64_t arrivals = 0
        cdef uint32_t stored_s = 0
        cdef uint64_t seen_arrivals
        cdef uint32_t seen_open, seen_stored_s
        cdef Entry* entry
        cdef Py_ssize_t number, way
        client = client or 1
        for number in range(self._regions):
            entry = self._bucket(number, client)
            for way in range(WAYS):
                if LOAD64(&entry[way].client) != client:
                    continue
                seen_open = LOAD32(&entry[way].open)
                seen_arrivals = LOAD64(&entry[way].arrivals)
                seen_stored_s = LOAD32(&entry[way].stored_s)
                if LOAD64(&entry[way].client) == client:  # or it was given to another one meanwhile
                    open_ += seen_open
                    arrivals += _weigh(seen_arrivals, now_s)
                    stored_s = max(stored_s, seen_stored_s)
                break
        return open_, arrivals // WINDOW, stored_s

    cpdef object release(self, Py_ssize_t region):
        """The worker of this region is dead: nothing of it is open. When its clients came is still true.

        Raises ValueError when there is no such region.
        """
        cdef Py_ssize_t slot
        if not 0 <= region < self._regions:
            raise ValueError(f"there is no region {region}")
        STORE64(&self._at(region).open, 0)
        for slot in range(self._entries):
            if self._slot(region, slot).open:
                STORE32(&self._slot(region, slot).open, 0)

    cdef inline Region* _at(self, Py_ssize_t region) noexcept:
        return <Region*>(<char*>self._view.buf + sizeof(Head) + region * self._region_bytes)

    cdef inline Entry* _slot(self, Py_ssize_t region, Py_ssize_t slot) noexcept:
        return <Entry*>(<char*>self._at(region) + sizeof(Region)) + slot

    cdef inline Entry* _bucket(self, Py_ssize_t region, uint64_t client) noexcept:
        return self._slot(region, client & <uint64_t>(self._entries - WAYS))

    cdef Entry* _open_slot(self, Py_ssize_t slot) except NULL:
        if not 0 <= slot < self._entries or self._slot(self._region, slot).open == 0:
            raise ValueError(f"nothing is open in slot {slot}")
        return self._slot(self._region, slot)

    cdef Py_ssize_t _claim(self, uint64_t client) noexcept:
        """The slot of this client in our region, made when there is none, or NOT_COUNTED."""
        client = client or 1
        cdef Entry* bucket = self._bucket(self._region, client)
        cdef Py_ssize_t first = bucket - self._slot(self._region, 0)
        cdef Py_ssize_t way
        cdef Py_ssize_t best = -1
        cdef uint64_t rank
        cdef uint64_t best_rank = <uint64_t>-1
        for way in range(WAYS):
            if bucket[way].client == client:
                return first + way
            if bucket[way].open:
                continue
            rank = 0
            if bucket[way].client:
                rank = 1 + bucket[way].seen_s + (<uint64_t>UINT32_MAX + 1 if bucket[way].stored_s else 0)
            if rank < best_rank:
                best, best_rank = way, rank
        if best < 0:
            return -1
        # Others may be looking: they see no client, or all that is new.
        STORE64(&bucket[best].client, 0)
        STORE64(&bucket[best].arrivals, 0)
        STORE32(&bucket[best].stored_s, 0)
        STORE64(&bucket[best].client, client)
        return first + best


cdef inline uint64_t _number(uint32_t now_s) noexcept:
    return (now_s // WINDOW) & WINDOW_MASK


cdef inline uint64_t _window(uint64_t arrivals) noexcept:
    return arrivals >> (2 * COUNT_BITS)


cdef inline uint64_t _before(uint64_t arrivals, uint64_t window) noexcept:
    """How many came in the window before this one."""
    if _window(arrivals) == window:
        return (arrivals >> COUNT_BITS) & COUNT_MASK
    return arrivals & COUNT_MASK if ((_window(arrivals) + 1) & WINDOW_MASK) == window else 0


cdef inline uint64_t _one_more(uint64_t arrivals, uint32_t now_s) noexcept:
    cdef uint64_t window = _number(now_s)
    cdef uint64_t count = arrivals & COUNT_MASK if _window(arrivals) == window else 0
    if count < COUNT_MASK:
        count += 1
    return window << (2 * COUNT_BITS) | _before(arrivals, window) << COUNT_BITS | count


cdef inline uint64_t _weigh(uint64_t arrivals, uint32_t now_s) noexcept:
    """WINDOW times the arrivals within the last WINDOW seconds, if those of the window before were evenly spread."""
    cdef uint64_t window = _number(now_s)
    cdef uint64_t count = arrivals & COUNT_MASK if _window(arrivals) == window else 0
    return count * WINDOW + _before(arrivals, window) * (WINDOW - now_s % WINDOW)
