/* Nanoseconds in buckets, each 1/128 of its octave wide: no value is more than 0.8 % off. */
#ifndef HISTOGRAM_H
#define HISTOGRAM_H

#include <stdint.h>
#include <stdio.h>

enum { SUB_BITS = 7, LARGEST_BITS = 40, BUCKETS = (LARGEST_BITS - SUB_BITS + 1) << SUB_BITS };

struct histogram {
    uint64_t counts[BUCKETS];
};

void histogram_add(struct histogram *histogram, uint64_t value_ns);
void histogram_merge(struct histogram *into, const struct histogram *from);
void histogram_print(const struct histogram *histogram, FILE *file); /* [[highest ns, count], ...] */

#endif
