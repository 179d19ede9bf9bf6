/* Preloaded in front of libc: writes down, in their true order, all changes that a process makes below a folder.
 *
 * POWERCUT_FOLDER is that folder (no symbolic links in its path), POWERCUT_LOG the file to append to, outside of it.
 * A call that changes something is made under a lock, and its record is appended before anybody else may go on. A sync
 * is made without the lock, as real disks do: its record tells where the log was when it began, since only what was
 * there then is covered. Of sockets, output that has an acknowledgement in it is written down before it is sent.
 */
#define _GNU_SOURCE
#include "log.h"

#include <linux/openat2.h>
#include <stdarg.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/syscall.h>

/* ---------------------------------------------------------------- bytes */

/* A call that writes, with a null pointer for the offset where it writes at the position of the descriptor. */
#define WRITES(fd, offset, invocation)                                                           \
    do {                                                                                         \
        struct stat status;                                                                      \
        if (look(fd, &status) != WATCHED)                                                        \
            return invocation;                                                                   \
        lock();                                                                                  \
        const off_t *given = offset;                                                             \
        off_t begin = given ? *given : 0;                                                        \
        ssize_t written = invocation;                                                            \
        if (written > 0 && !given)                                                               \
            begin = lseek(fd, 0, SEEK_CUR) - written;                                            \
        if (written > 0)                                                                         \
            write_down_bytes(fd, status.st_ino, begin, written);                                 \
        unlock();                                                                                \
        return written;                                                                          \
    } while (0)

ssize_t write(int fd, const void *data, size_t size)
{
    struct stat socket;
    struct iovec piece = {(void *)data, size};
    if (look(fd, &socket) == SOCKET)
        write_down_output(&piece, 1);
    WRITES(fd, NULL, REAL(write)(fd, data, size));
}

ssize_t writev(int fd, const struct iovec *pieces, int count)
{
    struct stat socket;
    if (look(fd, &socket) == SOCKET)
        write_down_output(pieces, count);
    WRITES(fd, NULL, REAL(writev)(fd, pieces, count));
}

ssize_t send(int fd, const void *data, size_t size, int flags)
{
    struct iovec piece = {(void *)data, size};
    write_down_output(&piece, 1);
    return REAL(send)(fd, data, size, flags);
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
    write_down_output(message->msg_iov, message->msg_iovlen);
    return REAL(sendmsg)(fd, message, flags);
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t offset)
{
    WRITES(fd, &offset, REAL(pwrite)(fd, data, size, offset));
}

ssize_t pwritev(int fd, const struct iovec *pieces, int count, off_t offset)
{
    WRITES(fd, &offset, REAL(pwritev)(fd, pieces, count, offset));
}

ssize_t pwritev2(int fd, const struct iovec *pieces, int count, off_t offset, int flags)
{
    WRITES(fd, offset == -1 ? NULL : &offset, REAL(pwritev2)(fd, pieces, count, offset, flags));
}

ssize_t copy_file_range(int from, off_t *in, int fd, off_t *out, size_t size, unsigned int flags)
{
    WRITES(fd, out, REAL(copy_file_range)(from, in, fd, out, size, flags));
}

ssize_t sendfile(int fd, int from, off_t *offset, size_t size)
{
    WRITES(fd, NULL, REAL(sendfile)(fd, from, offset, size));
}

/* A call that changes the size, and the bytes from `offset` to `offset + size`. */
#define RESIZES(fd, offset, size, invocation)                                               \
    do {                                                                                    \
        struct stat status;                                                                 \
        if (look(fd, &status) != WATCHED)                                                   \
            return invocation;                                                              \
        lock();                                                                             \
        int result = invocation;                                                            \
        if (result == 0) {                                                                  \
            write_down_size(fd);                                                            \
            fstat(fd, &status);                                                             \
            off_t end = offset + size < status.st_size ? offset + size : status.st_size;    \
            if (end > offset)                                                               \
                write_down_bytes(fd, status.st_ino, offset, end - offset);                  \
        }                                                                                   \
        unlock();                                                                           \
        return result;                                                                      \
    } while (0)

int ftruncate(int fd, off_t size) { RESIZES(fd, size, 0, REAL(ftruncate)(fd, size)); }

int fallocate(int fd, int mode, off_t offset, off_t size)
{
    RESIZES(fd, offset, size, REAL(fallocate)(fd, mode, offset, size));
}

int posix_fallocate(int fd, off_t offset, off_t size)
{
    RESIZES(fd, offset, size, REAL(posix_fallocate)(fd, offset, size));
}

int truncate(const char *path, off_t size)
{
    int fd = REAL(open)(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    int result = ftruncate(fd, size), error = errno;
    close(fd);
    errno = error;
    return result;
}

/* ---------------------------------------------------------------- names */

#define OPENS(at, path, flags, invocation)                                          \
    do {                                                                          \
        if (!((flags) & (O_CREAT | O_TRUNC)) && ((flags) & O_TMPFILE) != O_TMPFILE) \
            return invocation;                                                    \
        lock();                                                                   \
        uint64_t before = inode_at(at, path);                                     \
        int fd = invocation;                                                      \
        if (fd >= 0)                                                              \
            write_down_open(fd, at, path, flags, before);                         \
        unlock();                                                                 \
        return fd;                                                                \
    } while (0)

static mode_t mode_of(int flags, va_list arguments)
{
    return (flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE ? va_arg(arguments, mode_t) : 0;
}

int open(const char *path, int flags, ...)
{
    va_list arguments;
    va_start(arguments, flags);
    mode_t mode = mode_of(flags, arguments);
    va_end(arguments);
    OPENS(AT_FDCWD, path, flags, REAL(open)(path, flags, mode));
}

int openat(int at, const char *path, int flags, ...)
{
    va_list arguments;
    va_start(arguments, flags);
    mode_t mode = mode_of(flags, arguments);
    va_end(arguments);
    OPENS(at, path, flags, REAL(openat)(at, path, flags, mode));
}

long syscall(long number, ...)
{
    long a[6];
    va_list arguments;
    va_start(arguments, number);
    for (int i = 0; i < 6; i++)
        a[i] = va_arg(arguments, long);
    va_end(arguments);
    if (number == SYS_openat2)
        OPENS((int)a[0], (const char *)a[1], ((struct open_how *)a[2])->flags,
              REAL(syscall)(number, a[0], a[1], a[2], a[3]));
    return REAL(syscall)(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

int mkdirat(int at, const char *path, mode_t mode)
{
    const char *name;
    lock();
    int result = REAL(mkdirat)(at, path, mode);
    uint64_t parent = result ? 0 : parent_of(at, path, &name);
    if (parent)
        write_down_name(MKDIR, inode_at(at, path), parent, name);
    unlock();
    return result;
}

int mkdir(const char *path, mode_t mode) { return mkdirat(AT_FDCWD, path, mode); }

int linkat(int from, const char *old, int to, const char *new, int flags)
{
    const char *name;
    lock();
    int result = REAL(linkat)(from, old, to, new, flags);
    uint64_t parent = result ? 0 : parent_of(to, new, &name);
    if (parent)
        write_down_name(LINK, inode_at(to, new), parent, name);
    unlock();
    return result;
}

int link(const char *old, const char *new) { return linkat(AT_FDCWD, old, AT_FDCWD, new, 0); }

int unlinkat(int at, const char *path, int flags)
{
    const char *name;
    lock();
    int result = REAL(unlinkat)(at, path, flags);
    uint64_t parent = result ? 0 : parent_of(at, path, &name);
    if (parent)
        write_down_name(UNLINK, parent, 0, name);
    unlock();
    return result;
}

int unlink(const char *path) { return unlinkat(AT_FDCWD, path, 0); }

int rmdir(const char *path) { return unlinkat(AT_FDCWD, path, AT_REMOVEDIR); }

int renameat2(int from, const char *old, int to, const char *new, unsigned int flags)
{
    const char *old_name, *new_name;
    lock();
    int result = REAL(renameat2)(from, old, to, new, flags);
    if (result == 0) {
        uint64_t old_parent = parent_of(from, old, &old_name), new_parent = parent_of(to, new, &new_name);
        must(!(flags & RENAME_EXCHANGE) && !old_parent == !new_parent, "powercut: a rename of this kind");
        if (new_parent)
            write_down(RENAME, old_parent, new_parent, old_name, strlen(old_name), new_name);
    }
    unlock();
    return result;
}

int renameat(int from, const char *old, int to, const char *new) { return renameat2(from, old, to, new, 0); }

int rename(const char *old, const char *new) { return renameat2(AT_FDCWD, old, AT_FDCWD, new, 0); }

/* ---------------------------------------------------------------- syncs */

#define SYNCS(fd, inode, invocation)                        \
    do {                                                    \
        struct stat status;                                 \
        if (look(fd, &status) != WATCHED)                   \
            return invocation;                              \
        uint64_t begun = log_end();                         \
        return write_down_sync(invocation, inode, begun);   \
    } while (0)

int fsync(int fd) { SYNCS(fd, status.st_ino, REAL(fsync)(fd)); }

int fdatasync(int fd) { SYNCS(fd, status.st_ino, REAL(fdatasync)(fd)); }

int syncfs(int fd) { SYNCS(fd, 0, REAL(syncfs)(fd)); }

void sync(void)
{
    uint64_t begun = log_end();
    REAL(sync)();
    write_down_sync(0, 0, begun);
}

/* ---------------------------------------------------------------- off_t has 64 bits here: the same under another name */

#define SAME(name) __attribute__((alias(name)))

int open64(const char *path, int flags, ...) SAME("open");
int openat64(int at, const char *path, int flags, ...) SAME("openat");
int ftruncate64(int fd, off_t size) SAME("ftruncate");
int truncate64(const char *path, off_t size) SAME("truncate");
int fallocate64(int fd, int mode, off_t offset, off_t size) SAME("fallocate");
int posix_fallocate64(int fd, off_t offset, off_t size) SAME("posix_fallocate");
ssize_t pwrite64(int fd, const void *data, size_t size, off_t offset) SAME("pwrite");
ssize_t pwritev64(int fd, const struct iovec *pieces, int count, off_t offset) SAME("pwritev");
ssize_t pwritev64v2(int fd, const struct iovec *pieces, int count, off_t offset, int flags) SAME("pwritev2");
ssize_t sendfile64(int fd, int from, off_t *offset, size_t size) SAME("sendfile");
