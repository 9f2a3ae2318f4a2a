/*
 * settings.h - one table of what can be set: each row a name, a type, a range, a place
 *
 * A row says all that is known of a setting.  From the table come the parsing of a value, the
 * error that names the valid range, the usage text, the line of effective settings.
 */
#ifndef LIB_SETTINGS_H
#define LIB_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "lib/tunable.h"

/* What a value is, and the type of the field that it goes to. */
enum setting_type {
	SETTING_FLAG,    /* bool: takes no value */
	SETTING_LEVEL,   /* int: takes no value, the field becomes level */
	SETTING_NUMBER,  /* double, from least to most */
	SETTING_SIZE,    /* uint64_t in KiB, from least to most */
	SETTING_CHOICE,  /* int: the index of one of words */
	SETTING_EITHER,  /* bool: false for the first of two words, true for the second */
	SETTING_CPUS,    /* const struct cpuset *: a list of pCPUs */
	SETTING_TEXT,    /* const char * */
	SETTING_TEXTS,   /* const char **, NULL at the end: may be given most times */
	SETTING_TUNABLE, /* as tunable says */
};

struct setting {
	const char *name; /* of --name */
	int letter;       /* of -x; 0: none */
	enum setting_type type;
	size_t offset; /* of its field, in the settings' target */
	double least, most;
	int level;
	const char *const *words;       /* NULL at the end */
	bool (*accepts)(const char *s); /* of a text; NULL: any */
	const char *valid;              /* what accepts() wants, for the error */
	const char *value; /* its value in the usage text; choices show their words */
	const char *usual; /* its default; NULL: 0, the first word, none */
	const char *help;
	const char *label;     /* in the line of settings; NULL: it is not there */
	const char *unset;     /* ... in place of a value of 0, or of none */
	const char *heeded_by; /* the commands that heed it: "cpu or mem"; NULL: all of them */
	const struct tunable *tunable;
	bool given; /* settings_set() was told it */
};

struct settings {
	struct setting *row; /* the caller's rows, then those of tunables that are options */
	size_t n;
	void *target;
};

/*
 * Copies rows, for fields of target, which is all zero but for tunables and is set to the
 * defaults.  -1: out of memory.
 */
int settings_open(struct settings *s, const struct setting *row, size_t n, void *target);

/* Adds a row for each tunable that is an option; their struct is at offset of the target. */
int settings_add(struct settings *s, const struct tunable *tunable, size_t n, size_t offset,
		 const char *heeded_by);


/* By name, or by letter where name is NULL; NULL: there is none. */
const struct setting *settings_find(const struct settings *s, const char *name, int letter);

bool setting_takes_value(const struct setting *row);

/* Texts are kept, not copied.  -1: error says what a value must be, and nothing is changed. */
int settings_set(struct settings *s, const struct setting *row, const char *value, char *error,
		 size_t size);

/* The first that was given and none of these commands ("cpu mem") heeds; NULL: there is none.
 */
const struct setting *settings_unheeded(const struct settings *s, const char *commands);

/* The options part of a usage text, a row each. */
void settings_usage(const struct settings *s, FILE *out);

/* All options in one line, such as " --connect (-c) --grain". */
void settings_names(const struct settings *s, char *text, size_t size);

/* The effective settings in one line. */
void settings_line(const struct settings *s, char *text, size_t size);

#endif
