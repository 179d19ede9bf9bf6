/* An SMTP load generator: closed loop or open loop, one epoll loop a thread.
 *
 * options.c    the command line and the files it names
 * message.c    a message as it goes over the wire
 * dialogue.c   what an SMTP client says next
 * connection.c bytes to and from the socket, with TLS or without
 * worker.c     one thread: its connections, and when each message is due
 * histogram.c  latencies
 * main.c       the threads, the progress bar, the result
 */
#ifndef LOAD_H
#define LOAD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/socket.h>

#include "histogram.h"

enum { REPLY_ROOM = 8192, LARGEST_REPLY_LINE = 1024, REFUSAL_ROOM = 256 };

enum tls_mode { TLS_NONE, TLS_STARTTLS, TLS_IMPLICIT };

struct text {
    char *bytes;
    size_t length;
};

struct message {
    struct text content; /* with CRLF line ends: what BDAT sends */
    struct text stuffed; /* dot-stuffed, with its end: what DATA sends */
    double share;        /* of this message and of those before it */
};

struct options {
    struct sockaddr_storage target;
    socklen_t target_length;
    unsigned connections;
    unsigned opening; /* of them, not greeted yet, before the clock starts */
    unsigned threads;
    unsigned sources;        /* client addresses 127.0.0.1 and following; 0: the kernel chooses */
    unsigned per_connection; /* messages; 0: as many as there are */
    unsigned recipients_each;
    uint64_t messages; /* 0: no bound */
    double seconds;    /* 0: no bound */
    double rate;       /* messages a second; 0: closed loop */
    bool poisson;
    bool pipelining;
    bool chunking;
    bool lmtp;
    bool no_mail; /* connect, greet and quit, which counts as a message */
    bool progress;
    enum tls_mode tls;
    uint64_t tolerate; /* refusals and lost connections before the run is given up */
    uint64_t seed;
    const char *sender;
    const char *hello;
    struct message *mix;
    size_t mix_count;
    struct text *recipients;
    size_t recipient_count;
    size_t longest_recipient;
};

/* What the threads have in common. */
struct run {
    const struct options *options;
    uint64_t begun_ns; /* when the clock started; written once, before `started` */
    uint64_t end_ns;   /* no message is due later; UINT64_MAX without --seconds */
    atomic_bool started;
    atomic_bool abandoned;
    atomic_uint ready; /* threads whose connections are up */
    atomic_uint_fast64_t taken;
    atomic_uint_fast64_t failed; /* refusals and lost connections of all threads */
};

struct worker;

enum stage {
    ABSENT, /* no connection */
    CONNECTING,
    HANDSHAKE,
    BANNER,
    HELLO,
    STARTTLS,
    IDLE,     /* greeted, nothing to send */
    ENVELOPE, /* MAIL, RCPT, DATA */
    CONTENT,
    RESET,
    QUITTING,
};

struct client {
    struct worker *worker;
    int fd;
    unsigned number;
    enum stage stage;
    void *tls;
    uint64_t due_ns;  /* of the message under way */
    unsigned sent;    /* messages on this connection */
    unsigned step;    /* of the envelope: 0 MAIL, then one a recipient, then DATA */
    unsigned replies; /* to come before the next thing is sent */
    unsigned accepted;
    bool has_message;
    bool is_refused; /* the envelope under way */
    bool wants_write;
    const struct message *message;
    size_t recipient; /* index of the first one */
    char *commands;   /* to be written, before the content */
    size_t commands_length, commands_sent;
    const char *content;
    size_t content_length, content_sent;
    size_t reply_length;
    char reply[REPLY_ROOM];
    struct client *next_free;
};

struct worker {
    struct run *run;
    const struct options *options;
    unsigned number;
    int epoll, timer;
    struct client *clients;
    unsigned client_count, open_count;
    struct client *first_free, *last_free; /* greeted or absent, without a message */
    double period_ns, next_due_ns;         /* open loop */
    bool timer_is_set;
    uint64_t random;
    size_t next_recipient;
    atomic_uint_fast64_t stored;
    uint64_t bytes, refused[10], lost, unsent, connects;
    uint64_t last_stored_ns;
    struct histogram latencies;
    char refusal[REFUSAL_ROOM];
};

void parse_options(struct options *options, int count, char **words);
void make_message(struct message *message, struct text raw);
uint64_t now_ns(void);
uint64_t next_random(uint64_t *state);
_Noreturn void die(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* dialogue.c */
void greeted_by_kernel(struct client *client); /* the connection (and implicit TLS) is up */
void greeted_by_tls(struct client *client);    /* STARTTLS is done */
void on_reply(struct client *client, const char *line, size_t length);
void begin_message(struct client *client, uint64_t due_ns);
void send_message(struct client *client);
void quit(struct client *client);
size_t commands_room(const struct options *options);

/* connection.c */
void open_connection(struct client *client);
void close_connection(struct client *client);
void lose(struct client *client, const char *why, size_t length);
void lose_because(struct client *client, const char *why);
void flush(struct client *client);
void start_tls(struct client *client);
void on_event(struct client *client, uint32_t events);

/* worker.c */
void *work(void *worker);
void has_greeted(struct client *client);
void has_finished(struct client *client);
void has_succeeded(struct client *client);
void has_failed(struct worker *worker, const char *why, size_t length);

/* tls.c */
void tls_load(void);
void *tls_new(int fd);
void tls_free(void *tls);
/* Bytes, 0 at the end, -1 with EAGAIN (`*wants_write` says for what), -1 with EPROTO. */
long tls_handshake(void *tls, bool *wants_write);
long tls_read(void *tls, char *bytes, size_t room, bool *wants_write);
long tls_write(void *tls, const char *bytes, size_t length, bool *wants_write);

#endif
