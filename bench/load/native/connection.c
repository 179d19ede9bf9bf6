#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/uio.h>
#include <unistd.h>

#include "load.h"

void lose_because(struct client *client, const char *why) { lose(client, why, strlen(why)); }

static void lose_errno(struct client *client, const char *call) {
    char why[REFUSAL_ROOM];
    snprintf(why, sizeof why, "%s: %s", call, strerror(errno));
    lose_because(client, why);
}

static void watch(struct client *client, int operation) {
    struct epoll_event event = {.events = EPOLLIN | (client->wants_write ? EPOLLOUT : 0), .data.ptr = client};
    if (epoll_ctl(client->worker->epoll, operation, client->fd, &event)) die("epoll_ctl: %s", strerror(errno));
}

static void want_write(struct client *client, bool wants) {
    if (client->wants_write == wants) return;
    client->wants_write = wants;
    watch(client, EPOLL_CTL_MOD);
}

/* Another of 127.0.0.0/8 for each client: so many addresses have so many ports, and a server sees many peers. */
static void bind_source(struct client *client) {
    const struct options *options = client->worker->options;
    struct sockaddr_in source = {.sin_family = AF_INET};
    int yes = 1;
    if (!options->sources || options->target.ss_family != AF_INET) return;
    source.sin_addr.s_addr = htonl(INADDR_LOOPBACK + client->number % options->sources);
    setsockopt(client->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &yes, sizeof yes);
    if (bind(client->fd, (struct sockaddr *)&source, sizeof source)) die("bind: %s", strerror(errno));
}

void open_connection(struct client *client) {
    const struct options *options = client->worker->options;
    int yes = 1;
    client->fd = socket(options->target.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (client->fd < 0) die("socket: %s", strerror(errno));
    if (options->target.ss_family != AF_UNIX) setsockopt(client->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    bind_source(client);
    client->stage = CONNECTING;
    client->wants_write = true;
    client->commands_length = client->commands_sent = 0;
    client->content_length = client->content_sent = 0;
    client->reply_length = 0;
    client->replies = client->sent = 0;
    client->worker->connects++;
    if (connect(client->fd, (const struct sockaddr *)&options->target, options->target_length) &&
        errno != EINPROGRESS) {
        lose_errno(client, "connect");
        return;
    }
    watch(client, EPOLL_CTL_ADD);
}

void close_connection(struct client *client) {
    if (client->tls) tls_free(client->tls);
    client->tls = NULL;
    close(client->fd);
    client->fd = -1;
    client->stage = ABSENT;
}

/* `why` may lie in the client's own buffer. */
void lose(struct client *client, const char *why, size_t length) {
    bool is_free = client->stage == IDLE;
    if (client->stage != QUITTING) {
        client->worker->lost++;
        has_failed(client->worker, why, length);
    }
    close_connection(client);
    if (!is_free) has_finished(client);
}

static void handshake(struct client *client) {
    bool wants_write = false;
    long done = tls_handshake(client->tls, &wants_write);
    if (done < 0 && errno == EAGAIN) {
        want_write(client, wants_write);
    } else if (done <= 0) {
        lose_because(client, "the TLS handshake failed");
    } else if (client->worker->options->tls == TLS_IMPLICIT) {
        want_write(client, false);
        greeted_by_kernel(client);
    } else {
        want_write(client, false);
        greeted_by_tls(client);
    }
}

void start_tls(struct client *client) {
    client->stage = HANDSHAKE;
    client->tls = tls_new(client->fd);
    handshake(client);
}

static void finish_connect(struct client *client) {
    int error = 0;
    socklen_t size = sizeof error;
    getsockopt(client->fd, SOL_SOCKET, SO_ERROR, &error, &size);
    if (error) {
        errno = error;
        lose_errno(client, "connect");
    } else if (client->worker->options->tls == TLS_IMPLICIT) {
        start_tls(client);
    } else {
        want_write(client, false);
        greeted_by_kernel(client);
    }
}

/* Bytes written, or -1 with errno. */
static long write_some(struct client *client, bool *wants_write) {
    size_t commands = client->commands_length - client->commands_sent;
    size_t content = client->content_length - client->content_sent;
    *wants_write = true;
    if (client->tls)
        return commands ? tls_write(client->tls, client->commands + client->commands_sent, commands, wants_write)
                        : tls_write(client->tls, client->content + client->content_sent, content, wants_write);
    if (!content) return send(client->fd, client->commands + client->commands_sent, commands, MSG_NOSIGNAL);
    if (!commands) return send(client->fd, client->content + client->content_sent, content, MSG_NOSIGNAL);
    struct iovec parts[2] = {{client->commands + client->commands_sent, commands},
                             {(char *)client->content + client->content_sent, content}};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
    return sendmsg(client->fd, &message, MSG_NOSIGNAL);
}

void flush(struct client *client) {
    while (client->commands_sent < client->commands_length || client->content_sent < client->content_length) {
        bool wants_write;
        size_t commands = client->commands_length - client->commands_sent;
        long done = write_some(client, &wants_write);
        if (done < 0 && errno == EAGAIN) {
            want_write(client, wants_write);
            return;
        }
        if (done <= 0) {
            lose_errno(client, "send");
            return;
        }
        if ((size_t)done <= commands) {
            client->commands_sent += (size_t)done;
        } else {
            client->commands_sent += commands;
            client->content_sent += (size_t)done - commands;
        }
    }
    client->commands_length = client->commands_sent = 0;
    client->content_length = client->content_sent = 0;
    want_write(client, false);
}

/* The last line of a reply has no hyphen behind its code (RFC 5321 section 4.2.1). */
static void take_replies(struct client *client) {
    char *line = client->reply, *end = client->reply + client->reply_length, *feed;
    int fd = client->fd;
    while ((feed = memchr(line, '\n', (size_t)(end - line)))) {
        size_t length = (size_t)(feed - line);
        if (length < 3) {
            lose_because(client, "a line that is no reply");
            return;
        }
        if (line[3] != '-') on_reply(client, line, length);
        if (client->fd != fd || client->stage == ABSENT) return;
        line = feed + 1;
    }
    client->reply_length = (size_t)(end - line);
    memmove(client->reply, line, client->reply_length);
    if (client->reply_length > LARGEST_REPLY_LINE) lose_because(client, "a reply without an end");
}

static void read_replies(struct client *client) {
    bool wants_write = false;
    do {
        char *to = client->reply + client->reply_length;
        size_t room = REPLY_ROOM - client->reply_length;
        long got = client->tls ? tls_read(client->tls, to, room, &wants_write) : recv(client->fd, to, room, 0);
        if (got < 0 && errno == EAGAIN) {
            if (wants_write) want_write(client, true);
            return;
        }
        if (got < 0) {
            lose_errno(client, "recv");
            return;
        }
        if (got == 0) {
            lose_because(client, "the server hung up");
            return;
        }
        client->reply_length += (size_t)got;
        take_replies(client);
        /* epoll does not see what OpenSSL has taken off the socket. */
    } while (client->tls && client->stage != ABSENT && client->stage != HANDSHAKE);
}

void on_event(struct client *client, uint32_t events) {
    if (client->stage == CONNECTING) {
        finish_connect(client);
    } else if (client->stage == HANDSHAKE) {
        handshake(client);
    } else {
        int fd = client->fd;
        if (client->wants_write && (events & (EPOLLOUT | EPOLLERR | EPOLLHUP))) flush(client);
        if (client->fd == fd && client->stage != ABSENT && (events & ~(uint32_t)EPOLLOUT)) read_replies(client);
    }
}
