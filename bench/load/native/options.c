#include <arpa/inet.h>
#include <getopt.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "load.h"

static const char usage[] =
    "usage: load --to HOST:PORT|unix:PATH --message FILE[:WEIGHT] [...] --recipients FILE [options]\n"
    "\n"
    "  --message FILE[:WEIGHT]  a message, line ends LF or CRLF; several make a mix\n"
    "  --recipients FILE        an address a line, taken in turn\n"
    "  --connections N          at once (20)\n"
    "  --opening N              of them, not greeted yet, before the clock starts (64)\n"
    "  --threads N              that drive them (1)\n"
    "  --sources N              spread the clients over 127.0.0.1 and the N-1 addresses behind it\n"
    "  --messages N             stop after so many\n"
    "  --seconds S              stop after this time\n"
    "  --per-connection N       messages on one connection (0: no bound)\n"
    "  --recipients-each N      of one message (1)\n"
    "  --rate R                 open loop: messages a second; latency counts from the intended time\n"
    "  --poisson                open loop: arrivals at random instead of evenly\n"
    "  --pipelining             MAIL, RCPT and DATA in one write\n"
    "  --chunking               BDAT instead of DATA\n"
    "  --no-mail                connect, greet and quit; each counts as a message\n"
    "  --lmtp                   LHLO, and a reply a recipient\n"
    "  --tls starttls|implicit\n"
    "  --tolerate N             refusals and lost connections before it gives up (0)\n"
    "  --sender ADDRESS  --hello NAME  --seed N  --progress\n";

void die(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fputs("load: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    exit(2);
}

static double number(const char *option, const char *word, double least) {
    char *end;
    double value = strtod(word, &end);
    if (*end || end == word || !(value >= least)) die("--%s takes a number from %g up, not \"%s\"", option, least, word);
    return value;
}

static unsigned count_of(const char *option, const char *word, double least) {
    double value = number(option, word, least);
    if (value > 10e6 || value != (unsigned)value) die("--%s takes a whole number up to 10,000,000", option);
    return (unsigned)value;
}

static struct text read_file(const char *path) {
    FILE *file = fopen(path, "rb");
    struct text text = {NULL, 0};
    size_t room = 0, got;
    if (!file) die("cannot read %s", path);
    do {
        room = room ? 2 * room : 65536;
        text.bytes = realloc(text.bytes, room + 1);
        if (!text.bytes) die("out of memory");
        got = fread(text.bytes + text.length, 1, room - text.length, file);
        text.length += got;
    } while (text.length == room);
    if (ferror(file)) die("cannot read %s", path);
    fclose(file);
    text.bytes[text.length] = 0;
    return text;
}

static void parse_target(struct options *options, char *word) {
    if (!strncmp(word, "unix:", 5)) {
        struct sockaddr_un *address = (struct sockaddr_un *)&options->target;
        if (strlen(word + 5) >= sizeof address->sun_path) die("the path %s is too long", word + 5);
        address->sun_family = AF_UNIX;
        strcpy(address->sun_path, word + 5);
        options->target_length = sizeof *address;
        return;
    }
    char *colon = strrchr(word, ':');
    if (!colon) die("--to takes HOST:PORT or unix:PATH, not \"%s\"", word);
    *colon = 0;
    char *host = word;
    if (*host == '[' && colon[-1] == ']') {
        host++;
        colon[-1] = 0;
    }
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found;
    int error = getaddrinfo(host, colon + 1, &hints, &found);
    if (error) die("%s: %s", host, gai_strerror(error));
    memcpy(&options->target, found->ai_addr, found->ai_addrlen);
    options->target_length = found->ai_addrlen;
    freeaddrinfo(found);
}

static void add_message(struct options *options, char *word) {
    char *colon = strrchr(word, ':');
    double weight = 1;
    if (colon) {
        *colon = 0;
        weight = number("message", colon + 1, 0);
    }
    options->mix = realloc(options->mix, (options->mix_count + 1) * sizeof *options->mix);
    if (!options->mix) die("out of memory");
    struct text raw = read_file(word);
    make_message(&options->mix[options->mix_count], raw);
    free(raw.bytes);
    options->mix[options->mix_count].share = weight;
    options->mix_count++;
}

static void add_recipients(struct options *options, const char *path) {
    struct text file = read_file(path);
    size_t room = 0;
    for (char *line = file.bytes; *line;) {
        size_t length = strcspn(line, "\r\n");
        if (length) {
            if (options->recipient_count == room) {
                room = room ? 2 * room : 1024;
                options->recipients = realloc(options->recipients, room * sizeof *options->recipients);
                if (!options->recipients) die("out of memory");
            }
            options->recipients[options->recipient_count++] = (struct text){line, length};
            if (length > options->longest_recipient) options->longest_recipient = length;
        }
        line += length;
        line += strspn(line, "\r\n");
    }
}

static void check(struct options *options) {
    double sum = 0;
    if (!options->target_length) die("--to is missing\n\n%s", usage);
    if (!options->mix_count) die("--message is missing\n\n%s", usage);
    if (!options->recipient_count) die("--recipients is missing, or has no address in it\n\n%s", usage);
    if (!options->messages && options->seconds == 0) die("one of --messages and --seconds is needed");
    if (options->recipients_each > options->recipient_count)
        die("%u recipients a message, but only %zu are known", options->recipients_each, options->recipient_count);
    if (options->threads > options->connections) options->threads = options->connections;
    for (size_t i = 0; i < options->mix_count; i++) sum += options->mix[i].share;
    if (!(sum > 0)) die("the weights of the messages add up to nothing");
    double share = 0;
    for (size_t i = 0; i < options->mix_count; i++) {
        share += options->mix[i].share / sum;
        options->mix[i].share = share;
    }
    options->mix[options->mix_count - 1].share = 1;
}

enum {
    TO = 256, MESSAGE, RECIPIENTS, CONNECTIONS, OPENING, THREADS, SOURCES, MESSAGES, SECONDS, PER_CONNECTION, RECIPIENTS_EACH,
    RATE, NO_MAIL, POISSON, PIPELINING, CHUNKING, LMTP, TLS, TOLERATE, SENDER, HELLO_NAME, SEED, PROGRESS, HELP,
};

static const struct option words_known[] = {
    {"to", 1, 0, TO}, {"message", 1, 0, MESSAGE}, {"recipients", 1, 0, RECIPIENTS},
    {"connections", 1, 0, CONNECTIONS}, {"opening", 1, 0, OPENING}, {"threads", 1, 0, THREADS}, {"sources", 1, 0, SOURCES},
    {"messages", 1, 0, MESSAGES}, {"seconds", 1, 0, SECONDS}, {"per-connection", 1, 0, PER_CONNECTION},
    {"recipients-each", 1, 0, RECIPIENTS_EACH}, {"rate", 1, 0, RATE}, {"no-mail", 0, 0, NO_MAIL}, {"poisson", 0, 0, POISSON},
    {"pipelining", 0, 0, PIPELINING}, {"chunking", 0, 0, CHUNKING}, {"lmtp", 0, 0, LMTP}, {"tls", 1, 0, TLS},
    {"tolerate", 1, 0, TOLERATE}, {"sender", 1, 0, SENDER}, {"hello", 1, 0, HELLO_NAME}, {"seed", 1, 0, SEED},
    {"progress", 0, 0, PROGRESS}, {"help", 0, 0, HELP}, {0, 0, 0, 0},
};

void parse_options(struct options *options, int count, char **words) {
    int which, at = 0;
    *options = (struct options){.connections = 20, .opening = 64, .threads = 1, .recipients_each = 1, .seed = 1,
                                .sender = "sender@load.example", .hello = "load.example"};
    while ((which = getopt_long(count, words, "", words_known, &at)) != -1) {
        const char *name = which == '?' ? "" : words_known[at].name;
        switch (which) {
        case TO: parse_target(options, optarg); break;
        case MESSAGE: add_message(options, optarg); break;
        case RECIPIENTS: add_recipients(options, optarg); break;
        case CONNECTIONS: options->connections = count_of(name, optarg, 1); break;
        case OPENING: options->opening = count_of(name, optarg, 1); break;
        case THREADS: options->threads = count_of(name, optarg, 1); break;
        case SOURCES: options->sources = count_of(name, optarg, 0); break;
        case MESSAGES: options->messages = (uint64_t)number(name, optarg, 1); break;
        case SECONDS: options->seconds = number(name, optarg, 0); break;
        case PER_CONNECTION: options->per_connection = count_of(name, optarg, 0); break;
        case RECIPIENTS_EACH: options->recipients_each = count_of(name, optarg, 1); break;
        case RATE: options->rate = number(name, optarg, 0); break;
        case NO_MAIL: options->no_mail = true; break;
        case POISSON: options->poisson = true; break;
        case PIPELINING: options->pipelining = true; break;
        case CHUNKING: options->chunking = true; break;
        case LMTP: options->lmtp = true; break;
        case TLS:
            if (!strcmp(optarg, "starttls")) options->tls = TLS_STARTTLS;
            else if (!strcmp(optarg, "implicit")) options->tls = TLS_IMPLICIT;
            else die("--tls takes starttls or implicit, not \"%s\"", optarg);
            break;
        case TOLERATE: options->tolerate = (uint64_t)number(name, optarg, 0); break;
        case SENDER: options->sender = optarg; break;
        case HELLO_NAME: options->hello = optarg; break;
        case SEED: options->seed = (uint64_t)number(name, optarg, 0); break;
        case PROGRESS: options->progress = true; break;
        case HELP: fputs(usage, stdout); exit(0);
        default: exit(2);
        }
    }
    if (optind < count) die("\"%s\" is no option\n\n%s", words[optind], usage);
    check(options);
}
