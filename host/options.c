/*
 * options.c - every option of the command line: one row each.
 */
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "host/log.h"
#include "host/options.h"
#include "host/runtime.h"
#include "lib/units.h"

#define PATTERNS_MAX    64
#define NO_LETTER       256 /* from here on: what getopt returns for options without one */

static const char *const allowed[] = { "defined", "found", NULL };
static const char *const surplus[] = { "host", "guests", NULL };
const char *const grain_words[] = { [GRAIN_CPU] = "cpu",
				    [GRAIN_CORE] = "core",
				    [GRAIN_CACHE] = "cache",
				    [GRAIN_NODE] = "node",
				    NULL };

#define LOG_WORD(code, word) [code] = word,
static const char *const log_formats[] = { LOG_FORMATS(LOG_WORD) NULL };

static bool is_pattern(const char *s)
{
	return strcmp(s, "") != 0 && strcmp(s, "!") != 0;
}

static bool is_metrics_path(const char *path)
{
	size_t len = strlen(path), end = strlen(".prom");

	return len > end && len < RUNTIME_PATH_LEN - end &&
	       strcmp(path + len - end, ".prom") == 0;
}

#define FIELD(name) .offset = offsetof(struct options, name)

/* clang-format off */
static const struct setting rows[] = {
	{ .name = "connect", .letter = 'c', .type = SETTING_TEXT, FIELD(uri), .value = "URI",
	  .usual = "qemu:///system", .label = "",
	  .help = "libvirt connection" },
	{ .name = "guests", .letter = 'g', .type = SETTING_TEXTS, FIELD(guests),
	  .most = PATTERNS_MAX, .accepts = is_pattern,
	  .valid = "must be a shell pattern for names, or '!' and one", .value = "PATTERN",
	  .label = "guests", .unset = "all",
	  .heeded_by = "cpu or mem",
	  .help = "manage only guests whose name matches this shell pattern, or with a '!' "
		  "before it all others; may be given several times" },
	{ .name = "host-memory", .letter = 'm', .type = SETTING_SIZE, FIELD(host_memory_kib),
	  .least = RESERVE_KIB, .most = SIZE_MAX_KIB, .value = "SIZE",
	  .label = "host memory", .unset = "all",
	  .heeded_by = "mem",
	  .help = "let the guests have this much between them, reserve included" },
	{ .name = "cpus", .type = SETTING_CPUS, FIELD(cpus), .value = "LIST",
	  .label = "pCPUs", .unset = "all",
	  .heeded_by = "cpu",
	  .help = "give guests only these pCPUs, such as 2-7,10-15" },
	{ .name = "allowed", .type = SETTING_EITHER, FIELD(allowed_found), .words = allowed,
	  .label = "allowed",
	  .heeded_by = "cpu",
	  .help = "keep vCPUs where they are defined to run, or only where they were found, too" },
	{ .name = "grain", .type = SETTING_CHOICE, FIELD(grain), .words = grain_words,
	  .label = "grain",
	  .heeded_by = "cpu",
	  .help = "pin to one cpu, core, cache or node" },
	{ .name = "host-reserve", .type = SETTING_SIZE, FIELD(host_reserve_kib),
	  .least = HOST_LEAST_KIB, .most = SIZE_MAX_KIB, .value = "SIZE",
	  .label = "reserve", .unset = "by size",
	  .heeded_by = "mem",
	  .help = "keep this much memory for the host (default: by its size)" },
	{ .name = "overcommit", .type = SETTING_NUMBER, FIELD(overcommit), .least = 1, .most = 10,
	  .value = "RATIO", .usual = "1", .label = "overcommit",
	  .heeded_by = "mem",
	  .help = "promise guests up to RATIO times what the host has" },
	{ .name = "metrics", .type = SETTING_TEXT, FIELD(metrics), .accepts = is_metrics_path,
	  .valid = "must be the path of a file whose name ends in .prom", .value = "FILE",
	  .label = "metrics",
	  .heeded_by = "cpu or mem",
	  .help = "write figures for Prometheus to this .prom file" },
	{ .name = "surplus", .type = SETTING_EITHER, FIELD(surplus_to_guests), .words = surplus,
	  .label = "surplus to the",
	  .heeded_by = "mem",
	  .help = "leave memory nobody needs to the host or to guests" },
	{ .name = "place-unpinned", .type = SETTING_FLAG, FIELD(place_unpinned),
	  .label = "place unpinned",
	  .heeded_by = "cpu",
	  .help = "pin every vCPU that uses anything, however even the load is" },
	{ .name = "dry-run", .letter = 'n', .type = SETTING_FLAG, FIELD(dry_run),
	  .label = "dry run",
	  .help = "show every decision and its reason, change nothing" },
	{ .name = "once", .letter = '1', .type = SETTING_FLAG, FIELD(once), .label = "once",
	  .heeded_by = "cpu or mem",
	  .help = "end after one decision" },
	{ .name = "restore", .type = SETTING_FLAG, FIELD(restore), .label = "restore",
	  .heeded_by = "cpu",
	  .help = "when ending, put vCPUs back on the masks they were found with" },
	{ .name = "log", .type = SETTING_CHOICE, FIELD(log_format), .words = log_formats,
	  .help = "write log lines as text or as json objects" },
	{ .name = "verbose", .letter = 'v', .type = SETTING_LEVEL, FIELD(verbosity),
	  .level = LOG_PRIO_DEBUG - LOG_PRIO_INFO, .help = "log what is left alone as well" },
	{ .name = "quiet", .letter = 'q', .type = SETTING_LEVEL, FIELD(verbosity),
	  .level = LOG_PRIO_WARNING - LOG_PRIO_INFO, .help = "log only warnings and errors" },
	{ .name = "help", .letter = 'h', .type = SETTING_FLAG, FIELD(help), .help = "show this" },
	{ .name = "version", .letter = 'V', .type = SETTING_FLAG, FIELD(version),
	  .help = "show the version" },
};
/* clang-format on */

int options_open(struct settings *s, struct options *opt)
{
	*opt = (struct options){ OPTIONS_TUNABLES };
	if (settings_open(s, rows, sizeof(rows) / sizeof(rows[0]), opt) < 0 ||
	    settings_add(s, cpu_tunable, cpu_tunable_count, offsetof(struct options, cpu_tune),
			 "cpu") < 0)
		return -1;
	return settings_add(s, mem_tunable, mem_tunable_count,
			    offsetof(struct options, mem_tune), "mem");
}

/* What getopt_long complains of: a letter, maybe in the midst of a word, or the whole word. */
static const char *letter_or_word(char **argv)
{
	static char letter[] = "-?";

	if (optopt <= 0 || optopt >= NO_LETTER)
		return argv[optind - 1];
	letter[1] = (char)optopt;
	return strncmp(argv[optind - 1], "--", 2) == 0 ? argv[optind - 1] : letter;
}

/* getopt's two lists of the same options. */
static void getopt_lists(const struct settings *s, struct option *longs, char *letters)
{
	*letters++ = '+'; /* options end at the command: in "cpu -1" the -1 is its interval */
	*letters++ = ':';
	for (size_t i = 0; i < s->n; i++) {
		const struct setting *row = &s->row[i];

		longs[i] = (struct option){ row->name, setting_takes_value(row), NULL,
					    NO_LETTER + (int)i };
		if (row->letter)
			*letters++ = (char)row->letter;
		if (row->letter && setting_takes_value(row))
			*letters++ = ':';
	}
	longs[s->n] = (struct option){ 0 };
	*letters = '\0';
}

static int set(struct settings *s, int got, char **argv, char *error, size_t size)
{
	const struct setting *row =
		got >= NO_LETTER ? &s->row[got - NO_LETTER] : settings_find(s, NULL, got);
	char valid[256];
	size_t used;

	if (got == ':') {
		snprintf(error, size, "option '%s': needs a value; see --help",
			 letter_or_word(argv));
		return -1;
	}
	if (got == '?') {
		used = (size_t)snprintf(error, size, "unknown option '%s': must be one of",
					letter_or_word(argv));
		if (used < size)
			settings_names(s, error + used, size - used);
		return -1;
	}
	if (settings_set(s, row, optarg, valid, sizeof(valid)) == 0)
		return 0;
	snprintf(error, size, "--%s '%s': %s", row->name, optarg, valid);
	return -1;
}

int options_parse(struct settings *s, int argc, char **argv, char *error, size_t size)
{
	const struct options *opt = s->target;
	struct option *longs = calloc(s->n + 1, sizeof(*longs));
	char *letters = calloc(s->n + 2, 2);
	int got, result = longs && letters ? 0 : -1;

	if (result == 0)
		getopt_lists(s, longs, letters);
	else
		snprintf(error, size, "out of memory");
	while (result == 0 && !opt->help && !opt->version &&
	       (got = getopt_long(argc, argv, letters, longs, NULL)) != -1)
		result = set(s, got, argv, error, size);
	free(longs);
	free(letters);
	return result < 0 ? -1 : optind;
}
