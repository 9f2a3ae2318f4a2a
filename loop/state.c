/*
 * state.c - what must outlive a crash: masks as they were found, and shrinks under way.
 *
 * A text file in the runtime directory, replaced as a whole whenever there is news:
 *
 *	vmbal state 1
 *	uri qemu:///system
 *	boot 6141c3be-386e-4bfb-9e49-6f91bdb0be9d
 *	pin UUID RUN VCPU FOUND ASKED BEFORE
 *	found UUID RUN VCPU FOUND
 *	shrink UUID RUN KIB
 *
 * RUN is libvirt's id of the guest's run, since a restarted guest is as it was defined.  A
 * daemon that was restarted as well may give the same guest the same id again.  That does no
 * harm: a mask is put back only where one of ours still stands, on what this guest once had,
 * and a shrink is taken back by telling the guest to keep what it holds.  ASKED is the mask
 * last asked for and BEFORE the last one that was seen to be taken: the line is written before
 * the pin is made, so that a crash, or a refusal, may leave either.  A vCPU that was not pinned
 * yet has a line "found" where what it was found with is what is allowed.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host/log.h"
#include "host/options.h"
#include "host/proc.h"
#include "host/runtime.h"
#include "lib/array.h"
#include "lib/cpuset.h"
#include "lib/units.h"
#include "lib/uuid.h"
#include "loop/state.h"

#define STATE_MAX (4UL << 20) /* bytes: tens of thousands of vCPUs */
#define VCPU_MAX  65535
#define FIELDS    7
#define MASK_TEXT (PCPU_MAX / 2 * 5 + 32) /* bytes: every second pCPU */
#define HEAD      "vmbal state 1"

/* ---- the text ---- */

static int whole_parse(const char *s, uint64_t min, uint64_t max, uint64_t *out)
{
	size_t digits = strspn(s, "0123456789");
	uint64_t value;

	if (digits == 0 || digits > 15 || s[digits])
		return -1;
	value = strtoull(s, NULL, 10);
	if (value < min || value > max)
		return -1;
	*out = value;
	return 0;
}

/* "pin", or with no more than the mask it was found with, "found". */
static int pin_parse(char **field, size_t n, struct mark *m)
{
	bool pinned = strcmp(field[0], "pin") == 0;
	uint64_t run, vcpu;

	if (n != (pinned ? 7 : 5) || uuid_parse(field[1], m->uuid) < 0 ||
	    whole_parse(field[2], 0, UINT_MAX, &run) < 0 ||
	    whole_parse(field[3], 0, VCPU_MAX, &vcpu) < 0 ||
	    cpuset_parse(field[4], &m->found) < 0)
		return -1;
	if (pinned && (cpuset_parse(field[5], &m->asked[0]) < 0 ||
		       cpuset_parse(field[6], &m->asked[1]) < 0))
		return -1;
	m->run = (unsigned)run;
	m->vcpu = (unsigned)vcpu;
	return 0;
}

static int shrink_parse(char **field, size_t n, struct mark *m)
{
	uint64_t run;

	if (n != 4 || uuid_parse(field[1], m->uuid) < 0 ||
	    whole_parse(field[2], 0, UINT_MAX, &run) < 0 ||
	    whole_parse(field[3], 1, SIZE_MAX_KIB, &m->target_kib) < 0)
		return -1;
	m->run = (unsigned)run;
	return 0;
}

static int line_parse(char *line, struct mark *m)
{
	char *field[FIELDS + 1];
	size_t n = 0;

	do
		field[n++] = strsep(&line, " ");
	while (line && n <= FIELDS);
	memset(m, 0, sizeof(*m));
	if (strcmp(field[0], "pin") == 0 || strcmp(field[0], "found") == 0)
		return pin_parse(field, n, m);
	if (strcmp(field[0], "shrink") == 0)
		return shrink_parse(field, n, m);
	return -1;
}

static int mark_order(const struct mark *m, const unsigned char *uuid, unsigned vcpu)
{
	int order = memcmp(m->uuid, uuid, UUID_LEN);

	return order ? order : (m->vcpu > vcpu) - (m->vcpu < vcpu);
}

/* The lines after the header: in order, each vCPU once. */
static int marks_parse(char *text, struct marks *marks)
{
	char *line;

	while ((line = strsep(&text, "\n")) && text) {
		struct mark *m;

		if (array_reserve(&marks->mark, &marks->cap, marks->n + 1, sizeof(*m)) < 0)
			return -1;
		m = &marks->mark[marks->n];
		if (line_parse(line, m) < 0)
			return -1;
		if (marks->n && mark_order(&m[-1], m->uuid, m->vcpu) >= 0)
			return -1;
		marks->n++;
	}
	return line && *line ? -1 : 0; /* the last line ends, too */
}

/* One line of the header; NULL where it is not "key value". */
static const char *head_value(char **text, const char *key)
{
	char *line = strsep(text, "\n");
	size_t len = strlen(key);

	return line && *text && strncmp(line, key, len) == 0 && line[len] == ' '
		       ? line + len + 1
		       : NULL;
}

static const char *copy_parse(char *text, const char *uri, const char *boot,
			      struct marks *marks)
{
	const char *head = strsep(&text, "\n");
	const char *of_uri, *of_boot;

	if (!text || strcmp(head, HEAD) != 0)
		return "it does not begin with '" HEAD "'";
	of_uri = head_value(&text, "uri");
	of_boot = of_uri ? head_value(&text, "boot") : NULL;
	if (!of_boot)
		return "its header is not whole";
	if (strcmp(of_uri, uri) != 0)
		return "it is of another connection";
	if (strcmp(of_boot, boot) != 0)
		return NULL; /* void */
	return marks_parse(text, marks) < 0 ? "a line of it cannot be read" : NULL;
}

int state_parse(const char *text, size_t len, const char *uri, const char *boot,
		struct marks *out, const char **error)
{
	struct marks marks = { 0 };
	char *copy = memchr(text, '\0', len) ? NULL : strndup(text, len);

	*error = copy ? copy_parse(copy, uri, boot, &marks) : "it is no text";
	free(copy);
	if (*error) {
		free(marks.mark);
		return -1;
	}
	*out = marks;
	return 0;
}

static bool was_pinned(const struct mark *m)
{
	return cpuset_count(&m->asked[0]) > 0;
}

static void mark_print(FILE *f, const struct mark *m)
{
	const struct cpuset *masks[] = { &m->found, &m->asked[0], &m->asked[1] };
	size_t n = m->target_kib ? 0 : was_pinned(m) ? 3 : 1;
	char text[MASK_TEXT];

	fputs(n == 0 ? "shrink " : n == 1 ? "found " : "pin ", f);
	uuid_print(f, m->uuid);
	fprintf(f, " %u", m->run);
	if (m->target_kib)
		fprintf(f, " %llu", (unsigned long long)m->target_kib);
	else
		fprintf(f, " %u", m->vcpu);
	for (size_t i = 0; i < n; i++)
		fprintf(f, " %s", cpuset_text(masks[i], text, sizeof(text)));
	fputc('\n', f);
}

/* ---- the file ---- */

/* What is not to be trusted is kept for the operator to look at, and not read again. */
static void set_aside(struct state *s, const char *why)
{
	char bad[RUNTIME_PATH_LEN + 8];

	snprintf(bad, sizeof(bad), "%s.bad", s->path);
	s->refused = true;
	if (s->readonly || rename(s->path, bad))
		log_msg(LOG_PRIO_ERR, "%s is not used: %s", s->path, why);
	else
		log_msg(LOG_PRIO_ERR, "%s is not used: %s; it is %s now", s->path, why, bad);
}

static void adopt(struct state *s)
{
	const char *error;
	char *text = NULL;
	size_t len = 0;

	if (access(s->path, F_OK) && errno == ENOENT)
		return;
	error = runtime_read(s->path, STATE_MAX, &text, &len);
	if (!error)
		state_parse(text, len, s->uri, s->boot, &s->marks, &error);
	if (error)
		set_aside(s, error);
	free(text);
}

void state_open(struct state *s, const struct options *opt, const char *kind)
{
	memset(s, 0, sizeof(*s));
	s->uri = opt->uri;
	s->readonly = opt->dry_run;
	if (!opt->runtime_dir)
		return;
	if (proc_boot_id(s->boot) < 0)
		snprintf(s->boot, sizeof(s->boot), "unknown");
	if (runtime_path(opt->runtime_dir, opt->uri, kind, s->path, sizeof(s->path)) < 0) {
		log_msg(LOG_PRIO_WARNING, "no state is kept: the URI is too long");
		s->path[0] = '\0';
	} else {
		adopt(s);
	}
}

void state_close(struct state *s)
{
	free(s->marks.mark);
	memset(s, 0, sizeof(*s));
}

static void state_print(FILE *f, const void *arg)
{
	const struct state *s = arg;

	fprintf(f, HEAD "\nuri %s\nboot %s\n", s->uri, s->boot);
	for (size_t i = 0; i < s->marks.n; i++)
		mark_print(f, &s->marks.mark[i]);
}

int state_save(struct state *s)
{
	char why[128];
	int result;

	if (!s->changed || !s->path[0] || s->readonly)
		return 0;
	result = s->marks.n ? runtime_replace(s->path, state_print, s) : unlink(s->path);
	if (result < 0 && s->marks.n == 0 && errno == ENOENT) {
		s->changed = false; /* there is no file, as there should be none */
		return 0;
	}
	snprintf(why, sizeof(why), "%s: what cannot be put back after a crash is not done",
		 strerror(errno));
	log_change(&s->unsaved, result < 0, s->path, why);
	s->changed = result < 0; /* the next tick tries again */
	return result;
}

/* ---- what is kept ---- */

static size_t mark_place(const struct marks *marks, const unsigned char *uuid, unsigned vcpu)
{
	size_t low = 0, high = marks->n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (mark_order(&marks->mark[mid], uuid, vcpu) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

/* The vCPU's mark in this run of its guest, a new one if need be; NULL: no memory. */
static struct mark *mark_of(struct state *s, const unsigned char *uuid, unsigned run,
			    unsigned vcpu)
{
	struct marks *all = &s->marks;
	size_t at = mark_place(all, uuid, vcpu);
	struct mark *m;

	if (at == all->n || mark_order(&all->mark[at], uuid, vcpu) != 0) {
		if (array_reserve(&all->mark, &all->cap, all->n + 1, sizeof(*m)) < 0)
			return NULL;
		memmove(&all->mark[at + 1], &all->mark[at], (all->n - at) * sizeof(*m));
		all->n++;
	} else if (all->mark[at].run == run) {
		return &all->mark[at];
	}
	m = &all->mark[at];
	memset(m, 0, sizeof(*m));
	memcpy(m->uuid, uuid, UUID_LEN);
	m->run = run;
	m->vcpu = vcpu;
	return m;
}

int state_pin(struct state *s, const unsigned char *uuid, unsigned run, unsigned vcpu,
	      const struct cpuset *found, const struct cpuset *live, const struct cpuset *asked)
{
	struct mark *m = mark_of(s, uuid, run, vcpu);

	if (!m)
		return -1;
	if (cpuset_count(&m->found) == 0)
		m->found = *found;
	if (!was_pinned(m)) {
		m->asked[1] = *asked;
	} else if (cpuset_equal(&m->asked[0], asked)) {
		return 0;
	} else if (cpuset_equal(&m->asked[0], live)) { /* it was not only asked for */
		m->asked[1] = m->asked[0];
	}
	m->asked[0] = *asked;
	s->changed = true;
	return 0;
}

int state_found(struct state *s, const unsigned char *uuid, unsigned run, unsigned vcpu,
		const struct cpuset *now, struct cpuset *first)
{
	struct mark *m = mark_of(s, uuid, run, vcpu);

	if (!m)
		return -1;
	if (cpuset_count(&m->found) == 0) {
		m->found = *now;
		s->changed = true;
	}
	*first = m->found;
	return 0;
}

const struct cpuset *state_first(const struct state *s, const unsigned char *uuid, unsigned run,
				 unsigned vcpu)
{
	const struct marks *all = &s->marks;
	size_t at = mark_place(all, uuid, vcpu);

	if (at == all->n || mark_order(&all->mark[at], uuid, vcpu) || all->mark[at].run != run)
		return NULL;
	return &all->mark[at].found;
}

int state_shrink(struct state *s, const unsigned char *uuid, unsigned run, uint64_t target_kib)
{
	struct mark *m = mark_of(s, uuid, run, 0);

	if (!m)
		return -1;
	s->changed |= m->target_kib != target_kib;
	m->target_kib = target_kib;
	return 0;
}

void state_filter(struct state *s, bool (*keep)(const struct mark *, void *), void *arg)
{
	size_t kept = 0;

	for (size_t i = 0; i < s->marks.n; i++)
		if (keep(&s->marks.mark[i], arg))
			s->marks.mark[kept++] = s->marks.mark[i];
	s->changed |= kept < s->marks.n;
	s->marks.n = kept;
}
