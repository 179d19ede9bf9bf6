"""Whether a file is there as it should be, in new/, cur/ or tmp/."""

from libc.errno cimport EINTR, ELOOP, ENOENT, ENOMEM, errno
from libc.stdlib cimport bsearch, free, malloc, qsort
from libc.string cimport memcmp, strcmp, strcspn, strncmp
from posix.fcntl cimport O_CLOEXEC, O_NONBLOCK, O_RDONLY, openat
from posix.stat cimport S_ISREG, fstat, struct_stat
from posix.uio cimport iovec
from posix.unistd cimport close, read

from fastsmtp._maildir cimport O_NOFOLLOW

cdef extern from "<dirent.h>" nogil:
    ctypedef struct DIR:
        pass
    struct dirent:
        char *d_name
    DIR *fdopendir(int)
    dirent *readdir(DIR *)
    int closedir(DIR *)

cdef enum:
    COMPARE_BYTES = 64 * 1024


cdef bint holds(int fd, const iovec *pieces, int count) noexcept nogil:
    """Whether the file is these pieces, and nothing else."""
    cdef char there[COMPARE_BYTES]
    cdef struct_stat status
    cdef size_t size = 0
    cdef size_t at = 0
    cdef ssize_t count_read, taken, step
    cdef int i
    for i in range(count):
        size += pieces[i].iov_len
    # The length first: most of what a crash has spoiled is shorter.
    if fstat(fd, &status) or not S_ISREG(status.st_mode) or <size_t>status.st_size != size:
        return False
    while size:
        count_read = read(fd, there, min(size, <size_t>COMPARE_BYTES))
        if count_read < 0 and errno == EINTR:
            continue
        if count_read <= 0:
            return False
        size -= count_read
        taken = 0
        while taken < count_read:
            step = min(count_read - taken, <ssize_t>(pieces.iov_len - at))
            if memcmp(there + taken, <const char *>pieces.iov_base + at, step):
                return False
            taken += step
            at += step
            if at == pieces.iov_len:
                pieces += 1
                at = 0
    return True


cdef Outcome look_in(int directory, const char *name, const Wanted *wanted) noexcept nogil:
    """Whether this is the file."""
    cdef int fd = openat(directory, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)
    cdef bint answer
    if fd < 0:
        return ABSENT if errno in (ENOENT, ELOOP) else LEFT  # a symbolic link is no file of ours
    answer = holds(fd, wanted.pieces, 2)
    close(fd)
    return PRESENT if answer else ABSENT


# ---------------------------------------------------------------- cur/

cdef struct Front:
    # The name of a file in cur/ up to what a reader has put behind it.
    const char *name
    size_t size


cdef int compare_names(const void *one, const void *other) noexcept nogil:
    return strcmp((<Wanted **>one)[0].name, (<Wanted **>other)[0].name)


cdef int compare_front(const void *front, const void *wanted) noexcept nogil:
    cdef const Front *one = <const Front *>front
    cdef const char *other = (<Wanted **>wanted)[0].name
    cdef int difference = strncmp(one.name, other, one.size)
    return difference if difference else -<int>(other[one.size] != 0)


cdef Wanted *find(const char *entry, Wanted **by_name, Py_ssize_t count) noexcept nogil:
    """Whose name this is, with flags (`:2,S`) or more fields (`,W=4711:2,S`) behind it."""
    cdef Front front
    cdef Wanted **found
    front.name = entry
    front.size = 0
    while True:
        front.size += strcspn(entry + front.size, b":,")
        found = <Wanted **>bsearch(&front, by_name, count, sizeof(Wanted *), compare_front)
        if found != NULL:
            return found[0]
        if not entry[front.size]:
            return NULL
        front.size += 1


cdef int look_through(int cur, Wanted *wanted, Py_ssize_t count) noexcept nogil:
    """Mark those as present that somebody has read and moved to cur/. The descriptor is closed."""
    global errno
    cdef DIR *entries = fdopendir(cur)
    cdef Wanted **by_name = <Wanted **>malloc(count * sizeof(Wanted *))
    cdef Wanted *found
    cdef dirent *entry
    cdef Py_ssize_t i
    cdef int error = 0
    if entries == NULL or by_name == NULL:
        error = ENOMEM
    else:
        for i in range(count):
            by_name[i] = &wanted[i]
        qsort(by_name, count, sizeof(Wanted *), compare_names)
    while not error:
        errno = 0
        entry = readdir(entries)
        if entry == NULL:
            error = errno
            break
        found = find(entry.d_name, by_name, count)
        if found != NULL and found.outcome == ABSENT and look_in(cur, entry.d_name, found) == PRESENT:
            found.outcome = PRESENT
    free(by_name)
    if entries == NULL:
        close(cur)
    else:
        closedir(entries)
    return error
