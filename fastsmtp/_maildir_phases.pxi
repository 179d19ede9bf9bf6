"""The phases of a batch, and the way back."""

from libc.errno cimport EEXIST, EINVAL, ENOENT, ENOSYS, errno
from posix.fcntl cimport AT_SYMLINK_NOFOLLOW, O_CLOEXEC, O_CREAT, O_EXCL, O_WRONLY, openat
from posix.stat cimport fstatat, struct_stat
from posix.unistd cimport close

cdef extern from "<fcntl.h>" nogil:
    enum: SYNC_FILE_RANGE_WRITE
    int sync_file_range(int, long long, long long, unsigned int)

cdef extern from "<stdio.h>" nogil:
    enum: RENAME_NOREPLACE
    int renameat2(int, const char *, int, const char *, unsigned int)

cdef extern from "<unistd.h>" nogil:
    int linkat(int, const char *, int, const char *, int)


# ---------------------------------------------------------------- failures

cdef void fail(Batch *batch, File *file, int error) noexcept nogil:
    """Remember the first thing that went wrong with a message."""
    if not file.mail.error:
        file.mail.error = error
        file.mail.step = batch.step
        file.mail.culprit = file


cdef void take_back(Batch *batch, Mail *mail) noexcept nogil:
    """Remove every file of a message. What a reader has taken from new/ already is left behind, too."""
    cdef Py_ssize_t i
    cdef File *file
    for i in range(mail.file_count):
        file = &mail.files[i]
        if file.fd >= 0:
            close(file.fd)
            file.fd = -1
        if not file.in_tmp and not file.in_new:
            continue
        if enter(batch, file.mailbox):
            mail.left_behind += file.in_tmp + file.in_new
        else:
            if file.in_tmp and unlinkat(file.mailbox.tmp, file.name, 0) and errno != ENOENT:
                mail.left_behind += 1
            if file.in_new and unlinkat(file.mailbox.new, file.name, 0):
                mail.left_behind += 1
            leave(batch, file.mailbox)
        file.in_tmp = file.in_new = False


# ---------------------------------------------------------------- phase 1: write

cdef int create(Batch *batch, File *file) noexcept nogil:
    """A new file in tmp/, never one that was there. A descriptor."""
    cdef int fd
    batch.step = CREATE
    fd = openat(file.mailbox.tmp, file.name, O_CREAT | O_EXCL | O_NOFOLLOW | O_WRONLY | O_CLOEXEC, 0o600)
    return fd if fd >= 0 else -errno


cdef int finish(Batch *batch, Mail *mail, int fd) noexcept nogil:
    """Sync a written file where that is asked for, and close it."""
    cdef int error = 0
    if mail.durability == FSYNC:
        batch.step = SYNC
        error = sync(fd)
    if close(fd) and not error:  # network filesystems report a full disk here
        batch.step = CLOSE
        error = errno
    return error


cdef int write_file(Batch *batch, File *file) noexcept nogil:
    cdef Mail *mail = file.mail
    cdef Mailbox *mailbox = file.mailbox
    cdef int fd
    cdef int error = enter(batch, mailbox)
    if error:
        return error
    fd = create(batch, file)
    if out_of_descriptors(-fd) and let_go(batch):
        error = enter(batch, mailbox)
        if error:
            return error
        fd = create(batch, file)
    if fd < 0:
        leave(batch, mailbox)
        return -fd
    file.in_tmp = True
    batch.step = WRITE
    mail.pieces[0] = file.head
    error = write_pieces(fd, mail.pieces, mail.piece_count, HERE) or copy(mail.spool, mail.spool_size, fd)
    if error:
        close(fd)
    elif mail.durability == FSYNC and batch.room:
        batch.room -= 1
        file.fd = fd
    else:
        error = finish(batch, mail, fd)
    leave(batch, mailbox)
    return error


cdef void write_files(Batch *batch) noexcept nogil:
    cdef Py_ssize_t i
    cdef int error
    cdef File *file
    for i in range(batch.file_count):
        file = &batch.files[i]
        if file.mail.error:
            continue
        error = write_file(batch, file)
        if error:
            fail(batch, file, error)
            # Now, not at the end: on a full disk the next message needs the room.
            take_back(batch, file.mail)


# ---------------------------------------------------------------- phase 2: sync

cdef void start_writing(Batch *batch) noexcept nogil:
    """Let the disk begin with all files at once, so that the first sync pays for most of the others.

    Only a hint, which some filesystems refuse; what is on the disk is what the sync says.
    """
    cdef Py_ssize_t i
    for i in range(batch.file_count):
        if batch.files[i].fd >= 0:
            sync_file_range(batch.files[i].fd, 0, 0, SYNC_FILE_RANGE_WRITE)


cdef bint sync_files(Batch *batch) noexcept nogil:
    """Sync and close the files that phase 1 kept open. Whether there were any."""
    cdef Py_ssize_t i
    cdef int error
    cdef bint closed = False
    cdef File *file
    start_writing(batch)
    for i in range(batch.file_count):
        file = &batch.files[i]
        if file.fd >= 0:
            error = finish(batch, file.mail, file.fd)
            file.fd = -1
            closed = True
            if error:
                fail(batch, file, error)
    return closed


# ---------------------------------------------------------------- phase 3: publish

cdef bint is_linked(Mailbox *mailbox, File *file) noexcept nogil:
    """Whether the file has its second name: NFS may answer EEXIST to a link that was made."""
    cdef struct_stat status
    return fstatat(mailbox.tmp, file.name, &status, AT_SYMLINK_NOFOLLOW) == 0 and status.st_nlink == 2


cdef int move(Mailbox *mailbox, File *file) noexcept nogil:
    """From tmp/ to new/, never over a file that is there."""
    cdef int error
    if renameat2(mailbox.tmp, file.name, mailbox.new, file.name, RENAME_NOREPLACE) == 0:
        file.in_tmp = False
        file.in_new = True
        return 0
    error = errno
    if error != EINVAL and error != ENOSYS:
        return error
    if linkat(mailbox.tmp, file.name, mailbox.new, file.name, 0):
        error = errno
        if error != EEXIST or not is_linked(mailbox, file):
            return error
    file.in_new = True
    if unlinkat(mailbox.tmp, file.name, 0):
        return errno
    file.in_tmp = False
    return 0


cdef int publish_file(Batch *batch, File *file) noexcept nogil:
    cdef int error = enter(batch, file.mailbox)
    if error:
        return error
    batch.step = RENAME
    error = move(file.mailbox, file)
    if file.mail.durability == FSYNC:
        file.mailbox.published = True
    leave(batch, file.mailbox)
    return error


cdef void publish_files(Batch *batch) noexcept nogil:
    cdef Py_ssize_t i
    cdef int error
    cdef File *file
    for i in range(batch.file_count):
        file = &batch.files[i]
        if not file.mail.error or file.mail.journalled:  # what is journalled is ours, whatever becomes of one copy
            error = publish_file(batch, file)
            if error:
                fail(batch, file, error)


# ---------------------------------------------------------------- phase 4: sync new

cdef int sync_mailbox(Batch *batch, Mailbox *mailbox) noexcept nogil:
    cdef int error = enter(batch, mailbox)
    if not error:
        error = sync(mailbox.new)
        leave(batch, mailbox)
    return error


cdef void sync_mailboxes(Batch *batch) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(batch.mailbox_count):
        if batch.mailboxes[i].published:
            batch.mailboxes[i].sync_error = sync_mailbox(batch, &batch.mailboxes[i])
    batch.step = SYNC_NEW
    for i in range(batch.file_count):
        if batch.files[i].mailbox.sync_error and batch.files[i].mail.durability == FSYNC:
            fail(batch, &batch.files[i], batch.files[i].mailbox.sync_error)


# ---------------------------------------------------------------- the batch

cdef void run(Batch *batch) noexcept nogil:
    cdef Py_ssize_t i
    if batch.durability == JOURNAL:
        reach_mailboxes(batch)
    write_files(batch)
    if batch.durability != NONE:
        sync_files(batch)
    if batch.durability == JOURNAL:
        append_records(batch)
    publish_files(batch)
    if batch.durability != NONE:
        sync_mailboxes(batch)
    for i in range(batch.mail_count):
        if batch.mails[i].error and not batch.mails[i].journalled:
            take_back(batch, &batch.mails[i])
    close_mailboxes(batch)
