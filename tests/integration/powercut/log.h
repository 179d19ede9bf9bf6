/* The log: what a record is, and how one is appended. */
#pragma once
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define ACKNOWLEDGEMENT "250 2.0.0 stored as "

/* A record is the struct below and then two byte strings; inodes stand for files and directories:
 *
 *     CREATE, MKDIR, LINK   first: inode; second: parent      one: the name
 *     NAMELESS              first: inode                      (O_TMPFILE)
 *     UNLINK                first: parent                     one: the name
 *     RENAME                first, second: parents            one: old name, two: new name
 *     WRITE                 first: inode; second: offset      one: the bytes
 *     RESIZE                first: inode; second: size
 *     SYNC                  first: inode, 0 for all of them; second: where the log was
 *     ACKNOWLEDGE                                             one: what goes to the socket
 */
enum kind { CREATE, MKDIR, LINK, NAMELESS, UNLINK, RENAME, WRITE, RESIZE, SYNC, ACKNOWLEDGE };

struct record {
    uint32_t kind, one_size, two_size, padding;
    uint64_t first, second;
};

static const char *folder;
static int record_fd;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

/* The real function of this name and type. */
#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static void must(int holds, const char *what)
{
    if (holds)
        return;
    perror(what);
    abort();
}

/* ---------------------------------------------------------------- the log */

static void lock(void)
{
    pthread_mutex_lock(&mutex);
    /* A second process may have the same log. */
    struct flock all = {.l_type = F_WRLCK};
    while (fcntl(record_fd, F_SETLKW, &all))
        must(errno == EINTR, "powercut: lock");
}

static void unlock(void)
{
    int error = errno;
    struct flock all = {.l_type = F_UNLCK};
    fcntl(record_fd, F_SETLK, &all);
    pthread_mutex_unlock(&mutex);
    errno = error;
}

__attribute__((constructor)) static void start(void)
{
    folder = getenv("POWERCUT_FOLDER");
    const char *path = getenv("POWERCUT_LOG");
    must(folder && path, "powercut: POWERCUT_FOLDER and POWERCUT_LOG");
    int fd = REAL(open)(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    must(fd >= 0, path);
    record_fd = fcntl(fd, F_DUPFD_CLOEXEC, 500); /* out of the way */
    must(record_fd >= 0, path);
    close(fd);
    pthread_atfork(lock, unlock, unlock);
}

static void write_down(enum kind kind, uint64_t first, uint64_t second, const void *one, size_t one_size,
                       const char *two)
{
    struct record record = {kind, one_size, two ? strlen(two) : 0, 0, first, second};
    struct iovec pieces[] = {{&record, sizeof(record)}, {(void *)one, one_size}, {(void *)two, record.two_size}};
    ssize_t size = sizeof(record) + one_size + record.two_size;
    must(REAL(writev)(record_fd, pieces, 3) == size, "powercut: log");
}

static void write_down_name(enum kind kind, uint64_t first, uint64_t second, const char *name)
{
    write_down(kind, first, second, name, strlen(name), NULL);
}

/* ---------------------------------------------------------------- what a descriptor is */

enum { FOREIGN, WATCHED, SOCKET };

static int look(int fd, struct stat *status)
{
    char link[64], path[PATH_MAX];
    if (fstat(fd, status))
        return FOREIGN;
    if (S_ISSOCK(status->st_mode))
        return SOCKET;
    if (!S_ISREG(status->st_mode) && !S_ISDIR(status->st_mode))
        return FOREIGN;
    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    ssize_t size = readlink(link, path, sizeof(path) - 1);
    must(size >= 0, link);
    path[size] = '\0';
    size_t prefix = strlen(folder);
    return strncmp(path, folder, prefix) == 0 && (path[prefix] == '/' || !path[prefix]) ? WATCHED : FOREIGN;
}

/* The inode of the directory in which a path ends, and its last component; 0 when that is not below the folder. */
static uint64_t parent_of(int at, const char *path, const char **name)
{
    char directory[PATH_MAX] = ".";
    const char *slash = strrchr(path, '/');
    struct stat status;
    *name = slash ? slash + 1 : path;
    if (slash)
        snprintf(directory, sizeof(directory), "%.*s", (int)(slash - path) + 1, path);
    int fd = REAL(openat)(at, directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    int what = look(fd, &status);
    close(fd);
    return what == WATCHED ? status.st_ino : 0;
}

static uint64_t inode_at(int at, const char *path)
{
    struct stat status;
    return fstatat(at, path, &status, AT_SYMLINK_NOFOLLOW) ? 0 : status.st_ino;
}

/* ---------------------------------------------------------------- bytes */

/* What lies there now is read back, so that it does not matter by which call it came. */
static void write_down_bytes(int fd, uint64_t inode, off_t offset, size_t size)
{
    char link[64];
    char *data = malloc(size + 1);
    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    int again = REAL(open)(link, O_RDONLY | O_CLOEXEC);
    must(data && again >= 0, link);
    ssize_t found = pread(again, data, size, offset);
    must(found == (ssize_t)size, "powercut: read back");
    write_down(WRITE, inode, offset, data, size, NULL);
    close(again);
    free(data);
}

static void write_down_size(int fd)
{
    struct stat status;
    must(fstat(fd, &status) == 0, "powercut: size");
    write_down(RESIZE, status.st_ino, status.st_size, NULL, 0, NULL);
}

static void write_down_open(int fd, int at, const char *path, uint64_t flags, uint64_t before)
{
    struct stat status;
    const char *name;
    if (look(fd, &status) != WATCHED)
        return;
    if ((flags & O_TMPFILE) == O_TMPFILE)
        write_down(NAMELESS, status.st_ino, 0, NULL, 0, NULL);
    else if (!before) {
        uint64_t parent = parent_of(at, path, &name);
        write_down_name(CREATE, status.st_ino, parent, name);
    } else if (flags & O_TRUNC)
        write_down_size(fd);
}

static uint64_t log_end(void)
{
    lock();
    off_t end = lseek(record_fd, 0, SEEK_END);
    unlock();
    return end;
}

static int write_down_sync(int result, uint64_t inode, uint64_t begun)
{
    if (result == 0) {
        lock();
        write_down(SYNC, inode, begun, NULL, 0, NULL);
        unlock();
    }
    return result;
}

/* Nothing is locked for other output: the handler of a signal may write to a socket in the middle of a locked call. */
static int acknowledges(const struct iovec *piece)
{
    return memmem(piece->iov_base, piece->iov_len, ACKNOWLEDGEMENT, strlen(ACKNOWLEDGEMENT)) != NULL;
}

static void write_down_output(const struct iovec *pieces, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (!acknowledges(&pieces[i]))
            continue;
        lock();
        write_down(ACKNOWLEDGE, 0, 0, pieces[i].iov_base, pieces[i].iov_len, NULL);
        unlock();
    }
}
