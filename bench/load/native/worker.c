#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "load.h"

enum { EVENTS = 512, LOOK_UP_MS = 200 };

static const double GRACE_NS = 10e9; /* for what was due in time, and waits for a connection */

uint64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000ULL + (uint64_t)now.tv_nsec;
}

/* splitmix64 */
uint64_t next_random(uint64_t *state) {
    uint64_t z = (*state += 0x9E3779B97F4A7C15ULL);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ULL;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBULL;
    return z ^ (z >> 31);
}

void has_finished(struct client *client) {
    struct worker *worker = client->worker;
    client->has_message = false;
    client->next_free = NULL;
    if (worker->last_free) worker->last_free->next_free = client;
    else worker->first_free = client;
    worker->last_free = client;
}

static struct client *next_free(struct worker *worker) {
    struct client *client = worker->first_free;
    worker->first_free = client->next_free;
    if (!worker->first_free) worker->last_free = NULL;
    return client;
}

void has_succeeded(struct client *client) {
    struct worker *worker = client->worker;
    worker->last_stored_ns = now_ns();
    histogram_add(&worker->latencies, worker->last_stored_ns - client->due_ns);
    atomic_store_explicit(&worker->stored, atomic_load_explicit(&worker->stored, memory_order_relaxed) + 1,
                          memory_order_relaxed);
}

void has_greeted(struct client *client) {
    if (client->has_message && client->worker->options->no_mail) {
        has_succeeded(client);
        quit(client);
    } else if (client->has_message) {
        send_message(client);
    } else {
        client->stage = IDLE;
        has_finished(client);
    }
}

void has_failed(struct worker *worker, const char *why, size_t length) {
    struct run *run = worker->run;
    if (!worker->refusal[0]) {
        if (length > REFUSAL_ROOM - 1) length = REFUSAL_ROOM - 1;
        memcpy(worker->refusal, why, length);
        worker->refusal[length] = 0;
    }
    if (atomic_fetch_add(&run->failed, 1) + 1 > worker->options->tolerate) atomic_store(&run->abandoned, true);
}

static void set_timer(struct worker *worker, double at_ns) {
    uint64_t at = (uint64_t)at_ns;
    struct itimerspec when = {.it_value = {(time_t)(at / 1000000000ULL), (long)(at % 1000000000ULL)}};
    timerfd_settime(worker->timer, TFD_TIMER_ABSTIME, &when, NULL);
}

static void advance(struct worker *worker) {
    double step = worker->period_ns;
    if (worker->options->poisson) {
        double dice = ((double)(next_random(&worker->random) >> 11) + 1) / (double)(1ULL << 53);
        step *= -log(dice);
    }
    worker->next_due_ns += step;
}

static bool take_one(struct worker *worker) {
    uint64_t bound = worker->options->messages;
    return !bound || atomic_fetch_add_explicit(&worker->run->taken, 1, memory_order_relaxed) < bound;
}

/* Whether more is to be sent. */
static bool dispatch_closed(struct worker *worker) {
    uint64_t now = now_ns();
    if (now >= worker->run->end_ns) return false;
    while (worker->first_free) {
        if (atomic_load_explicit(&worker->run->abandoned, memory_order_relaxed)) return false;
        if (!take_one(worker)) return false;
        begin_message(next_free(worker), now);
    }
    return true;
}

static bool dispatch_open(struct worker *worker) {
    double now = (double)now_ns(), end = (double)worker->run->end_ns;
    while (worker->next_due_ns <= now && worker->next_due_ns < end) {
        if (!worker->first_free) {
            if (now <= end + GRACE_NS) return true; /* the next free client takes it: its time has begun all the same */
            for (; worker->next_due_ns < end; advance(worker)) worker->unsent++;
            return false;
        }
        if (atomic_load_explicit(&worker->run->abandoned, memory_order_relaxed) || !take_one(worker)) return false;
        uint64_t due = (uint64_t)worker->next_due_ns;
        advance(worker);
        begin_message(next_free(worker), due);
    }
    if (worker->next_due_ns >= end) return false;
    set_timer(worker, worker->next_due_ns);
    return true;
}

static bool is_idle(const struct worker *worker) {
    for (unsigned i = 0; i < worker->client_count; i++)
        if (worker->clients[i].has_message || worker->clients[i].stage == QUITTING) return false;
    return true;
}

static void turn(struct worker *worker, int patience_ms) {
    struct epoll_event events[EVENTS];
    int count = epoll_wait(worker->epoll, events, EVENTS, patience_ms);
    if (count < 0 && errno != EINTR) die("epoll_wait: %s", strerror(errno));
    for (int i = 0; i < count; i++) {
        struct client *client = events[i].data.ptr;
        if (client) {
            on_event(client, events[i].events);
        } else {
            uint64_t expirations;
            if (read(worker->timer, &expirations, sizeof expirations) < 0 && errno != EAGAIN)
                die("timerfd: %s", strerror(errno));
        }
    }
}

/* Connect and greet before the clock starts. A few at a time: a backlog has an end. */
static void ramp_up(struct worker *worker) {
    unsigned opened = 0;
    if (worker->options->no_mail) { /* to connect is what is measured */
        for (; opened < worker->client_count; opened++) has_finished(&worker->clients[opened]);
        return;
    }
    for (;;) {
        unsigned up = 0;
        for (struct client *client = worker->first_free; client; client = client->next_free) up++;
        if (up == worker->client_count || atomic_load(&worker->run->abandoned)) return;
        while (opened < worker->client_count && opened - up < worker->options->opening) open_connection(&worker->clients[opened++]);
        turn(worker, LOOK_UP_MS);
    }
}

static void set_up(struct worker *worker) {
    const struct options *options = worker->options;
    worker->epoll = epoll_create1(EPOLL_CLOEXEC);
    worker->timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    if (worker->epoll < 0 || worker->timer < 0 || epoll_ctl(worker->epoll, EPOLL_CTL_ADD, worker->timer, &event))
        die("epoll: %s", strerror(errno));
    worker->client_count = options->connections / options->threads + (worker->number < options->connections % options->threads);
    worker->clients = calloc(worker->client_count, sizeof *worker->clients);
    if (!worker->clients) die("out of memory");
    for (unsigned i = 0; i < worker->client_count; i++) {
        struct client *client = &worker->clients[i];
        client->worker = worker;
        client->number = i * options->threads + worker->number;
        client->fd = -1;
        client->commands = malloc(commands_room(options));
        if (!client->commands) die("out of memory");
    }
    worker->random = options->seed * 1000003 + worker->number;
    worker->next_recipient = options->recipient_count * worker->number / options->threads;
}

void *work(void *argument) {
    struct worker *worker = argument;
    struct run *run = worker->run;
    set_up(worker);
    ramp_up(worker);
    atomic_fetch_add(&run->ready, 1);
    while (!atomic_load(&run->started) && !atomic_load(&run->abandoned)) turn(worker, 1);
    if (worker->options->rate > 0) {
        worker->period_ns = 1e9 * worker->options->threads / worker->options->rate;
        worker->next_due_ns = (double)run->begun_ns + worker->period_ns * worker->number / worker->options->threads;
    }
    bool has_more = true;
    while (!atomic_load_explicit(&run->abandoned, memory_order_relaxed)) {
        if (has_more) has_more = worker->options->rate > 0 ? dispatch_open(worker) : dispatch_closed(worker);
        if (!has_more && is_idle(worker)) break;
        turn(worker, LOOK_UP_MS);
    }
    return NULL;
}
