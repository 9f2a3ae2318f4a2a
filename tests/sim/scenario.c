/*
 * scenario.c - reads scenario files; see scenario.h.
 */
#include "tests/sim/scenario.h"
#include "lib/cpuset.h"
#include "lib/number.h"

#include <stdio.h>
#include <string.h>

#define WORDS     20
#define INTERVALS 20000
#define PCPUS     64

/* What follows a verb or figure: g a group or all, c pCPUs, l a load. */
struct word {
	const char *name, *args;
};

static const struct word verbs[] = {
	[SET_LOAD] = { "load", "gl" },
	[SET_ALLOWED] = { "allowed", "gc" },
	[END] = { "end", "g" },
	[BUSY] = { "busy", "g" }, /* a job holds its domain */
	[READY] = { "ready", "g" },
	[TUG] = { "tug", "gc" }, /* somebody else pins it there
				  */
	[IRQ] = { "irq", "cl" }, /* share of these pCPUs' time that interrupts take */
	[OFFLINE] = { "offline", "c" },
	[ONLINE] = { "online", "c" },
};

static const struct word figures[] = {
	[PINS] = { "pins", "" },
	[PINS_OF] = { "pins-of", "g" },
	[PASSES] = { "passes", "" }, /* intervals with pins */
	[USE_IMBALANCE] = { "use-imbalance",
			    "" },          /* points, of the time that guests used pCPUs */
	[IMBALANCE] = { "imbalance", "" }, /* points, of the pCPUs' busy time */
	[PINS_EACH] = { "pins-each", "" },
	[TWICE] = { "twice", "" },     /* vCPUs pinned more than once so far */
	[RETURNS] = { "returns", "" }, /* pins so far to a pCPU where the vCPU had been */
	[PEAK] = { "peak", "" },       /* of the pCPUs by true demand, over LB */
	[VCPUS] = { "vcpus", "gc" },   /* of these guests, on these pCPUs */
	[LOAD] = { "load", "c" },      /* true demand on these pCPUs */
	[MOST] = { "most", "g" },      /* vCPUs of these guests on one pCPU, core or node */
	[MOST_IN_CORE] = { "most-in-core", "g" },
	[MOST_IN_NODE] = { "most-in-node", "g" },
	[SHARING] = { "sharing", "" },  /* busy vCPUs on one core while another idles */
	[SPLIT] = { "split", "" },      /* vCPUs in another node than their guest's first */
	[CROSSED] = { "crossed", "" },  /* vCPUs in another node than where they began */
	[DISTANT] = { "distant", "g" }, /* of these guests, vCPUs in no node of their memory */
};

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* A line in hand. */
struct line {
	struct scenario *sc;
	char *word[WORDS + 1];
	size_t n;
	unsigned number;
};

static bool number(const char *s, double min, double max, unsigned *out)
{
	double value;

	if (!s || number_parse(s, min, max, &value) < 0)
		return false;
	*out = (unsigned)value;
	return *out == value;
}

static bool cpus(const struct scenario *sc, const char *s, struct cpuset *out)
{
	struct cpuset set;

	if (!s || cpuset_parse(s, &set) < 0)
		return false;
	for (unsigned b = sc->pcpus; b < PCPU_MAX; b++)
		if (cpuset_has(&set, b))
			return false;
	*out = set;
	return true;
}

static bool load(char *s, struct scenario_load *out)
{
	char *second = s ? strstr(s, "..") : NULL;

	out->kind = second ? '.' : 0;
	if (s && !second && (second = strchr(s, ',')))
		out->kind = ',';
	if (second) {
		*second++ = '\0';
		second += *second == '.';
	}
	return s && number_parse(s, 0, 1, &out->demand[0]) == 0 &&
	       number_parse(second ? second : s, 0, 1, &out->demand[1]) == 0;
}

static bool group(const struct scenario *sc, const char *s, size_t *out)
{
	size_t i = 0;

	if (!s)
		return false;
	while (i < sc->groups && strcmp(sc->group[i].name, s) != 0)
		i++;
	*out = strcmp(s, "all") == 0 ? SCENARIO_GROUPS : i;
	return *out == SCENARIO_GROUPS || i < sc->groups;
}

/* What follows word k, a verb or figure, by its table; the word after it, or 0. */
static size_t what(struct line *l, size_t k, const struct word *table, size_t n,
		   unsigned *which, struct scenario_what *out)
{
	size_t i = 0;

	while (l->word[k] && i < n && strcmp(table[i].name, l->word[k]) != 0)
		i++;
	if (!l->word[k++] || i == n)
		return 0;
	*which = (unsigned)i;
	for (const char *a = table[i].args; *a; a++, k++)
		if (*a == 'g'   ? !group(l->sc, l->word[k], &out->group)
		    : *a == 'c' ? !cpus(l->sc, l->word[k], &out->cpus)
				: !load(l->word[k], &out->load))
			return 0;
	return k;
}

/* ---- statements; each returns whether the line is valid ------------------------------- */

static bool read_pcpus(struct line *l)
{
	struct scenario *sc = l->sc;
	size_t k = 2;

	if (sc->pcpus || !number(l->word[1], 1, PCPUS, &sc->pcpus))
		return false;
	if (l->word[k] && strcmp(l->word[k], "threads") == 0) {
		sc->threads = true;
		k++;
	}
	if (l->word[k] && strcmp(l->word[k], "nodes") == 0) {
		if (!number(l->word[k + 1], 1, sc->pcpus, &sc->nodes))
			return false;
		k += 2;
	}
	return k == l->n && !(sc->threads && sc->pcpus % 2);
}

static bool read_seeds(struct line *l)
{
	return l->n == 2 && number(l->word[1], 1, 100, &l->sc->seeds);
}

static bool read_sticky(struct line *l)
{
	return l->n == 2 && number_parse(l->word[1], 0, 1, &l->sc->sticky) == 0;
}

static bool read_no_delay(struct line *l)
{
	l->sc->no_delay = true;
	return l->n == 1;
}

static bool read_dry(struct line *l)
{
	return l->n == 2 && number(l->word[1], 1, INTERVALS, &l->sc->dry);
}

static bool read_place_unpinned(struct line *l)
{
	l->sc->place_unpinned = true;
	return l->n == 1;
}

static bool read_ticks(struct line *l)
{
	l->sc->ticks = true;
	return l->n == 1;
}

static bool read_speed(struct line *l)
{
	l->sc->told = l->n == 4 && strcmp(l->word[3], "told") == 0;
	return (l->n == 3 || l->sc->told) && cpus(l->sc, l->word[1], &l->sc->slow) &&
	       number_parse(l->word[2], 0.01, 1, &l->sc->speed) == 0;
}

/* From word k on: guests|tasks NAME N load LOAD ... */
static bool add_guests(struct line *l, size_t k, unsigned at)
{
	struct scenario *sc = l->sc;
	struct scenario_group *g = &sc->group[sc->groups];
	size_t same;
	bool loaded = false;

	if (sc->pcpus == 0 || sc->groups == SCENARIO_GROUPS || l->n < k + 3 ||
	    strlen(l->word[k + 1]) >= SCENARIO_NAME || group(sc, l->word[k + 1], &same))
		return false;
	g->at = at;
	g->tasks = strcmp(l->word[k], "tasks") == 0;
	g->vcpus = 1;
	strcpy(g->name, l->word[k + 1]);
	if (!number(l->word[k + 2], 1, 64, &g->count))
		return false;
	for (k += 3; k < l->n; k += 2) {
		const char *key = l->word[k];
		char *value = l->word[k + 1];

		if (strcmp(key, "load") == 0          ? !(loaded = load(value, &g->load))
		    : strcmp(key, "on") == 0          ? !cpus(sc, value, &g->on)
		    : g->tasks                        ? true
		    : strcmp(key, "vcpus") == 0       ? !number(value, 1, 16, &g->vcpus)
		    : strcmp(key, "allowed") == 0     ? !cpus(sc, value, &g->allowed)
		    : strcmp(key, "memory") == 0      ? !cpus(sc, value, &g->memory)
		    : strcmp(key, "interleaved") == 0 ? !cpus(sc, value, &g->interleaved)
		    : strcmp(key, "cells") == 0       ? !number(value, 1, 16, &g->cells)
						      : true)
			return false;
	}
	sc->groups++;
	sc->vcpus += g->count * g->vcpus;
	return loaded && sc->vcpus <= SCENARIO_VCPUS;
}

static bool read_guests(struct line *l)
{
	return add_guests(l, 0, 1);
}

static void lasts(struct scenario *sc, unsigned interval)
{
	sc->last = interval > sc->last ? interval : sc->last;
}

static bool read_at(struct line *l)
{
	struct scenario *sc = l->sc;
	struct scenario_event *e = &sc->event[sc->events];
	unsigned which, at;

	if (!number(l->word[1], 1, INTERVALS, &at) || l->n < 3)
		return false;
	lasts(sc, at);
	if (strcmp(l->word[2], "guests") == 0 || strcmp(l->word[2], "tasks") == 0)
		return add_guests(l, 2, at);
	if (sc->events == SCENARIO_EVENTS ||
	    what(l, 2, verbs, COUNT(verbs), &which, &e->what) != l->n)
		return false;
	e->at = at;
	e->verb = (enum scenario_verb)which;
	sc->events++;
	return true;
}

static bool read_expect(struct line *l)
{
	struct scenario *sc = l->sc;
	struct scenario_expect *e = &sc->expect[sc->expects];
	unsigned which;
	size_t k;
	char *last;

	if (sc->expects == SCENARIO_EXPECTS)
		return false;
	k = what(l, 1, figures, COUNT(figures), &which, &e->what);
	if (k == 0 || l->n != k + 4 || strcmp(l->word[k + 2], "in") != 0)
		return false;
	if (strcmp(l->word[k], "=") && strcmp(l->word[k], "<=") && strcmp(l->word[k], ">="))
		return false;
	e->figure = (enum scenario_figure)which;
	e->op = l->word[k][0];
	e->line = l->number;
	last = strchr(l->word[k + 3], '-');
	if (last)
		*last++ = '\0';
	if (number_parse(l->word[k + 1], 0, INTERVALS, &e->value) < 0 ||
	    !number(l->word[k + 3], 1, INTERVALS, &e->first) ||
	    !number(last ? last : l->word[k + 3], e->first, INTERVALS, &e->last))
		return false;
	lasts(sc, e->last);
	sc->expects++;
	return true;
}

static const struct {
	const char *name;
	bool (*read)(struct line *l);
	const char *valid;
} statements[] = {
	{ "pcpus", read_pcpus, "pcpus 1..64 [threads] [nodes N], once, threads in pairs" },
	{ "seeds", read_seeds, "seeds 1..100" },
	{ "sticky", read_sticky, "sticky 0..1" },
	{ "no-delay", read_no_delay, "no-delay" },
	{ "dry", read_dry, "dry 1..20000" },
	{ "guests", read_guests,
	  "guests NEW_NAME 1..64 load LOAD [vcpus 1..16] [on LIST] [allowed LIST] "
	  "[memory|interleaved LIST] [cells 1..16], after pcpus; "
	  "1024 vCPUs in all" },
	{ "tasks", read_guests, "tasks NEW_NAME 1..64 load LOAD [on LIST], after pcpus" },
	{ "place-unpinned", read_place_unpinned, "place-unpinned" },
	{ "ticks", read_ticks, "ticks" },
	{ "speed", read_speed, "speed LIST 0.01..1 [told], after pcpus" },
	{ "at", read_at,
	  "at 1..20000 load|allowed|end|busy|ready|tug|irq|offline|online ..., or guests, tasks ..." },
	{ "expect", read_expect,
	  "expect FIGURE [GUESTS] [LIST] =|<=|>= VALUE in 1..20000[-N]" },
};

static void split_words(struct line *l, char *text)
{
	char *rest;

	text[strcspn(text, "#")] = '\0';
	memset(l->word, 0, sizeof(l->word));
	l->n = 0;
	for (char *w = strtok_r(text, " \t", &rest); w && l->n < WORDS;
	     w = strtok_r(NULL, " \t", &rest))
		l->word[l->n++] = w;
}

static int read_line(struct line *l, char *error, size_t len)
{
	size_t i = 0;

	if (l->n == 0)
		return 0;
	while (i < COUNT(statements) && strcmp(statements[i].name, l->word[0]) != 0)
		i++;
	if (i < COUNT(statements) && statements[i].read(l))
		return 0;
	snprintf(
		error, len, "line %u: %.20s: valid is %s", l->number, l->word[0],
		i < COUNT(statements)
			? statements[i].valid
			: "pcpus, seeds, sticky, no-delay, dry, place-unpinned, ticks, speed, guests, "
			  "tasks, at, expect");
	return -1;
}

int scenario_parse(char *text, struct scenario *sc, char *error, size_t len)
{
	struct line l = { .sc = sc };

	memset(sc, 0, sizeof(*sc));
	sc->seeds = 1;
	sc->sticky = -1;
	for (char *next; text; text = next) {
		next = strchr(text, '\n');
		if (next)
			*next++ = '\0';
		l.number++;
		split_words(&l, text);
		if (read_line(&l, error, len) < 0)
			return -1;
	}
	if (sc->groups && sc->expects)
		return 0;
	snprintf(error, len, "line %u: a scenario has guests and expects something", l.number);
	return -1;
}
