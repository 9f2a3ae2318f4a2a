/*
 * number.h - numbers and sizes as people write them
 */
#ifndef LIB_NUMBER_H
#define LIB_NUMBER_H

#include <stdint.h>

/* Reads a plain decimal such as 12 or 0.5: no sign, no exponent.  -1: not one in the range. */
int number_parse(const char *s, double min, double max, double *out);

/* Reads a size such as 512 (MiB), 512MiB, 2G.  -1: not one in the range. */
int size_parse(const char *s, uint64_t min_kib, uint64_t max_kib, uint64_t *out_kib);

#endif
