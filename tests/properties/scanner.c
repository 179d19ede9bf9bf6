/* The C of fastsmtp/_parser_data.pxi (SCANNER) with buffers that end where a page ends: who reads or writes a byte too many
 * dies. Each result is compared with what the comments there promise. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

typedef ssize_t Py_ssize_t;
#include SCANNER

enum { MOST = 420, ROUNDS = 400 };

static char *page_end(void) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    char *memory = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED || mprotect(memory + page, page, PROT_NONE)) exit(2);
    return memory + page;
}

static void fail(const char *what, Py_ssize_t size, Py_ssize_t used) {
    printf("%s: %zd of %zd bytes used\n", what, used, size);
    exit(1);
}

static unsigned dice(void) {
    static unsigned long long state = 1;
    state = state * 6364136223846793005ULL + 1442695040888963407ULL;
    return (unsigned)(state >> 33);
}

/* Mostly whole lines, of any length; a bare line end, a dot or an empty line here and there. */
static void write_lines(char *at, Py_ssize_t size) {
    Py_ssize_t left = dice() % 150;
    for (Py_ssize_t i = 0; i < size; i++) {
        if (left-- > 0) {
            unsigned chance = dice() % 2000;
            at[i] = chance == 0 ? '\r' : chance == 1 ? '\n' : chance < 4 ? '.' : 'a';
        } else {
            at[i] = '\r';
            if (i + 1 < size) at[++i] = '\n';
            left = dice() % 8 ? dice() % 150 : 0;
            if (dice() % 20 == 0 && i + 1 < size) at[++i] = '.';
        }
    }
}

static void check_lines(char *to, const char *from, Py_ssize_t size, int dot, int is_header) {
    Py_ssize_t written = -1, o = 0, begun = 0;
    int is_within = -1;
    Py_ssize_t used = copy_lines(to, from, size, dot, is_header, &written, &is_within);
    if (used < 0 || used > size) fail("more than there is", size, used);
    for (Py_ssize_t i = 0; i < used; i++) {
        if (i == begun && from[i] == dot) fail("a dot at the start of a line", size, used);
        if (from[i] == '\n') fail("a bare LF", size, used);
        if (from[i] == '\r') {
            if (i + 1 >= used || from[i + 1] != '\n') fail("a bare CR", size, used);
            if (is_header && i == begun) fail("an empty line", size, used);
            begun = ++i + 1;
        }
        if (to[o++] != (from[i] == '\n' ? '\n' : from[i])) fail("another byte", size, used);
    }
    if (written != o) fail("the size of what was written", size, used);
    if (is_within != (begun < used)) fail("within a line or not", size, used);
}

static void check_text(char *to, const char *from, Py_ssize_t size) {
    Py_ssize_t used = copy_text(to, from, size);
    for (Py_ssize_t i = 0; i < used; i++)
        if (from[i] == '\r' || from[i] == '\n' || to[i] != from[i]) fail("text", size, used);
    if (used < size && from[used] != '\r' && from[used] != '\n') fail("text that ends too early", size, used);
}

int main(void) {
    char *from = page_end(), *to = page_end();
    for (Py_ssize_t size = 0; size <= MOST; size++)
        for (int round = 0; round < ROUNDS; round++) {
            write_lines(from - size, size);
            check_lines(to - size, from - size, size, round % 2 ? '.' : -1, round % 4 < 2);
            check_text(to - size, from - size, size);
        }
    return 0;
}
