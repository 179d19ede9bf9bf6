#include "floor.h"

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { EVENTS = 512, BACKLOG = 4096, FIRST_ROOM = 16384, MOST_ROOM = 512 * 1024, OUT_ROOM = 16384, END_LENGTH = 5 };

static const char end_of_data[] = "\r\n.\r\n";

struct connection {
    int fd;
    bool in_data;
    bool is_lmtp;
    bool is_leaving;
    size_t room;
    unsigned out_length;
    struct mail mail; /* its bytes are also where commands come in */
    char out[OUT_ROOM];
};

static struct connection *finished[EVENTS];
static unsigned finished_count;

static void fail(const char *what) {
    fprintf(stderr, "floor: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void say(struct connection *connection, const char *reply) {
    size_t length = strlen(reply);
    if (connection->out_length + length > OUT_ROOM) fail("a client that asks more than it listens");
    memcpy(connection->out + connection->out_length, reply, length);
    connection->out_length += (unsigned)length;
}

static void forget(struct mail *mail) {
    for (unsigned i = 0; i < mail->recipient_count; i++) free(mail->recipients[i]);
    mail->recipient_count = 0;
    mail->length = 0;
    mail->name[0] = 0;
    mail->file = -1;
}

static void hang_up(struct connection *connection) {
    close(connection->fd);
    if (connection->mail.file >= 0) close(connection->mail.file);
    forget(&connection->mail);
    free(connection->mail.recipients);
    free(connection->mail.bytes);
    free(connection);
}

static void flush(struct connection *connection) {
    if (connection->out_length && send(connection->fd, connection->out, connection->out_length, MSG_NOSIGNAL) < 0)
        connection->is_leaving = true;
    connection->out_length = 0;
    if (connection->is_leaving) hang_up(connection);
}

/* RCPT TO:<user@domain> becomes "domain/user". */
static void add_recipient(struct connection *connection, const char *line, size_t length) {
    struct mail *mail = &connection->mail;
    const char *open = memchr(line, '<', length), *at = memchr(line, '@', length), *close = memchr(line, '>', length);
    if (!open || !at || !close || mail->recipient_count == MOST_RECIPIENTS) {
        say(connection, "501 5.1.3 no address\r\n");
        return;
    }
    size_t user = (size_t)(at - open - 1), domain = (size_t)(close - at - 1);
    char *path = malloc(domain + user + 2);
    if (!mail->recipients) mail->recipients = malloc(MOST_RECIPIENTS * sizeof *mail->recipients);
    memcpy(path, at + 1, domain);
    path[domain] = '/';
    memcpy(path + domain + 1, open + 1, user);
    path[domain + 1 + user] = 0;
    mail->recipients[mail->recipient_count++] = path;
    say(connection, "250 2.1.5 Ok\r\n");
}

static void on_command(struct connection *connection, const char *line, size_t length) {
    switch (line[0] & ~0x20) {
    case 'E': say(connection, "250-floor.example\r\n250-PIPELINING\r\n250 8BITMIME\r\n"); break;
    case 'L':
        connection->is_lmtp = true;
        say(connection, "250-floor.example\r\n250 PIPELINING\r\n");
        break;
    case 'M': say(connection, "250 2.1.0 Ok\r\n"); break;
    case 'R':
        if ((line[1] & ~0x20) == 'C') add_recipient(connection, line, length);
        else say(connection, "250 2.0.0 Ok\r\n");
        break;
    case 'D':
        connection->in_data = true;
        say(connection, "354 Go ahead\r\n");
        break;
    case 'Q':
        connection->is_leaving = true;
        say(connection, "221 2.0.0 Bye\r\n");
        break;
    default: say(connection, "250 2.0.0 Ok\r\n"); break;
    }
}

static void on_commands(struct connection *connection) {
    struct mail *mail = &connection->mail;
    char *line = mail->bytes, *end = mail->bytes + mail->length, *feed;
    while (!connection->in_data && (feed = memchr(line, '\n', (size_t)(end - line)))) {
        on_command(connection, line, (size_t)(feed - line));
        line = feed + 1;
    }
    mail->length = (size_t)(end - line);
    memmove(mail->bytes, line, mail->length);
}

static void on_data(struct connection *connection, const struct store_options *options) {
    struct mail *mail = &connection->mail;
    if (mail->length >= END_LENGTH && !memcmp(mail->bytes + mail->length - END_LENGTH, end_of_data, END_LENGTH)) {
        mail->length -= END_LENGTH - 2;
        connection->in_data = false;
        finished[finished_count++] = connection;
    } else if (mail->length > options->journal_limit) {
        store_spill(mail, END_LENGTH);
    }
}

static void on_readable(struct connection *connection, const struct store_options *options) {
    struct mail *mail = &connection->mail;
    if (connection->room - mail->length < FIRST_ROOM / 2 && connection->room < MOST_ROOM) {
        connection->room *= 2;
        mail->bytes = realloc(mail->bytes, connection->room);
        if (!mail->bytes) fail("memory");
    }
    ssize_t got = recv(connection->fd, mail->bytes + mail->length, connection->room - mail->length, 0);
    if (got < 0 && errno == EAGAIN) return;
    if (got <= 0) {
        hang_up(connection);
        return;
    }
    mail->length += (size_t)got;
    if (!connection->in_data) on_commands(connection);
    if (connection->in_data && mail->length) on_data(connection, options);
    flush(connection);
}

static void take_connections(int listener, int epoll) {
    int fd, yes = 1;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        struct connection *connection = calloc(1, sizeof *connection);
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = connection};
        if (!connection) fail("memory");
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
        connection->fd = fd;
        connection->room = FIRST_ROOM;
        connection->mail.file = -1;
        connection->mail.bytes = malloc(FIRST_ROOM);
        if (!connection->mail.bytes || epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event)) fail("epoll");
        say(connection, "220 floor.example ESMTP\r\n");
        flush(connection);
    }
}

/* What has become complete in this turn is one batch. */
static void commit(void) {
    static struct mail *mails[EVENTS];
    for (unsigned i = 0; i < finished_count; i++) mails[i] = &finished[i]->mail;
    store_commit(mails, finished_count);
    for (unsigned i = 0; i < finished_count; i++) {
        struct connection *connection = finished[i];
        unsigned replies = connection->is_lmtp ? connection->mail.recipient_count : 1;
        forget(&connection->mail);
        for (unsigned reply = 0; reply < replies; reply++) say(connection, "250 2.0.0 stored\r\n");
        flush(connection);
    }
    finished_count = 0;
}

static void serve(int listener, const struct store_options *options) {
    struct epoll_event events[EVENTS], listening = {.events = EPOLLIN, .data.ptr = NULL};
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    if (listen(listener, BACKLOG) || epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &listening)) fail("listen");
    for (;;) {
        int count = epoll_wait(epoll, events, EVENTS, -1);
        if (count < 0 && errno != EINTR) fail("epoll_wait");
        for (int i = 0; i < count; i++) {
            if (events[i].data.ptr) on_readable(events[i].data.ptr, options);
            else take_connections(listener, epoll);
        }
        if (finished_count) commit();
    }
}

static int bound_socket(unsigned short *port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(*port)};
    socklen_t size = sizeof address;
    int yes = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &yes, sizeof yes);
    if (bind(fd, (struct sockaddr *)&address, sizeof address)) fail("bind");
    getsockname(fd, (struct sockaddr *)&address, &size);
    *port = ntohs(address.sin_port);
    return fd;
}

static void announce(unsigned short port) {
    printf("%u\n", port);
    fflush(stdout);
}

int main(int count, char **words) {
    struct store_options options = {.journal_bytes = 256 << 20, .journal_limit = 256 << 10};
    unsigned short port = 0;
    unsigned workers = 1;
    struct rlimit limit;
    int option;
    while ((option = getopt(count, words, "p:r:j:s:w:l")) != -1) {
        switch (option) {
        case 'p': port = (unsigned short)atoi(optarg); break;
        case 'r': options.root = optarg; break;
        case 'j': options.journal = optarg; break;
        case 's': options.journal_bytes = (uint64_t)atoi(optarg) << 20; break;
        case 'w': workers = (unsigned)atoi(optarg); break;
        case 'l': options.links = true; break;
        default:
            fputs("usage: floor [-p PORT] [-r MAIL_ROOT] [-j JOURNAL] [-s JOURNAL_MIB] [-w WORKERS] [-l]\n"
                  "without -r it only answers; without -j nothing is synced; -l: O_TMPFILE and linkat\n",
                  stderr);
            return 2;
        }
    }
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    int listener = bound_socket(&port);
    if (workers <= 1) {
        store_open(&options, 0);
        announce(port);
        serve(listener, &options);
    }
    for (unsigned worker = 0; worker < workers; worker++) {
        if (fork()) continue;
        prctl(PR_SET_PDEATHSIG, SIGTERM);
        store_open(&options, worker);
        if (worker == 0) announce(port);
        serve(bound_socket(&port), &options);
    }
    while (wait(NULL) > 0) continue;
    return 1;
}
