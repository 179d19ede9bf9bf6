/* Preloaded in front of libc: makes chosen system calls fail, as a broken disk would.
 *
 * fault(call, error, nth, times, after): from its nth call on, so many times, the call fails with that errno; with
 * `after` it does its work first. Every call has one rule. fault_short(n): a write takes at most n bytes.
 * fault_trace(): the calls since fault_reset(), in order, with a space behind each. While there is a file of the name in
 * the environment variable FAULT_STALL, fdatasync does not come back. With FAULT_KILL="CALL:NTH" or "CALL:NTH:after" a
 * process dies (SIGKILL) at its so manyeth call of that name, before it or after it.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum call {
    OPENAT, OPENAT2, WRITEV, WRITE, PWRITEV, PWRITE, COPY_FILE_RANGE, FSYNC, FDATASYNC, SYNCFS,
    CLOSE, MKDIRAT, RENAMEAT, RENAMEAT2, LINKAT, UNLINKAT, CALLS
};

static const char *const names[CALLS] = {
    "openat", "openat2", "writev", "write", "pwritev", "pwrite", "copy_file_range", "fsync", "fdatasync", "syncfs",
    "close", "mkdirat", "renameat", "renameat2", "linkat", "unlinkat"};

static struct rule {
    int error, nth, times, after, seen, fired;
} rules[CALLS];

static size_t most = SSIZE_MAX;
static char trace[4096];

void fault(const char *name, int error, int nth, int times, int after)
{
    for (int call = 0; call < CALLS; call++)
        if (strcmp(names[call], name) == 0)
            rules[call] = (struct rule){.error = error, .nth = nth, .times = times, .after = after};
}

void fault_short(size_t size) { most = size; }

void fault_reset(void)
{
    memset(rules, 0, sizeof(rules));
    most = SSIZE_MAX;
    trace[0] = '\0';
}

const char *fault_trace(void) { return trace; }

int fault_fired(void)
{
    int fired = 0;
    for (int call = 0; call < CALLS; call++)
        fired += rules[call].fired;
    return fired;
}

static struct {
    int call, nth, after, seen;
} death = {.call = -1};

__attribute__((constructor)) static void read_death(void)
{
    char name[32], after[8] = "";
    const char *told = getenv("FAULT_KILL");
    if (!told || sscanf(told, "%31[^:]:%d:%7s", name, &death.nth, after) < 2)
        return;
    for (int call = 0; call < CALLS; call++)
        if (strcmp(names[call], name) == 0)
            death.call = call;
    death.after = strcmp(after, "after") == 0;
}

/* Whether this is the call at which the process dies: any thread may make it. */
static int is_last(enum call call)
{
    return (int)call == death.call && __atomic_add_fetch(&death.seen, 1, __ATOMIC_SEQ_CST) == death.nth;
}

static void die(void)
{
    kill(getpid(), SIGKILL);
    for (;;)
        pause();
}

static int due(enum call call)
{
    struct rule *rule = &rules[call];
    if (strlen(trace) + 20 < sizeof(trace))
        strcat(strcat(trace, names[call]), " ");
    if (!rule->error || ++rule->seen < rule->nth || rule->seen - rule->nth >= rule->times)
        return 0;
    rule->fired++;
    return 1;
}

/* The real function of this name and type. */
#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

#define CALL(call, invocation)             \
    do {                                   \
        if (is_last(call)) {               \
            if (death.after)               \
                (void)!(invocation);       \
            die();                         \
        }                                  \
        if (!due(call))                    \
            return invocation;             \
        if (rules[call].after)             \
            (void)!(invocation);           \
        errno = rules[call].error;         \
        return -1;                         \
    } while (0)

int openat(int parent, const char *path, int flags, ...)
{
    va_list arguments;
    va_start(arguments, flags);
    mode_t mode = flags & O_CREAT ? va_arg(arguments, mode_t) : 0;
    va_end(arguments);
    CALL(OPENAT, REAL(openat)(parent, path, flags, mode));
}

int openat64(int parent, const char *path, int flags, ...) __attribute__((alias("openat")));

long syscall(long number, ...)
{
    long a[6];
    va_list arguments;
    va_start(arguments, number);
    for (int i = 0; i < 6; i++)
        a[i] = va_arg(arguments, long);
    va_end(arguments);
    if (number == SYS_openat2)
        CALL(OPENAT2, REAL(syscall)(number, a[0], a[1], a[2], a[3]));
    return REAL(syscall)(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

#define SHORT(size) ((size) < most ? (size) : most)

ssize_t write(int fd, const void *data, size_t size) { CALL(WRITE, REAL(write)(fd, data, SHORT(size))); }

ssize_t pwrite(int fd, const void *data, size_t size, off_t offset)
{
    CALL(PWRITE, REAL(pwrite)(fd, data, SHORT(size), offset));
}

ssize_t pwrite64(int fd, const void *data, size_t size, off_t offset) __attribute__((alias("pwrite")));

/* The first piece that is not empty is what a short write takes of. */
static const struct iovec *first(const struct iovec *pieces, int count)
{
    while (count-- > 1 && pieces->iov_len == 0)
        pieces++;
    return pieces;
}

ssize_t writev(int fd, const struct iovec *pieces, int count)
{
    const struct iovec *piece = first(pieces, count);
    if (most != SSIZE_MAX)
        CALL(WRITEV, REAL(write)(fd, piece->iov_base, SHORT(piece->iov_len)));
    CALL(WRITEV, REAL(writev)(fd, pieces, count));
}

ssize_t pwritev(int fd, const struct iovec *pieces, int count, off_t offset)
{
    const struct iovec *piece = first(pieces, count);
    if (most != SSIZE_MAX)
        CALL(PWRITEV, REAL(pwrite)(fd, piece->iov_base, SHORT(piece->iov_len), offset));
    CALL(PWRITEV, REAL(pwritev)(fd, pieces, count, offset));
}

ssize_t pwritev64(int fd, const struct iovec *pieces, int count, off_t offset) __attribute__((alias("pwritev")));

ssize_t copy_file_range(int from, off_t *from_offset, int to, off_t *to_offset, size_t size, unsigned int flags)
{
    CALL(COPY_FILE_RANGE, REAL(copy_file_range)(from, from_offset, to, to_offset, SHORT(size), flags));
}

int fdatasync(int fd)
{
    const char *stall = getenv("FAULT_STALL");
    while (stall && access(stall, F_OK) == 0)
        usleep(10000);
    CALL(FDATASYNC, REAL(fdatasync)(fd));
}

int syncfs(int fd) { CALL(SYNCFS, REAL(syncfs)(fd)); }

int fsync(int fd) { CALL(FSYNC, REAL(fsync)(fd)); }

int close(int fd) { CALL(CLOSE, REAL(close)(fd)); }

int mkdirat(int parent, const char *path, mode_t mode) { CALL(MKDIRAT, REAL(mkdirat)(parent, path, mode)); }

int renameat(int from, const char *old, int to, const char *new)
{
    CALL(RENAMEAT, REAL(renameat)(from, old, to, new));
}

int renameat2(int from, const char *old, int to, const char *new, unsigned int flags)
{
    CALL(RENAMEAT2, REAL(renameat2)(from, old, to, new, flags));
}

int linkat(int from, const char *old, int to, const char *new, int flags)
{
    CALL(LINKAT, REAL(linkat)(from, old, to, new, flags));
}

int unlinkat(int parent, const char *path, int flags) { CALL(UNLINKAT, REAL(unlinkat)(parent, path, flags)); }
