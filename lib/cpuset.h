/*
 * cpuset.h - sets of pCPUs, or of bins
 */
#ifndef LIB_CPUSET_H
#define LIB_CPUSET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PCPU_MAX 4096 /* pCPUs are numbered below this */

/* A set of pCPUs, or of bins. */
struct cpuset {
	uint64_t bits[PCPU_MAX / 64];
};

static inline bool cpuset_has(const struct cpuset *s, unsigned i)
{
	return s->bits[i / 64] >> (i % 64) & 1;
}

static inline void cpuset_add(struct cpuset *s, unsigned i)
{
	s->bits[i / 64] |= (uint64_t)1 << (i % 64);
}

static inline bool cpuset_equal(const struct cpuset *a, const struct cpuset *b)
{
	return __builtin_memcmp(a, b, sizeof(*a)) == 0;
}

size_t cpuset_count(const struct cpuset *s);
int cpuset_first(const struct cpuset *s); /* -1: empty */
void cpuset_and(struct cpuset *s, const struct cpuset *other);

/* Reads "0-3,8".  -1 and unchanged for anything else, or a number of PCPU_MAX or more. */
int cpuset_parse(const char *list, struct cpuset *out);

/* Writes "0-3,8" into text, which it returns; cut with ",..." where len bytes do not do. */
const char *cpuset_text(const struct cpuset *s, char *text, size_t len);

#endif
