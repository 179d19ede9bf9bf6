#include "floor.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { BLOCK = 4096, SEGMENTS = 4, PATH_ROOM = 600 };

static const struct store_options *options;
static int root = -1, journal = -1;
static uint64_t position;
static sem_t checkpoint_due, checkpoint_done;

static void fail(const char *what) {
    fprintf(stderr, "floor: %s: %s\n", what, strerror(errno));
    exit(1);
}

/* What the journal held may be written over once the mail is on the disk. */
static void *checkpoints(void *nothing) {
    for (;;) {
        while (sem_wait(&checkpoint_due)) continue;
        if (syncfs(root)) fail("syncfs");
        sem_post(&checkpoint_done);
    }
    return nothing;
}

static void open_journal(unsigned worker) {
    char path[PATH_ROOM], zeros[1 << 16] = {0};
    pthread_t thread;
    snprintf(path, sizeof path, "%s.%u", options->journal, worker);
    journal = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (journal < 0) fail(path);
    /* Written once: the first write to what is only allocated would have to change metadata. */
    for (uint64_t done = 0; done < options->journal_bytes; done += sizeof zeros)
        if (write(journal, zeros, sizeof zeros) != (ssize_t)sizeof zeros) fail(path);
    if (fsync(journal)) fail(path);
    sem_init(&checkpoint_due, 0, 0);
    sem_init(&checkpoint_done, 0, 1);
    if (pthread_create(&thread, NULL, checkpoints, NULL)) fail("thread");
}

void store_open(const struct store_options *given, unsigned worker) {
    options = given;
    if (options->root) {
        root = open(options->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (root < 0) fail(options->root);
    }
    if (options->journal && root >= 0) open_journal(worker);
}

static void give_name(struct mail *mail) {
    static unsigned long long counter;
    if (mail->name[0]) return;
    snprintf(mail->name, NAME_ROOM, "%lld.P%dQ%llu.floor", (long long)time(NULL), (int)getpid(), ++counter);
}

static void make_mailbox(const char *mailbox) {
    static const char *const below[] = {"", "/tmp", "/new", "/cur"};
    char path[PATH_ROOM];
    snprintf(path, sizeof path, "%s", mailbox);
    *strchr(path, '/') = 0;
    mkdirat(root, path, 0700);
    for (unsigned i = 0; i < 4; i++) {
        snprintf(path, sizeof path, "%s%s", mailbox, below[i]);
        mkdirat(root, path, 0700);
    }
}

static int create(const char *mailbox, const char *name) {
    char path[PATH_ROOM];
    for (bool again = false;; again = true) {
        int fd;
        if (options->links) {
            snprintf(path, sizeof path, "%s/new", mailbox);
            fd = openat(root, path, O_WRONLY | O_TMPFILE | O_CLOEXEC, 0600);
        } else {
            snprintf(path, sizeof path, "%s/tmp/%s", mailbox, name);
            fd = openat(root, path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        }
        if (fd >= 0) return fd;
        if (errno != ENOENT || again) fail(path);
        make_mailbox(mailbox);
    }
}

static void write_all(int fd, const char *bytes, size_t length) {
    while (length) {
        ssize_t done = write(fd, bytes, length);
        if (done <= 0) fail("write");
        bytes += done;
        length -= (size_t)done;
    }
}

void store_spill(struct mail *mail, size_t keep) {
    if (mail->file < 0 && root >= 0) {
        give_name(mail);
        mail->file = create(mail->recipients[0], mail->name);
    }
    if (root >= 0) write_all(mail->file, mail->bytes, mail->length - keep);
    memmove(mail->bytes, mail->bytes + mail->length - keep, keep);
    mail->length = keep;
}

static void copy(int from, int to) {
    off_t at = 0;
    ssize_t done;
    while ((done = copy_file_range(from, &at, to, NULL, 1 << 30, 0)) > 0) continue;
    if (done < 0) fail("copy_file_range");
}

static void publish(const char *mailbox, const char *name, int fd) {
    char from[PATH_ROOM], to[PATH_ROOM];
    snprintf(to, sizeof to, "%s/new/%s", mailbox, name);
    if (options->links) {
        snprintf(from, sizeof from, "/proc/self/fd/%d", fd);
        if (linkat(AT_FDCWD, from, root, to, AT_SYMLINK_FOLLOW)) fail(to);
    } else {
        snprintf(from, sizeof from, "%s/tmp/%s", mailbox, name);
        if (renameat2(root, from, root, to, RENAME_NOREPLACE)) fail(to);
    }
}

static void sync_directory(const char *mailbox) {
    char path[PATH_ROOM];
    snprintf(path, sizeof path, "%s/new", mailbox);
    int fd = openat(root, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fsync(fd)) fail(path);
    close(fd);
}

/* The batch in one write, from the next block on. */
static void append(struct mail **mails, unsigned count) {
    static const char gap[BLOCK];
    struct iovec *parts = malloc((count + 1) * sizeof *parts);
    uint64_t length = 0, segment = options->journal_bytes / SEGMENTS;
    unsigned used = 0;
    if (!parts) fail("memory");
    for (unsigned i = 0; i < count; i++) {
        if (mails[i]->file >= 0) continue;
        parts[used++] = (struct iovec){mails[i]->bytes, mails[i]->length};
        length += mails[i]->length;
    }
    if (!used) {
        free(parts);
        return;
    }
    size_t rest = (size_t)((BLOCK - length % BLOCK) % BLOCK);
    if (rest) parts[used++] = (struct iovec){(char *)gap, rest};
    length += rest;
    uint64_t before = position / segment;
    if (position + length > options->journal_bytes) position = 0;
    uint64_t begin = position;
    for (unsigned at = 0; at < used;) {
        enum { MOST_PARTS = 1024 };
        unsigned now = used - at < MOST_PARTS ? used - at : MOST_PARTS;
        ssize_t done = pwritev(journal, parts + at, (int)now, (off_t)position);
        if (done <= 0) fail("journal");
        position += (uint64_t)done;
        at += now;
    }
    if (position != begin + length) fail("journal: a short write");
    free(parts);
    if (fdatasync(journal)) fail("fdatasync");
    if (position / segment != before) { /* the next segment; the checkpoint of the one before has had a lap's quarter */
        while (sem_wait(&checkpoint_done)) continue;
        sem_post(&checkpoint_due);
    }
}

static void write_copies(struct mail *mail, int *files) {
    give_name(mail);
    for (unsigned i = 0; i < mail->recipient_count; i++) {
        int fd = i == 0 && mail->file >= 0 ? mail->file : create(mail->recipients[i], mail->name);
        if (mail->file >= 0 && i > 0) copy(files[0], fd);
        else write_all(fd, mail->bytes, mail->length);
        bool is_durable = options->journal && mail->file >= 0;
        if (is_durable && fsync(fd)) fail("fsync");
        files[i] = fd;
        if (!options->links && mail->file < 0) {
            close(fd);
            files[i] = -1;
        }
    }
}

static void publish_copies(struct mail *mail, int *files) {
    for (unsigned i = 0; i < mail->recipient_count; i++) {
        publish(mail->recipients[i], mail->name, files[i]);
        if (files[i] >= 0) close(files[i]);
        if (options->journal && mail->file >= 0) sync_directory(mail->recipients[i]);
    }
}

void store_commit(struct mail **mails, unsigned count) {
    static int *files;
    static size_t room;
    size_t needed = 0, at = 0;
    if (root < 0) return;
    for (unsigned i = 0; i < count; i++) needed += mails[i]->recipient_count;
    if (needed > room) {
        files = realloc(files, needed * sizeof *files);
        room = needed;
        if (!files) fail("memory");
    }
    for (unsigned i = 0; i < count; at += mails[i++]->recipient_count) write_copies(mails[i], files + at);
    if (journal >= 0) append(mails, count);
    at = 0;
    for (unsigned i = 0; i < count; at += mails[i++]->recipient_count) publish_copies(mails[i], files + at);
}
