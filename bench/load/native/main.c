#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "load.h"

enum { LOOKS_A_SECOND = 10, PATIENCE_S = 30, BAR = 30 };

static void allow_descriptors(void) {
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

static double cpu_seconds(void) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static uint64_t stored_so_far(const struct worker *workers, unsigned count) {
    uint64_t stored = 0;
    for (unsigned i = 0; i < count; i++) stored += atomic_load_explicit(&workers[i].stored, memory_order_relaxed);
    return stored;
}

static void show(const struct options *options, double seconds, uint64_t stored, double rate) {
    double by_count = options->messages ? (double)stored / (double)options->messages : 0;
    double by_time = options->seconds > 0 ? seconds / options->seconds : 0;
    double share = by_count > by_time ? by_count : by_time;
    if (share > 1) share = 1;
    int full = (int)(share * BAR);
    fprintf(stderr, "\r[%.*s%.*s] %3.0f %%  %llu messages, %.0f/s   ", full, "##############################", BAR - full,
            "..............................", share * 100, (unsigned long long)stored, rate);
}

static void nap(void) { nanosleep(&(struct timespec){0, 1000000000L / LOOKS_A_SECOND}, NULL); }

/* Until every connection is greeted, or cannot be. */
static void await_greetings(struct run *run) {
    uint64_t begun = now_ns();
    while (atomic_load(&run->ready) < run->options->threads) {
        nanosleep(&(struct timespec){0, 1000000}, NULL);
        if (now_ns() - begun > PATIENCE_S * 1000000000ULL) die("not every connection was greeted in %d seconds", PATIENCE_S);
    }
}

/* Look on until all threads have ended; give up when nothing has happened for long. */
static void watch(struct run *run, struct worker *workers, const atomic_uint *running) {
    const struct options *options = run->options;
    uint64_t before = 0, shown = 0;
    unsigned quiet = 0;
    for (unsigned look = 1; atomic_load(running); look++) {
        nap();
        uint64_t stored = stored_so_far(workers, options->threads);
        bool is_quiet = stored == before && !(options->rate > 0 && options->rate < 1);
        quiet = is_quiet ? quiet + 1 : 0;
        before = stored;
        if (quiet >= PATIENCE_S * LOOKS_A_SECOND && !atomic_exchange(&run->abandoned, true))
            snprintf(workers[0].refusal, REFUSAL_ROOM, "no message was taken for %d seconds", PATIENCE_S);
        if (options->progress && look % (LOOKS_A_SECOND / 2) == 0) {
            show(options, (double)(now_ns() - run->begun_ns) / 1e9, stored, (double)(stored - shown) * 2);
            shown = stored;
        }
    }
    if (options->progress) fprintf(stderr, "\r%*s\r", 79, "");
}

static void print_text(const char *text) {
    putchar('"');
    for (; *text; text++) {
        unsigned char byte = (unsigned char)*text;
        if (byte == '"' || byte == '\\') printf("\\%c", byte);
        else if (byte < ' ' || byte >= 127) printf("\\u%04x", byte);
        else putchar(byte);
    }
    putchar('"');
}

/* One line of JSON; whether the run was a good one. */
static bool report(struct run *run, struct worker *workers, double cpu_s) {
    struct histogram *latencies = calloc(1, sizeof *latencies);
    uint64_t bytes = 0, lost = 0, unsent = 0, connects = 0, refused[10] = {0}, last = run->begun_ns;
    const char *refusal = "";
    if (!latencies) die("out of memory");
    for (unsigned i = 0; i < run->options->threads; i++) {
        struct worker *worker = &workers[i];
        histogram_merge(latencies, &worker->latencies);
        bytes += worker->bytes;
        lost += worker->lost;
        unsent += worker->unsent;
        connects += worker->connects;
        for (unsigned class = 0; class < 10; class++) refused[class] += worker->refused[class];
        if (worker->last_stored_ns > last) last = worker->last_stored_ns;
        if (!*refusal) refusal = worker->refusal;
    }
    printf("{\"messages\":%llu,\"seconds\":%.6f,\"cpu_s\":%.6f,\"bytes\":%llu,\"connects\":%llu,\"refused_4xx\":%llu,"
           "\"refused_5xx\":%llu,\"lost\":%llu,\"unsent\":%llu,\"abandoned\":%s,\"refusal\":",
           (unsigned long long)stored_so_far(workers, run->options->threads), (double)(last - run->begun_ns) / 1e9, cpu_s,
           (unsigned long long)bytes, (unsigned long long)connects, (unsigned long long)refused[4],
           (unsigned long long)refused[5], (unsigned long long)lost, (unsigned long long)unsent,
           atomic_load(&run->abandoned) ? "true" : "false");
    print_text(refusal);
    fputs(",\"latencies_ns\":", stdout);
    histogram_print(latencies, stdout);
    puts("}");
    fflush(stdout); /* before the connections are closed */
    free(latencies);
    return !atomic_load(&run->abandoned);
}

struct thread {
    struct worker *worker;
    atomic_uint *running;
};

static void *run_thread(void *argument) {
    struct thread *thread = argument;
    work(thread->worker);
    atomic_fetch_sub(thread->running, 1);
    return NULL;
}

int main(int count, char **words) {
    struct options options;
    struct run run = {.options = &options, .end_ns = UINT64_MAX};
    parse_options(&options, count, words);
    allow_descriptors();
    if (options.tls != TLS_NONE) tls_load();
    struct worker *workers = calloc(options.threads, sizeof *workers);
    struct thread *threads = calloc(options.threads, sizeof *threads);
    atomic_uint running = options.threads;
    if (!workers || !threads) die("out of memory");
    for (unsigned i = 0; i < options.threads; i++) {
        pthread_t thread;
        workers[i].run = &run;
        workers[i].options = &options;
        workers[i].number = i;
        threads[i] = (struct thread){&workers[i], &running};
        if (pthread_create(&thread, NULL, run_thread, &threads[i])) die("no thread: %s", strerror(errno));
        pthread_detach(thread);
    }
    await_greetings(&run);
    puts("started"); /* whoever measures the server looks now */
    fflush(stdout);
    double cpu_s = cpu_seconds();
    run.begun_ns = now_ns();
    if (options.seconds > 0) run.end_ns = run.begun_ns + (uint64_t)(options.seconds * 1e9);
    atomic_store(&run.started, true);
    watch(&run, workers, &running);
    return report(&run, workers, cpu_seconds() - cpu_s) ? 0 : 1;
}
