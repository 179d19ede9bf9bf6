"""Phase 0, with a journal: every mailbox of the batch is there, and so it is after a power cut.

All are made first and then synced together: one by one, each would wait for the disk alone.
"""

from libc.errno cimport ENOENT
from libc.string cimport strcmp
from posix.unistd cimport close


cdef int visit(Batch *batch, Mailbox *mailbox) noexcept nogil:
    cdef int error = 0
    if not mailbox.reached:
        error = enter(batch, mailbox)
        if not error:
            leave(batch, mailbox)
    return error


cdef int sync_user(Batch *batch, Mailbox *mailbox) noexcept nogil:
    cdef int error
    cdef int user = open_user(batch, mailbox)
    if user < 0:
        return -user
    error = sync(user)
    close(user)
    return error


cdef int sync_domain(Batch *batch, Mailbox *mailbox) noexcept nogil:
    cdef int error
    cdef int domain = open_directory(batch.root, mailbox.domain)
    if domain < 0:
        return -domain
    error = sync(domain)
    close(domain)
    return error


cdef int make_tmp(Batch *batch, Mailbox *mailbox) noexcept nogil:
    cdef int error
    cdef int user = open_user(batch, mailbox)
    if user < 0:
        return -user
    error = make_directory(user, "tmp")
    close(user)
    return error


cdef void complete_mailboxes(Batch *batch) noexcept nogil:
    """Sync the directories around every mailbox that was made, then let it be found: give it its tmp/."""
    cdef Py_ssize_t i
    cdef Mailbox *mailbox
    cdef const char *domain = NULL
    cdef int domain_error = 0
    cdef int root_error
    for i in range(batch.mailbox_count):
        mailbox = &batch.mailboxes[i]
        if not mailbox.made:
            continue
        mailbox.sync_error = attempt(sync_user, batch, mailbox)
        if domain == NULL or strcmp(domain, mailbox.domain):  # the users of one domain mostly come in a row
            domain = mailbox.domain
            domain_error = attempt(sync_domain, batch, mailbox)
        mailbox.sync_error = mailbox.sync_error or domain_error
    if domain == NULL:
        return
    root_error = sync(batch.root)
    for i in range(batch.mailbox_count):
        mailbox = &batch.mailboxes[i]
        if mailbox.made:
            mailbox.sync_error = mailbox.sync_error or root_error or attempt(make_tmp, batch, mailbox)


cdef void reach_mailboxes(Batch *batch) noexcept nogil:
    """Have every mailbox there and on the disk before anything is written, and know which mount it is on."""
    cdef Py_ssize_t i
    cdef int error
    cdef File *file
    for i in range(batch.file_count):
        file = &batch.files[i]
        if file.mail.error or file.mailbox.made:
            continue
        error = visit(batch, file.mailbox)
        if error == ENOENT:
            error = attempt(make_mailbox, batch, file.mailbox)
            file.mailbox.made = not error
        if error:
            fail(batch, file, error)
    complete_mailboxes(batch)
    for i in range(batch.file_count):
        file = &batch.files[i]
        if file.mail.error:
            continue
        batch.step = MAKE
        error = file.mailbox.sync_error or visit(batch, file.mailbox)
        if error:
            fail(batch, file, error)
        elif file.mailbox.foreign:
            file.mail.durability = FSYNC  # a checkpoint syncs the file system of the root, and no other
