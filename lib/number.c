/*
 * number.c - numbers and sizes as people write them.
 */
#include <stdlib.h>
#include <string.h>

#include "lib/number.h"

#define NUMBER_LEN 32 /* characters: no number anybody means is longer */

static size_t decimal_span(const char *s)
{
	size_t whole = strspn(s, "0123456789");
	size_t part = s[whole] == '.' ? strspn(s + whole + 1, "0123456789") : 0;

	if (whole + part == 0)
		return 0;
	return s[whole] == '.' ? whole + 1 + part : whole;
}

int number_parse(const char *s, double min, double max, double *out)
{
	size_t span = decimal_span(s);
	double value;

	if (span == 0 || span > NUMBER_LEN || s[span] != '\0')
		return -1;
	value = strtod(s, NULL);
	if (!(value >= min && value <= max))
		return -1;
	*out = value;
	return 0;
}

int size_parse(const char *s, uint64_t min_kib, uint64_t max_kib, uint64_t *out_kib)
{
	static const struct {
		const char *name;
		double kib;
	} units[] = { { "", 1 << 10 },    { "K", 1 },         { "M", 1 << 10 },
		      { "G", 1 << 20 },   { "T", 1 << 30 },   { "KiB", 1 },
		      { "MiB", 1 << 10 }, { "GiB", 1 << 20 }, { "TiB", 1 << 30 } };
	size_t span = decimal_span(s);
	double kib = -1;

	if (span == 0 || span > NUMBER_LEN)
		return -1;
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
		if (strcmp(s + span, units[i].name) == 0)
			kib = strtod(s, NULL) * units[i].kib;
	if (!(kib >= (double)min_kib && kib <= (double)max_kib))
		return -1;
	*out_kib = (uint64_t)kib;
	return 0;
}
