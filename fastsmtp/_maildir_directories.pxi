"""Mailbox directories by descriptor: opened without following symbolic links, made on the first delivery."""

from libc.errno cimport EEXIST, EMFILE, ENFILE, ENOENT, ENOSYS, EPERM, EXDEV, errno
from libc.stdio cimport snprintf
from libc.string cimport memset
from posix.fcntl cimport O_CLOEXEC, O_DIRECTORY, O_RDONLY, openat
from posix.stat cimport fstat, mkdirat, struct_stat
from posix.unistd cimport close

cdef extern from "<linux/openat2.h>" nogil:
    enum: RESOLVE_BENEATH
    enum: RESOLVE_NO_MAGICLINKS
    enum: RESOLVE_NO_SYMLINKS
    enum: RESOLVE_NO_XDEV
    struct open_how:
        unsigned long long flags
        unsigned long long resolve

cdef extern from "<sys/syscall.h>" nogil:
    enum: SYS_openat2

cdef extern from "<unistd.h>" nogil:
    long syscall(long, ...)

cdef enum:
    KEPT_DESCRIPTORS = 256  # of the 1024 that a process may have by default
    PATH_BYTES = 2 * (NAME_MAX + 1) + 4  # domain/user/tmp and its NUL
    DIRECTORY = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC

ctypedef int (*Task)(Batch *, Mailbox *) noexcept nogil


cdef int open_directory(int parent, const char *name) noexcept nogil:
    cdef int fd = openat(parent, name, DIRECTORY)
    return fd if fd >= 0 else -errno


cdef int make_directory(int parent, const char *name) noexcept nogil:
    return errno if mkdirat(parent, name, 0o700) and errno != EEXIST else 0


cdef int descend(Batch *batch, int parent, const char *name) noexcept nogil:
    """Open a directory after making it where it is missing. A descriptor."""
    cdef int error = make_directory(parent, name)
    # Even one that was there already: another process may have made it a moment ago.
    if batch.durability == FSYNC and not error:
        error = sync(parent)
    return -error if error else open_directory(parent, name)


cdef int make_mailbox(Batch *batch, Mailbox *mailbox) noexcept nogil:
    """Make what is missing of a mailbox; with a journal, all but tmp/."""
    cdef int domain, user, error
    batch.step = MAKE
    domain = descend(batch, batch.root, mailbox.domain)
    if domain < 0:
        return -domain
    user = descend(batch, domain, mailbox.user)
    close(domain)
    if user < 0:
        return -user
    error = make_directory(user, "new") or make_directory(user, "cur")
    # tmp comes last: whoever finds it may rely on the others being there, and on the disk.
    if batch.durability == FSYNC and not error:
        error = sync(user)
    if batch.durability != JOURNAL and not error:
        error = make_directory(user, "tmp")
    close(user)
    return error


cdef int open_user(Batch *batch, Mailbox *mailbox) noexcept nogil:
    """A descriptor of the directory around tmp/, new/ and cur/."""
    cdef int domain, user
    domain = open_directory(batch.root, mailbox.domain)
    if domain < 0:
        return domain
    user = open_directory(domain, mailbox.user)
    close(domain)
    return user


cdef bint is_foreign(int root, int fd) noexcept nogil:
    cdef struct_stat here, there
    return fstat(root, &here) or fstat(fd, &there) or here.st_dev != there.st_dev


cdef int walk(Batch *batch, Mailbox *mailbox, const char *leaf, bint stay) noexcept nogil:
    """What openat2 does, step by step. A descriptor."""
    cdef int user, fd
    user = open_user(batch, mailbox)
    if user < 0:
        return user
    fd = open_directory(user, leaf)
    close(user)
    if fd >= 0 and stay and is_foreign(batch.root, fd):
        close(fd)
        return -EXDEV
    return fd


cdef int open_leaf(Batch *batch, Mailbox *mailbox, const char *leaf) noexcept nogil:
    """Open one directory of a mailbox; no component may be a symbolic link. A descriptor.

    With a journal it is -EXDEV when the directory is on another mount than the root, unless that is known already.
    """
    cdef char path[PATH_BYTES]
    cdef open_how how
    cdef int fd
    cdef bint stay = batch.durability == JOURNAL and not mailbox.foreign
    if not batch.walk:
        snprintf(path, sizeof(path), "%s/%s/%s", mailbox.domain, mailbox.user, leaf)
        memset(&how, 0, sizeof(how))
        how.flags = DIRECTORY
        how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS
        if stay:
            how.resolve |= RESOLVE_NO_XDEV
        fd = <int>syscall(SYS_openat2, batch.root, path, &how, sizeof(how))
        if fd >= 0:
            return fd
        if errno != ENOSYS and errno != EPERM:  # before Linux 5.6; forbidden by an old seccomp filter
            return -errno
        batch.walk = True
    return walk(batch, mailbox, leaf, stay)


cdef void close_mailbox(Mailbox *mailbox) noexcept nogil:
    close(mailbox.tmp)
    close(mailbox.new)
    mailbox.tmp = mailbox.new = -1
    mailbox.kept = False


cdef int open_mailbox(Batch *batch, Mailbox *mailbox) noexcept nogil:
    batch.step = OPEN_TMP
    mailbox.tmp = open_leaf(batch, mailbox, "tmp")
    if mailbox.tmp < 0:
        return -mailbox.tmp
    batch.step = OPEN_NEW
    mailbox.new = open_leaf(batch, mailbox, "new")
    if mailbox.new >= 0:
        return 0
    close(mailbox.tmp)
    mailbox.tmp = -1
    return -mailbox.new


cdef int reach_mailbox(Batch *batch, Mailbox *mailbox) noexcept nogil:
    """Open a mailbox, which is made on its first delivery; with a journal, `reach_mailboxes` has made it."""
    cdef int error = open_mailbox(batch, mailbox)
    if error == EXDEV and not mailbox.reached and not mailbox.foreign:
        mailbox.foreign = True
        error = open_mailbox(batch, mailbox)
    if error == ENOENT and batch.durability != JOURNAL:
        error = make_mailbox(batch, mailbox) or open_mailbox(batch, mailbox)
    mailbox.reached = mailbox.reached or not error
    return error


# ---------------------------------------------------------------- few descriptors

cdef bint out_of_descriptors(int error) noexcept nogil:
    return error == EMFILE or error == ENFILE


cdef bint let_go(Batch *batch) noexcept nogil:
    """Close whatever is open, and keep nothing open from now on. Whether that has freed a descriptor."""
    cdef bint freed
    batch.room = 0
    freed = sync_files(batch)
    return close_mailboxes(batch) or freed


cdef bint close_mailboxes(Batch *batch) noexcept nogil:
    cdef Py_ssize_t i
    cdef bint closed = False
    for i in range(batch.mailbox_count):
        if batch.mailboxes[i].tmp >= 0:
            close_mailbox(&batch.mailboxes[i])
            closed = True
    return closed


cdef int attempt(Task task, Batch *batch, Mailbox *mailbox) noexcept nogil:
    """Do it, and if there is no descriptor for it, again after letting go of all others."""
    cdef int error = task(batch, mailbox)
    if out_of_descriptors(error) and let_go(batch):
        error = task(batch, mailbox)
    return error


cdef int enter(Batch *batch, Mailbox *mailbox) noexcept nogil:
    """Have the directories of a mailbox open until `leave`."""
    return 0 if mailbox.tmp >= 0 else attempt(reach_mailbox, batch, mailbox)


cdef void leave(Batch *batch, Mailbox *mailbox) noexcept nogil:
    if mailbox.kept:
        return
    if batch.room >= 2:
        batch.room -= 2
        mailbox.kept = True
    else:
        close_mailbox(mailbox)
