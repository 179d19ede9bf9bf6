#include <stdlib.h>

#include "load.h"

/* Line ends become CRLF; where `stuff` is set, a leading dot is doubled and the end is added (RFC 5321 section 4.5.2). */
static struct text transfer(struct text raw, bool stuff) {
    struct text made = {malloc(2 * raw.length + 8), 0};
    bool at_line_start = true;
    if (!made.bytes) die("out of memory");
    for (size_t i = 0; i < raw.length; i++) {
        char byte = raw.bytes[i];
        if (byte == '\r' && i + 1 < raw.length && raw.bytes[i + 1] == '\n') continue;
        if (stuff && at_line_start && byte == '.') made.bytes[made.length++] = '.';
        if (byte == '\n') made.bytes[made.length++] = '\r';
        made.bytes[made.length++] = byte;
        at_line_start = byte == '\n';
    }
    if (!at_line_start) {
        made.bytes[made.length++] = '\r';
        made.bytes[made.length++] = '\n';
    }
    if (stuff)
        for (const char *end = ".\r\n"; *end; end++) made.bytes[made.length++] = *end;
    return made;
}

void make_message(struct message *message, struct text raw) {
    message->content = transfer(raw, false);
    message->stuffed = transfer(raw, true);
}
