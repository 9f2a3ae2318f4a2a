/*
 * tunable.c - the numbers that a policy works with, by their names.
 */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "lib/number.h"
#include "lib/tunable.h"
#include "lib/units.h"

#define NAME_LEN 64   /* bytes: no name, and no number, is longer */
#define MOST     1e15 /* no value is larger */

const struct tunable *tunable_find(const struct tunable *row, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(row[i].name, name) == 0)
			return &row[i];
	return NULL;
}

double tunable_get(const struct tunable *row, const void *tunables)
{
	const char *field = (const char *)tunables + row->offset;
	unsigned whole;
	double real;

	if (row->is_whole) {
		memcpy(&whole, field, sizeof(whole));
		return whole;
	}
	memcpy(&real, field, sizeof(real));
	return real;
}

int tunable_set(const struct tunable *row, double value, void *tunables)
{
	char *field = (char *)tunables + row->offset;
	unsigned whole;

	if (!(value >= row->least && value <= row->most))
		return -1;
	if (!row->is_whole) {
		memcpy(field, &value, sizeof(value));
		return 0;
	}
	if (floor(value) != value)
		return -1;
	whole = (unsigned)value;
	memcpy(field, &whole, sizeof(whole));
	return 0;
}

static int size_value(const char *text, double *value)
{
	uint64_t kib;

	if (size_parse(text, 0, UINT64_MAX >> 12, &kib) < 0)
		return -1;
	*value = (double)kib;
	return 0;
}

static int share_value(const char *text, double *value)
{
	size_t len = strlen(text);
	char number[NAME_LEN];

	if (len == 0 || len >= sizeof(number) || text[len - 1] != '%')
		return number_parse(text, 0, MOST, value);
	memcpy(number, text, len - 1);
	number[len - 1] = '\0';
	if (number_parse(number, 0, MOST, value) < 0)
		return -1;
	*value /= 100;
	return 0;
}

int tunable_parse(const struct tunable *row, const char *text, double *value)
{
	double got;
	int bad;

	switch (row->unit) {
	case UNIT_KIB:
	case UNIT_KIB_S: bad = size_value(text, &got); break;
	case UNIT_SHARE: bad = share_value(text, &got); break;
	default: bad = number_parse(text, 0, MOST, &got);
	}
	if (bad || got < row->least || got > row->most || (row->is_whole && floor(got) != got))
		return -1;
	*value = got;
	return 0;
}

int tunable_assign(const struct tunable *row, size_t n, const char *text, void *tunables)
{
	size_t len = strcspn(text, "=");
	char name[NAME_LEN];
	double value;

	if (len >= sizeof(name) || text[len] != '=')
		return -1;
	memcpy(name, text, len);
	name[len] = '\0';
	row = tunable_find(row, n, name);
	if (!row || tunable_parse(row, text + len + 1, &value) < 0)
		return -1;
	return tunable_set(row, value, tunables);
}

void tunable_text(const struct tunable *row, double value, char *text, size_t size)
{
	static const struct {
		const char *name;
		double scale; /* what is written, for 1 */
	} unit[] = {
		[UNIT_RATIO] = { "", 1 },
		[UNIT_SHARE] = { " %", 100 },
		[UNIT_POINTS] = { " points", 1 },
		[UNIT_CPUS] = { " CPU", 1 },
		[UNIT_DEVIATIONS] = { " deviations", 1 },
		[UNIT_INTERVALS] = { " intervals", 1 },
		[UNIT_SAMPLES] = { " samples", 1 },
		[UNIT_PASSES] = { " passes", 1 },
		[UNIT_TIMES] = { " times", 1 },
		[UNIT_SECONDS] = { " s", 1 },
		[UNIT_KIB] = { " MiB", 1.0 / KIB_PER_MIB },
		[UNIT_KIB_S] = { " MiB/s", 1.0 / KIB_PER_MIB },
	};

	snprintf(text, size, "%.6g%s", value * unit[row->unit].scale, unit[row->unit].name);
}
