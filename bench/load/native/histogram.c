#include "histogram.h"

static unsigned bucket_of(uint64_t value) {
    if (value >= 1ULL << LARGEST_BITS) value = (1ULL << LARGEST_BITS) - 1;
    if (value < 1U << SUB_BITS) return (unsigned)value;
    unsigned shift = 63 - (unsigned)__builtin_clzll(value) - SUB_BITS;
    return (shift << SUB_BITS) + (unsigned)(value >> shift);
}

static uint64_t highest_of(unsigned bucket) {
    if (bucket < 2U << SUB_BITS) return bucket;
    unsigned shift = (bucket >> SUB_BITS) - 1;
    uint64_t mantissa = bucket - ((uint64_t)shift << SUB_BITS);
    return ((mantissa + 1) << shift) - 1;
}

void histogram_add(struct histogram *histogram, uint64_t value_ns) { histogram->counts[bucket_of(value_ns)]++; }

void histogram_merge(struct histogram *into, const struct histogram *from) {
    for (unsigned i = 0; i < BUCKETS; i++) into->counts[i] += from->counts[i];
}

void histogram_print(const struct histogram *histogram, FILE *file) {
    const char *separator = "";
    fputc('[', file);
    for (unsigned i = 0; i < BUCKETS; i++) {
        if (!histogram->counts[i]) continue;
        fprintf(file, "%s[%llu,%llu]", separator, (unsigned long long)highest_of(i),
                (unsigned long long)histogram->counts[i]);
        separator = ",";
    }
    fputc(']', file);
}
