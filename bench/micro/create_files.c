/* The floor of a recovery: nothing but the system calls that make COUNT files of SIZE octets in Maildirs.
 *
 * create_files FOLDER MAILBOXES COUNT SIZE THREADS
 *
 * For each file: create tmp/NAME, write, close, rename to new/NAME; mailbox after mailbox, each a thread's own. Prints
 * the seconds of wall clock that this took, those of the CPU, and those of the syncfs behind it.
 */
#define _GNU_SOURCE
#include <err.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static int folder, mailboxes, count, threads;
static size_t size;
static char *content;

static double now(clockid_t clock)
{
    struct timespec time;
    clock_gettime(clock, &time);
    return time.tv_sec + time.tv_nsec / 1e9;
}

static int directory(int parent, const char *name)
{
    int fd = openat(parent, name, O_RDONLY | O_DIRECTORY);
    if (fd < 0)
        err(1, "%s", name);
    return fd;
}

static void fill(int mailbox)
{
    char name[128];
    snprintf(name, sizeof(name), "user%d", mailbox);
    int user = directory(folder, name), tmp = directory(user, "tmp"), new = directory(user, "new");
    for (int i = mailbox; i < count; i += mailboxes) {
        snprintf(name, sizeof(name), "1700000000.M%06dP1Q%dR0123456789abcdef.host.example,S=%zu", i % 1000000, i, size);
        int fd = openat(tmp, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (fd < 0 || write(fd, content, size) != (ssize_t)size || close(fd) || renameat(tmp, name, new, name))
            err(1, "%s", name);
    }
    close(tmp);
    close(new);
    close(user);
}

static void *work(void *first)
{
    for (int i = (int)(long)first; i < mailboxes; i += threads)
        fill(i);
    return NULL;
}

int main(int argc, char **argv)
{
    if (argc != 6)
        errx(2, "usage: create_files FOLDER MAILBOXES COUNT SIZE THREADS");
    folder = directory(AT_FDCWD, argv[1]);
    mailboxes = atoi(argv[2]);
    count = atoi(argv[3]);
    size = atol(argv[4]);
    threads = atoi(argv[5]);
    content = calloc(1, size);
    pthread_t ids[threads];
    double wall = now(CLOCK_MONOTONIC), cpu = now(CLOCK_PROCESS_CPUTIME_ID);
    for (long i = 0; i < threads; i++)
        if (pthread_create(&ids[i], NULL, work, (void *)i))
            errx(1, "no thread");
    for (int i = 0; i < threads; i++)
        pthread_join(ids[i], NULL);
    wall = now(CLOCK_MONOTONIC) - wall;
    cpu = now(CLOCK_PROCESS_CPUTIME_ID) - cpu;
    double sync = now(CLOCK_MONOTONIC);
    if (syncfs(folder))
        err(1, "syncfs");
    printf("%f %f %f\n", wall, cpu, now(CLOCK_MONOTONIC) - sync);
    return 0;
}
