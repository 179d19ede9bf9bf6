/* Coverage of the extension modules for libFuzzer, with a compiler that is not clang.
 *
 * gcc -fsanitize-coverage=trace-pc,trace-cmp calls a function at every edge of the program, and one at every comparison.
 * Edges are counted here, in a table that libFuzzer is told of, as it is of clang's inline counters; where a call comes
 * from decides the place. Comparisons are passed on. libFuzzer is inside of atheris, in the library FUZZ_LIBRARY, whose
 * symbols nobody else sees.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#define BITS 14
#define PLACES (1 << BITS)
#define HIDDEN __attribute__((visibility("hidden")))

struct pc { uintptr_t address, flags; };

static uint8_t counters[PLACES];
static struct pc places[PLACES];

HIDDEN void __sanitizer_cov_trace_pc(void)
{
    uintptr_t place = (uintptr_t)__builtin_return_address(0);
    counters[(place * 0x9E3779B97F4A7C15u) >> (64 - BITS)]++;
}

/* Each is a jump, so that libFuzzer sees who called. */
#define PASS_ON(name, type) \
    static void (*pass_##name)(type, type); \
    HIDDEN void __sanitizer_cov_trace_##name(type one, type other) { pass_##name(one, other); }

PASS_ON(cmp1, uint8_t)
PASS_ON(cmp2, uint16_t)
PASS_ON(cmp4, uint32_t)
PASS_ON(cmp8, uint64_t)
PASS_ON(const_cmp1, uint8_t)
PASS_ON(const_cmp2, uint16_t)
PASS_ON(const_cmp4, uint32_t)
PASS_ON(const_cmp8, uint64_t)

static void (*pass_switch)(uint64_t, uint64_t *);
HIDDEN void __sanitizer_cov_trace_switch(uint64_t value, uint64_t *cases) { pass_switch(value, cases); }
HIDDEN void __sanitizer_cov_trace_cmpf(float one, float other) { (void)one, (void)other; }
HIDDEN void __sanitizer_cov_trace_cmpd(double one, double other) { (void)one, (void)other; }

static void *library;

static void *find(const char *name)
{
    void *found = dlsym(library, name);
    if (!found)
        abort();
    return found;
}

__attribute__((constructor)) static void connect(void)
{
    library = dlopen(getenv("FUZZ_LIBRARY"), RTLD_NOLOAD | RTLD_LAZY);
    if (!library)
        abort();
#define FIND(name) pass_##name = find("__sanitizer_cov_trace_" #name)
    FIND(cmp1), FIND(cmp2), FIND(cmp4), FIND(cmp8), FIND(switch);
    FIND(const_cmp1), FIND(const_cmp2), FIND(const_cmp4), FIND(const_cmp8);
    for (size_t i = 0; i < PLACES; i++)
        places[i].address = (uintptr_t)&counters[i];
    void (*take_counters)(uint8_t *, uint8_t *) = find("__sanitizer_cov_8bit_counters_init");
    void (*take_places)(struct pc *, struct pc *) = find("__sanitizer_cov_pcs_init");
    take_counters(counters, counters + PLACES);
    take_places(places, places + PLACES);
}
