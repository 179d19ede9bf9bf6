#include <stdarg.h>
#include <string.h>

#include "load.h"

static void say(struct client *client, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Every command lengthens what is to be written; the room is made for the longest group. */
static void say(struct client *client, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    char *to = client->commands + client->commands_length;
    client->commands_length += (size_t)vsprintf(to, format, arguments);
    va_end(arguments);
    client->replies++;
}

size_t commands_room(const struct options *options) {
    return (options->recipients_each + 1) * (options->longest_recipient + 32) + strlen(options->sender) +
           strlen(options->hello) + 256;
}

void greeted_by_kernel(struct client *client) {
    client->stage = BANNER;
    client->replies = 1;
}

static void say_hello(struct client *client) {
    client->stage = HELLO;
    client->replies = 0;
    say(client, "%s %s\r\n", client->worker->options->lmtp ? "LHLO" : "EHLO", client->worker->options->hello);
    flush(client);
}

void greeted_by_tls(struct client *client) { say_hello(client); } /* again: RFC 3207 section 4.2 */

static void say_envelope(struct client *client, unsigned step) {
    const struct options *options = client->worker->options;
    if (step == 0) {
        say(client, "MAIL FROM:<%s>\r\n", options->sender);
    } else if (step <= options->recipients_each) {
        struct text to = options->recipients[(client->recipient + step - 1) % options->recipient_count];
        say(client, "RCPT TO:<%.*s>\r\n", (int)to.length, to.bytes);
    } else {
        say(client, "DATA\r\n");
    }
}

static void say_content(struct client *client) {
    const struct options *options = client->worker->options;
    struct text text = options->chunking ? client->message->content : client->message->stuffed;
    if (options->chunking) say(client, "BDAT %zu LAST\r\n", text.length);
    client->content = text.bytes;
    client->content_length = text.length;
    client->content_sent = 0;
    client->worker->bytes += text.length;
}

/* The replies to what comes behind the envelope: LMTP has one for each recipient that it took (RFC 2033 section 4.2). */
static void await_content(struct client *client) {
    client->stage = CONTENT;
    client->replies = client->worker->options->lmtp && client->accepted ? client->accepted : 1;
}

static const struct message *pick(struct worker *worker) {
    const struct options *options = worker->options;
    size_t at = 0;
    if (options->mix_count > 1) {
        double dice = (double)(next_random(&worker->random) >> 11) / (double)(1ULL << 53);
        while (dice >= options->mix[at].share && at + 1 < options->mix_count) at++;
    }
    return &options->mix[at];
}

void begin_message(struct client *client, uint64_t due_ns) {
    struct worker *worker = client->worker;
    const struct options *options = worker->options;
    client->due_ns = due_ns;
    client->has_message = true;
    client->is_refused = false;
    client->accepted = 0;
    client->message = pick(worker);
    client->recipient = worker->next_recipient;
    worker->next_recipient = (worker->next_recipient + options->recipients_each) % options->recipient_count;
    if (client->stage == ABSENT) open_connection(client); /* and send_message when it is greeted */
    else send_message(client);
}

void send_message(struct client *client) {
    const struct options *options = client->worker->options;
    client->stage = ENVELOPE;
    client->step = 0;
    client->replies = 0;
    if (!options->pipelining) {
        say_envelope(client, 0);
    } else if (options->chunking) {
        for (unsigned step = 0; step <= options->recipients_each; step++) say_envelope(client, step);
        say_content(client);
    } else {
        for (unsigned step = 0; step <= options->recipients_each + 1; step++) say_envelope(client, step);
    }
    flush(client);
}

void quit(struct client *client) {
    client->has_message = false;
    client->stage = QUITTING;
    say(client, "QUIT\r\n");
    flush(client);
}

static void forget_message(struct client *client) {
    client->has_message = false;
    client->stage = IDLE;
    client->sent++;
    if (client->worker->options->per_connection && client->sent >= client->worker->options->per_connection) {
        quit(client);
    } else {
        has_finished(client);
    }
}

static void refuse(struct client *client, const char *line, size_t length) {
    struct worker *worker = client->worker;
    if (!client->is_refused) {
        worker->refused[line[0] >= '0' && line[0] <= '9' ? line[0] - '0' : 0]++;
        has_failed(worker, line, length);
    }
    client->is_refused = true;
}

/* A step of the envelope was answered; `replies` are still to come. */
static void on_envelope_reply(struct client *client, const char *line, size_t length) {
    const struct options *options = client->worker->options;
    unsigned last = options->recipients_each + 1; /* DATA */
    bool is_good = client->step == last ? line[0] == '3' : line[0] == '2';
    if (!is_good) refuse(client, line, length);
    if (client->step >= 1 && client->step < last && is_good) client->accepted++;
    client->step++;
    if (!options->pipelining && !client->is_refused) {
        if (client->step <= options->recipients_each || (client->step == last && !options->chunking)) {
            say_envelope(client, client->step);
        } else {
            say_content(client);
            await_content(client);
        }
        flush(client);
    } else if (options->pipelining && options->chunking && client->step == last) {
        await_content(client);
    } else if (client->replies == 0) {
        if (client->step == last + 1 && line[0] == '3') {
            /* Content goes out even where a recipient was refused; nobody is left to take it only if all were. */
            say_content(client);
            await_content(client);
        } else {
            client->stage = RESET;
            say(client, "RSET\r\n");
        }
        flush(client);
    }
}

static void on_content_reply(struct client *client, const char *line, size_t length) {
    if (line[0] != '2') refuse(client, line, length);
    if (client->replies) return;
    if (!client->is_refused) has_succeeded(client);
    forget_message(client);
}

void on_reply(struct client *client, const char *line, size_t length) {
    const struct options *options = client->worker->options;
    if (client->replies == 0 || !memcmp(line, "421", 3)) { /* 421 may come unasked */
        lose(client, line, length);
        return;
    }
    client->replies--;
    switch (client->stage) {
    case BANNER:
        if (line[0] == '2') say_hello(client);
        else lose(client, line, length);
        break;
    case HELLO:
        if (line[0] != '2') {
            lose(client, line, length);
        } else if (options->tls == TLS_STARTTLS && !client->tls) {
            client->stage = STARTTLS;
            say(client, "STARTTLS\r\n");
            flush(client);
        } else {
            has_greeted(client);
        }
        break;
    case STARTTLS:
        if (line[0] == '2') start_tls(client);
        else lose(client, line, length);
        break;
    case ENVELOPE: on_envelope_reply(client, line, length); break;
    case CONTENT: on_content_reply(client, line, length); break;
    case RESET: forget_message(client); break;
    case QUITTING:
        close_connection(client);
        has_finished(client);
        break;
    default: lose_because(client, "a reply at the wrong moment"); break;
    }
}
