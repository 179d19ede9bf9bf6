/* The floor: a mail server that makes the system calls of one and does none of its work. What it takes a message is what
 * the kernel takes; no server that keeps the same promises can be below it for long.
 *
 * floor.c   the options and the loop: epoll, recv, send
 * store.c   one Maildir file a recipient, one journal with one fdatasync a turn of the loop
 *
 * It believes everything: that commands are well formed, that every recipient exists, that a message ends where what has
 * come so far ends in CRLF.CRLF. */
#ifndef FLOOR_H
#define FLOOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { MOST_RECIPIENTS = 1000, NAME_ROOM = 80 };

struct store_options {
    const char *root;    /* NULL: nothing is stored */
    const char *journal; /* NULL: no journal */
    uint64_t journal_bytes;
    size_t journal_limit; /* octets; a larger message is synced instead */
    bool links;           /* O_TMPFILE and linkat instead of tmp/ and rename */
};

/* A message on its way. */
struct mail {
    char *bytes; /* what is not in `file` */
    size_t length;
    char **recipients; /* "domain/user" */
    unsigned recipient_count;
    int file; /* of the first recipient, where the message is too large for the memory; or -1 */
    char name[NAME_ROOM]; /* of its files; empty before the first */
};

void store_open(const struct store_options *options, unsigned worker);
void store_spill(struct mail *mail, size_t keep); /* all but the last bytes go to the file */
void store_commit(struct mail **mails, unsigned count);

#endif
