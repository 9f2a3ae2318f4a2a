/*
 * settings.c - one table of what can be set.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/cpuset.h"
#include "lib/number.h"
#include "lib/settings.h"
#include "lib/units.h"

#define HELP_COLUMN 26  /* of the usage text: where what it does begins */
#define HELP_WIDTH  92  /* of its lines */
#define VALUE_LEN   256 /* bytes: a value in the line of settings; a longer list is cut */

/* ---- the table ---- */

static int reserve(struct settings *s, size_t more)
{
	struct setting *row = realloc(s->row, (s->n + more + 1) * sizeof(*row));

	if (!row)
		return -1;
	s->row = row;
	return 0;
}

/* start_points becomes --start-points. */
static char *option_name(const struct tunable *tunable)
{
	size_t len = strlen(tunable->name);
	char *name = malloc(len + 1);

	for (size_t i = 0; name && i <= len; i++)
		name[i] = tunable->name[i] == '_' ? '-' : tunable->name[i];
	return name;
}

int settings_add(struct settings *s, const struct tunable *tunable, size_t n, size_t offset,
		 const char *heeded_by)
{
	if (reserve(s, n) < 0)
		return -1;
	for (size_t i = 0; i < n; i++) {
		struct setting row = { .type = SETTING_TUNABLE,
				       .offset = offset,
				       .value = "NUMBER",
				       .help = tunable[i].meaning,
				       .heeded_by = heeded_by,
				       .tunable = &tunable[i] };

		if (!tunable[i].is_option)
			continue;
		row.name = row.label = option_name(&tunable[i]);
		if (!row.name)
			return -1;
		s->row[s->n++] = row;
	}
	return 0;
}

const struct setting *settings_find(const struct settings *s, const char *name, int letter)
{
	for (size_t i = 0; i < s->n; i++)
		if (name ? strcmp(s->row[i].name, name) == 0
			 : letter != 0 && s->row[i].letter == letter)
			return &s->row[i];
	return NULL;
}

bool setting_takes_value(const struct setting *row)
{
	return row->type != SETTING_FLAG && row->type != SETTING_LEVEL;
}

/* Have two lists of words, with blanks between them, a word in common? */
static bool share_a_word(const char *a, const char *b)
{
	for (size_t n; *a; a += n + strspn(a + n, " ")) {
		n = strcspn(a, " ");
		for (const char *w = b; *w;) {
			size_t m = strcspn(w, " ");

			if (m == n && strncmp(a, w, n) == 0)
				return true;
			w += m + strspn(w + m, " ");
		}
	}
	return false;
}

const struct setting *settings_unheeded(const struct settings *s, const char *commands)
{
	for (size_t i = 0; i < s->n; i++)
		if (s->row[i].given && s->row[i].heeded_by &&
		    !share_a_word(s->row[i].heeded_by, commands))
			return &s->row[i];
	return NULL;
}

/* ---- setting ---- */

/* "host or guests", "cpu, core, cache or node". */
static void words_text(const struct setting *row, char *text, size_t size)
{
	size_t used = 0;

	for (size_t i = 0; row->words[i] && used < size; i++)
		used += (size_t)snprintf(text + used, size - used, "%s%s",
					 i == 0              ? ""
					 : row->words[i + 1] ? ", "
							     : " or ",
					 row->words[i]);
}

/* The range of row in words. */
static void explain(const struct setting *row, char *error, size_t size)
{
	char words[VALUE_LEN], most[64];

	switch (row->type) {
	case SETTING_NUMBER:
		snprintf(error, size, "must be a number from %g to %g", row->least, row->most);
		return;
	case SETTING_SIZE:
		snprintf(error, size, "must be a size from %.0fMiB to %.0fTiB, such as 4G",
			 row->least / KIB_PER_MIB, row->most / KIB_PER_GIB / KIB_PER_MIB);
		return;
	case SETTING_CHOICE:
	case SETTING_EITHER:
		words_text(row, words, sizeof(words));
		snprintf(error, size, "must be %s", words);
		return;
	case SETTING_CPUS:
		snprintf(error, size, "must be a list of pCPUs below %d, such as 0-3,8",
			 PCPU_MAX);
		return;
	case SETTING_TUNABLE:
		tunable_text(row->tunable, row->tunable->least, words, sizeof(words));
		tunable_text(row->tunable, row->tunable->most, most, sizeof(most));
		snprintf(error, size, "must be from %s to %s", words, most);
		return;
	default: snprintf(error, size, "%s", row->valid ? row->valid : "is not valid"); return;
	}
}

static int set_cpus(const char *value, const struct cpuset **field)
{
	struct cpuset *cpus = calloc(1, sizeof(*cpus));

	if (!cpus || cpuset_parse(value, cpus) < 0) {
		free(cpus);
		return -1;
	}
	*field = cpus; /* kept for good, as texts are */
	return 0;
}

static int set_word(const struct setting *row, const char *value, void *field)
{
	for (int i = 0; row->words[i]; i++) {
		if (strcmp(row->words[i], value) != 0)
			continue;
		if (row->type == SETTING_EITHER)
			*(bool *)field = i == 1;
		else
			*(int *)field = i;
		return 0;
	}
	return -1;
}

static int add_text(const struct setting *row, const char *value, const char ***field)
{
	size_t n = 0, most = (size_t)row->most;

	while (*field && (*field)[n])
		n++;
	if (n == most)
		return -1;
	if (!*field)
		*field = calloc(most + 1, sizeof(**field));
	if (!*field)
		return -1;
	(*field)[n] = value;
	return 0;
}

static int set_field(const struct setting *row, const char *value, void *field)
{
	double number;

	switch (row->type) {
	case SETTING_FLAG: *(bool *)field = true; return 0;
	case SETTING_LEVEL: *(int *)field = row->level; return 0;
	case SETTING_NUMBER: return number_parse(value, row->least, row->most, field);
	case SETTING_SIZE:
		return size_parse(value, (uint64_t)row->least, (uint64_t)row->most, field);
	case SETTING_CHOICE:
	case SETTING_EITHER: return set_word(row, value, field);
	case SETTING_CPUS: return set_cpus(value, field);
	case SETTING_TEXT: *(const char **)field = value; return 0;
	case SETTING_TEXTS: return add_text(row, value, field);
	case SETTING_TUNABLE:
		if (tunable_parse(row->tunable, value, &number) < 0)
			return -1;
		return tunable_set(row->tunable, number, field);
	}
	return -1;
}

int settings_open(struct settings *s, const struct setting *row, size_t n, void *target)
{
	*s = (struct settings){ .target = target };
	if (reserve(s, n) < 0)
		return -1;
	for (size_t i = 0; i < n; i++) {
		s->row[s->n++] = row[i];
		if (row[i].usual &&
		    set_field(&row[i], row[i].usual, (char *)target + row[i].offset) < 0)
			return -1;
	}
	return 0;
}

int settings_set(struct settings *s, const struct setting *row, const char *value, char *error,
		 size_t size)
{
	if (row->accepts && !row->accepts(value)) {
		snprintf(error, size, "%s", row->valid);
		return -1;
	}
	if (set_field(row, value, (char *)s->target + row->offset) < 0) {
		if (row->type == SETTING_TEXTS)
			snprintf(error, size, "may be given %.0f times", row->most);
		else
			explain(row, error, size);
		return -1;
	}
	s->row[row - s->row].given = true;
	return 0;
}

/* ---- texts ---- */

/* "  -g, --guests PATTERN"; returns its length. */
static size_t option_text(const struct setting *row, char *text, size_t size)
{
	char letter[8] = "    ";
	size_t used;

	if (row->letter)
		snprintf(letter, sizeof(letter), "-%c, ", row->letter);
	used = (size_t)snprintf(text, size, "  %s--%s", letter, row->name);
	if (row->words)
		for (size_t i = 0; row->words[i] && used < size; i++)
			used += (size_t)snprintf(text + used, size - used, "%s%s",
						 i ? "|" : " ", row->words[i]);
	else if (setting_takes_value(row) && used < size)
		used += (size_t)snprintf(text + used, size - used, " %s", row->value);
	return used;
}

/* Its default, for the usage text; "": there is none to show. */
static void usual_text(const struct setting *row, char *text, size_t size)
{
	text[0] = '\0';
	if (row->tunable)
		tunable_text(row->tunable, row->tunable->usual, text, size);
	else if (row->usual || row->words)
		snprintf(text, size, "%s", row->usual ? row->usual : row->words[0]);
}

/* help from column at on, which wraps to HELP_COLUMN. */
static void wrap(FILE *out, const char *help, size_t at)
{
	while (*help) {
		size_t word = strcspn(help, " ");

		if (at + 1 + word > HELP_WIDTH) {
			fprintf(out, "\n%*s", HELP_COLUMN - 1, "");
			at = HELP_COLUMN - 1;
		}
		fprintf(out, " %.*s", (int)word, help);
		at += 1 + word;
		help += word;
		help += strspn(help, " ");
	}
	fputs("\n", out);
}

void settings_usage(const struct settings *s, FILE *out)
{
	for (size_t i = 0; i < s->n; i++) {
		const struct setting *row = &s->row[i];
		char option[VALUE_LEN], help[2 * VALUE_LEN], usual[64];
		size_t at = option_text(row, option, sizeof(option));

		fputs(option, out);
		if (at > HELP_COLUMN - 1) {
			fputs("\n", out);
			at = 0;
		}
		fprintf(out, "%*s", (int)(HELP_COLUMN - 1 - at), "");
		usual_text(row, usual, sizeof(usual));
		snprintf(help, sizeof(help), "%s%s%s%s", row->help, *usual ? " (default " : "",
			 usual, *usual ? ")" : "");
		wrap(out, help, HELP_COLUMN - 1);
	}
}

void settings_names(const struct settings *s, char *text, size_t size)
{
	size_t used = 0;

	text[0] = '\0';
	for (size_t i = 0; i < s->n && used < size; i++) {
		used += (size_t)snprintf(text + used, size - used, " --%s", s->row[i].name);
		if (s->row[i].letter && used < size)
			used += (size_t)snprintf(text + used, size - used, " (-%c)",
						 s->row[i].letter);
	}
}

/* "'web-*' '!web-7'" */
static void texts_text(const char *const *list, char *text, size_t size)
{
	size_t used = 0;

	for (size_t i = 0; list[i] && used < size; i++)
		used += (size_t)snprintf(text + used, size - used, "%s'%s'", i ? " " : "",
					 list[i]);
}

/* The value of row's field; false: it is not set. */
static bool value_text(const struct setting *row, const void *field, char *text, size_t size)
{
	const void *pointer = NULL;

	switch (row->type) {
	case SETTING_FLAG: return *(const bool *)field;
	case SETTING_NUMBER:
		snprintf(text, size, "%g", *(const double *)field);
		return *(const double *)field != 0;
	case SETTING_SIZE:
		snprintf(text, size, "%llu MiB",
			 (unsigned long long)*(const uint64_t *)field / KIB_PER_MIB);
		return *(const uint64_t *)field != 0;
	case SETTING_CHOICE: snprintf(text, size, "%s", row->words[*(const int *)field]); break;
	case SETTING_EITHER:
		snprintf(text, size, "%s", row->words[*(const bool *)field]);
		break;
	case SETTING_TUNABLE:
		tunable_text(row->tunable, tunable_get(row->tunable, field), text, size);
		return tunable_get(row->tunable, field) != row->tunable->usual;
	default:
		memcpy(&pointer, field, sizeof(pointer));
		if (!pointer)
			return false;
		if (row->type == SETTING_CPUS)
			cpuset_text(pointer, text, size);
		else if (row->type == SETTING_TEXTS)
			texts_text(pointer, text, size);
		else
			snprintf(text, size, "%s", (const char *)pointer);
	}
	return true;
}

void settings_line(const struct settings *s, char *text, size_t size)
{
	size_t used = 0;

	text[0] = '\0';
	for (size_t i = 0; i < s->n && used < size; i++) {
		const struct setting *row = &s->row[i];
		char value[VALUE_LEN] = "";
		bool set = row->label && value_text(row, (char *)s->target + row->offset, value,
						    sizeof(value));

		if (!row->label || (!set && !row->unset))
			continue;
		used += (size_t)snprintf(text + used, size - used, "%s%s%s%s", used ? ", " : "",
					 row->label, *row->label && (*value || !set) ? " " : "",
					 set ? value : row->unset);
	}
}
