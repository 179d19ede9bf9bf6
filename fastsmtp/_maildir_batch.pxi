"""A batch as C arrays, and what became of it as Python objects."""

# By Step: what it is called and where it happens.
cdef tuple _STEPS = (
    ("open", "{0}/{1}/tmp"),
    ("open", "{0}/{1}/new"),
    ("make", "{0}/{1}"),
    ("create", "{0}/{1}/tmp/{2}"),
    ("write", "{0}/{1}/tmp/{2}"),
    ("sync", "{0}/{1}/tmp/{2}"),
    ("close", "{0}/{1}/tmp/{2}"),
    ("append", "segment-{3}"),
    ("sync", "segment-{3}"),
    ("rename", "{0}/{1}/new/{2}"),
    ("sync", "{0}/{1}/new"),
)


cdef object report(Mail *mail):
    cdef File *file = mail.culprit
    if not mail.error:
        return None
    step, path = _STEPS[mail.step]
    names = map(os.fsdecode, (file.mailbox.domain, file.mailbox.user, file.name))
    path = path.format(*names, mail.segment)
    if mail.journalled:
        return Owed(mail.error, step, path, tuple([i for i in range(mail.file_count) if not mail.files[i].in_new]))
    return Failure(mail.error, step, path, mail.left_behind)


cdef void set_piece(iovec *piece, bytes data) noexcept:
    piece.iov_base = PyBytes_AS_STRING(data)
    piece.iov_len = PyBytes_GET_SIZE(data)


cdef void *array(Py_ssize_t count, size_t size) except NULL:
    cdef void *memory = calloc(count + 1, size)
    if memory == NULL:
        raise MemoryError
    return memory


cdef int durability_of(Batch *work, Delivery delivery) noexcept:
    """How durable this message is made: what is too large for the journal is synced, and a spool always is."""
    if work.durability != JOURNAL:
        return work.durability
    if delivery.spool >= 0 or not delivery.copies or round_up(delivery.record_size, RECORD_ALIGNMENT) > work.ring.limit:
        return FSYNC
    return JOURNAL


cdef int prepare(Batch *work, tuple deliveries) except -1:
    """Lay the deliveries out in C arrays, which `release` frees."""
    cdef Delivery delivery
    cdef Py_ssize_t i
    cdef Py_ssize_t piece_count = 0
    cdef Py_ssize_t front_size = 0
    cdef bytes domain, user, name, head, data
    cdef File *file
    cdef char *record
    cdef iovec *piece
    cdef Mail *mail
    cdef Mailbox *mailbox
    cdef dict known = {}

    for delivery in deliveries:
        if delivery is None:
            raise TypeError("a batch is made of deliveries")
        work.file_count += len(delivery.copies)
        piece_count += len(delivery.content) + 2
        if durability_of(work, delivery) == JOURNAL:
            front_size += delivery.front_size
    if piece_count > INT_MAX:
        raise OverflowError("too many pieces in one batch")

    work.mail_count = len(deliveries)
    work.mails = <Mail *>array(work.mail_count, sizeof(Mail))
    work.mailboxes = <Mailbox *>array(work.file_count, sizeof(Mailbox))
    work.files = file = <File *>array(work.file_count, sizeof(File))
    work.pieces = piece = <iovec *>array(piece_count, sizeof(iovec))
    work.records = record = <char *>array(front_size, 1)
    for i in range(work.mail_count):
        delivery = <Delivery>deliveries[i]
        mail = &work.mails[i]
        mail.files = file
        mail.file_count = len(delivery.copies)
        for domain, user, name, head in delivery.copies:
            number = known.setdefault((domain, user), work.mailbox_count)
            mailbox = &work.mailboxes[<Py_ssize_t>number]
            if number == work.mailbox_count:
                work.mailbox_count += 1
                mailbox.domain = PyBytes_AS_STRING(domain)
                mailbox.user = PyBytes_AS_STRING(user)
                mailbox.tmp = mailbox.new = -1
            file.mail = mail
            file.mailbox = mailbox
            file.name = PyBytes_AS_STRING(name)
            file.fd = -1
            set_piece(&file.head, head)
            file += 1
        mail.pieces = piece
        piece += 1
        for data in delivery.content:
            set_piece(piece, data)
            piece += 1
        mail.piece_count = <int>(piece - mail.pieces)
        piece += 1
        mail.spool = delivery.spool
        mail.spool_size = delivery.spool_size
        mail.durability = durability_of(work, delivery)
        if mail.durability == JOURNAL:
            mail.record = record
            mail.front_size = delivery.front_size
            mail.record_size = delivery.record_size
            lay_out_front(record, delivery.copies, delivery.record_size)
            record += delivery.front_size
    return 0


cdef void release(Batch *work) noexcept:
    free(work.mails)
    free(work.mailboxes)
    free(work.files)
    free(work.pieces)
    free(work.records)


cdef void clear(Batch *work, int root, int durability, Journal journal) noexcept:
    memset(work, 0, sizeof(Batch))
    work.root = root
    work.durability = durability
    work.room = KEPT_DESCRIPTORS
    if journal is not None:
        work.ring = &journal._ring


cdef list reports(Batch *work):
    cdef Py_ssize_t i
    return [report(&work.mails[i]) for i in range(work.mail_count)]
