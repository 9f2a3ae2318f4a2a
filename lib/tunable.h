/*
 * tunable.h - the numbers that a policy works with, as rows of a table
 *
 * A policy lists its tunables as rows of a macro:
 *
 *	ROW(type, name, default, unit, least, most, option, meaning)
 *
 * From the rows come a struct with a field for each, the default of that struct, and an array
 * of struct tunable, by which a test or the command line reads and sets a field by its name.
 */
#ifndef LIB_TUNABLE_H
#define LIB_TUNABLE_H

#include <stdbool.h>
#include <stddef.h>

/* In what a tunable is counted, and how it is written. */
enum tunable_unit {
	UNIT_RATIO, /* a plain number */
	UNIT_SHARE, /* 0.05 is written as 5 % */
	UNIT_POINTS,
	UNIT_CPUS,
	UNIT_DEVIATIONS,
	UNIT_INTERVALS,
	UNIT_SAMPLES,
	UNIT_PASSES,
	UNIT_TIMES,
	UNIT_SECONDS,
	UNIT_KIB,   /* 65536 is written as 64 MiB */
	UNIT_KIB_S, /* the same for each second */
};

struct tunable {
	const char *name;
	double usual, least, most;
	enum tunable_unit unit;
	bool is_option;
	bool is_whole; /* its field is unsigned, not double */
	size_t offset; /* of its field */
	const char *meaning;
};

#define TUNABLE_unsigned 1
#define TUNABLE_double   0
#define TUNABLE_OPTION   true
#define TUNABLE_FIXED    false

#define TUNABLE_FIELD(type, name, ...)          type name;
#define TUNABLE_DEFAULT(type, name, usual, ...) .name = (usual),
/* A row of an array of struct tunable, for fields of struct s. */
#define TUNABLE_ROW(s, type, name, usual, unit, least, most, option, meaning)                  \
	{ #name,          usual,                                                               \
	  least,          most,                                                                \
	  UNIT_##unit,    TUNABLE_##option,                                                    \
	  TUNABLE_##type, offsetof(struct s, name),                                            \
	  meaning },

/* The row of that name, or NULL. */
const struct tunable *tunable_find(const struct tunable *row, size_t n, const char *name);

/* The field that row describes, of the struct at tunables. */
double tunable_get(const struct tunable *row, const void *tunables);

/* -1: value is out of range, or must be a whole number. */
int tunable_set(const struct tunable *row, double value, void *tunables);

/*
 * Reads a value: a size such as 64MiB (of KiB), a share such as 0.05 or 5%, else a number.
 * -1: it is not one in row's range.
 */
int tunable_parse(const struct tunable *row, const char *text, double *value);

/*
 * Sets a field by "name=value".  -1: there is no such name, or the value is not one in its
 * range.
 */
int tunable_assign(const struct tunable *row, size_t n, const char *text, void *tunables);

/* value as people write it: "5 %", "64 MiB", "2 intervals". */
void tunable_text(const struct tunable *row, double value, char *text, size_t size);

#endif
