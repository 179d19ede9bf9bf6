"""Bytes into files, however short each single write may fall."""

from libc.errno cimport EBADF, EINTR, EINVAL, EIO, ENOMEM, ENOSYS, EOPNOTSUPP, EXDEV, errno
from libc.stdlib cimport free, malloc
from posix.types cimport off_t
from posix.uio cimport iovec, pwritev, writev
from posix.unistd cimport fdatasync, fsync, pread, pwrite, write

cdef extern from "<limits.h>" nogil:
    enum: IOV_MAX

cdef extern from "<unistd.h>" nogil:
    ssize_t copy_file_range(int, off_t *, int, off_t *, size_t, unsigned int)

cdef enum:
    COPY_BYTES = 128 * 1024


cdef int sync(int fd) noexcept nogil:
    while fsync(fd):
        if errno != EINTR:
            return errno
    return 0


cdef int sync_data(int fd) noexcept nogil:
    while fdatasync(fd):
        if errno != EINTR:
            return errno
    return 0


cdef int write_rest(int fd, const char *data, size_t size, off_t offset) noexcept nogil:
    cdef ssize_t written
    while size:
        written = write(fd, data, size) if offset == HERE else pwrite(fd, data, size, offset)
        if written > 0:
            data += written
            size -= written
            if offset != HERE:
                offset += written
        elif written == 0:
            return EIO
        elif errno != EINTR:
            return errno
    return 0


cdef int write_pieces(int fd, const iovec *pieces, int count, off_t offset) noexcept nogil:
    """Write all pieces, one behind the other."""
    cdef ssize_t written
    cdef int now, error
    while count:
        now = min(count, IOV_MAX)
        written = writev(fd, pieces, now) if offset == HERE else pwritev(fd, pieces, now, offset)
        if written < 0:
            if errno == EINTR:
                continue
            return errno
        if written == 0 and pieces.iov_len:
            return EIO
        if offset != HERE:
            offset += written
        while count and <size_t>written >= pieces.iov_len:
            written -= pieces.iov_len
            pieces += 1
            count -= 1
        if written:
            error = write_rest(fd, <const char *>pieces.iov_base + written, pieces.iov_len - written, offset)
            if error:
                return error
            if offset != HERE:
                offset += pieces.iov_len - written
            pieces += 1
            count -= 1
    return 0


cdef int copy_by_hand(int source, off_t offset, off_t end, int fd) noexcept nogil:
    cdef char *buffer = <char *>malloc(COPY_BYTES)
    cdef ssize_t size
    cdef int error = ENOMEM if buffer == NULL else 0
    while offset < end and not error:
        size = pread(source, buffer, min(end - offset, COPY_BYTES), offset)
        if size > 0:
            offset += size
            error = write_rest(fd, buffer, size, HERE)
        elif size == 0:
            error = EIO  # the source is shorter than was said
        elif errno != EINTR:
            error = errno
    free(buffer)
    return error


cdef int copy(int source, off_t end, int fd) noexcept nogil:
    """Append the source, up to there; its own offset is neither used nor moved."""
    cdef off_t offset = 0
    cdef ssize_t copied
    while offset < end:
        copied = copy_file_range(source, &offset, fd, NULL, end - offset, 0)
        if copied > 0 or copied < 0 and errno == EINTR:
            continue
        if copied == 0 or errno in (EXDEV, EINVAL, ENOSYS, EOPNOTSUPP, EBADF):  # not between these two, or not here
            return copy_by_hand(source, offset, end, fd)
        return errno
    return 0
