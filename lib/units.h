/*
 * units.h - how many of one are another
 */
#ifndef LIB_UNITS_H
#define LIB_UNITS_H

#include <stdint.h>

#define MS_PER_S       1000.0
#define NS_PER_US      1000LL
#define NS_PER_MS      1000000LL
#define NS_PER_S       1000000000LL
#define BYTES_PER_KIB  1024
#define KIB_PER_MIB    1024LL
#define KIB_PER_GIB    (1024 * KIB_PER_MIB)
#define SIZE_MAX_KIB   (1024 * 1024 * KIB_PER_GIB) /* a pebibyte: the largest taken */
#define POINTS_PER_CPU 100.0

static inline int64_t ns_of_s(double s)
{
	return (int64_t)(s * (double)NS_PER_S);
}

#endif
