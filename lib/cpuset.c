/*
 * cpuset.c - sets of pCPUs: counting, and the "0-3,8" notation of libvirt and the kernel.
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/cpuset.h"

#define RANGE_LEN 16 /* bytes: room that one more range of a text may need, and for "..." */

size_t cpuset_count(const struct cpuset *s)
{
	size_t n = 0;

	for (size_t w = 0; w < PCPU_MAX / 64; w++)
		n += (size_t)__builtin_popcountll(s->bits[w]);
	return n;
}

int cpuset_first(const struct cpuset *s)
{
	for (size_t w = 0; w < PCPU_MAX / 64; w++)
		if (s->bits[w])
			return (int)(w * 64) + __builtin_ctzll(s->bits[w]);
	return -1;
}

void cpuset_and(struct cpuset *s, const struct cpuset *other)
{
	for (size_t w = 0; w < PCPU_MAX / 64; w++)
		s->bits[w] &= other->bits[w];
}

/* One number below PCPU_MAX; NULL if there is none. */
static const char *cpu_parse(const char *p, unsigned *n)
{
	unsigned long value;
	char *end;

	if (!isdigit((unsigned char)*p))
		return NULL;
	value = strtoul(p, &end, 10);
	if (value >= PCPU_MAX)
		return NULL;
	*n = (unsigned)value;
	return end;
}

/* "3" or "3-7". */
static const char *range_parse(const char *p, struct cpuset *s)
{
	unsigned first, last;

	p = cpu_parse(p, &first);
	if (!p)
		return NULL;
	last = first;
	if (*p == '-')
		p = cpu_parse(p + 1, &last);
	if (!p || last < first)
		return NULL;
	for (unsigned i = first; i <= last; i++)
		cpuset_add(s, i);
	return p;
}

int cpuset_parse(const char *list, struct cpuset *out)
{
	struct cpuset s = { { 0 } };
	const char *p = range_parse(list, &s);

	while (p && *p == ',')
		p = range_parse(p + 1, &s);
	if (!p || *p)
		return -1;
	*out = s;
	return 0;
}

const char *cpuset_text(const struct cpuset *s, char *text, size_t len)
{
	size_t used = 0;

	text[0] = '\0';
	for (unsigned i = 0; i < PCPU_MAX; i++) {
		unsigned last = i;

		if (!cpuset_has(s, i))
			continue;
		if (used + RANGE_LEN > len) {
			snprintf(text + used, len - used, ",...");
			break;
		}
		while (last + 1 < PCPU_MAX && cpuset_has(s, last + 1))
			last++;
		used += (size_t)snprintf(text + used, len - used, "%s%u", used ? "," : "", i);
		if (last > i)
			used += (size_t)snprintf(text + used, len - used, "-%u", last);
		i = last;
	}
	return text;
}
