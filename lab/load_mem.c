// SPDX-License-Identifier: MIT
/*
 * load_mem.c - the holder, a process that keeps its hold from profile to profile, and what the
 * guest itself sees of its memory
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "load.h"

#define PAGE          4096UL
#define PAGES_PER_MIB (1024 * 1024 / PAGE)
#define ARENA_PAGES   (64 * 1024 * PAGES_PER_MIB)
#define STEP_MS       20 /* grain of a growing or shrinking hold */
#define STEP_LATE_S   0.1
#define SAMPLE_MS     100 /* how often the least MemAvailable is looked for */

/* The number after a name in a file of /proc, -1 if it is not there. */
static long proc_number(const char *path, const char *name)
{
	char text[8192];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

	if (fd >= 0)
		close(fd);
	if (n <= 0)
		return -1;
	text[n] = '\0';
	const char *at = strstr(text, name);
	return at ? atol(at + strlen(name)) : -1;
}

static long available_kib(void)
{
	return proc_number("/proc/meminfo", "MemAvailable:");
}

struct step {
	double pages, pages_per_s; /* go to holding so much ... */
	double hold_s;             /* ... or, where this is not 0, stay as it is so long ... */
	double leave_mib;          /* ... or from now on grow only while more is available */
	double read_mib; /* ... or read so much of a disk, which fills the page cache */
};

/* Written to the holder's pipe as it is: less than PIPE_BUF, thus in one piece. */
struct profile {
	struct step steps[MAX_WORDS];
	int count;
};

struct holder {
	char *arena;
	double pages; /* held, with the fraction that the rate has earned since the last */
	struct profile profile;
	int step;
	double waited_s; /* in this step, if it is a hold */
	double leave_mib;
};

static pid_t holder_pid;
static int holder_pipe = -1;

static bool step_parse(const char *word, struct step *step)
{
	struct step s = { 0 };
	char end;

	if (sscanf(word, "hold:%lf%c", &s.hold_s, &end) == 1 && s.hold_s > 0)
		return *step = s, true;
	if (sscanf(word, "leave:%lf%c", &s.leave_mib, &end) == 1 && s.leave_mib > 0)
		return *step = s, true;
	if (sscanf(word, "read:%lf%c", &s.read_mib, &end) == 1 && s.read_mib > 0)
		return *step = s, true;
	if (sscanf(word, "%lf@%lf%c", &s.pages, &s.pages_per_s, &end) != 2)
		return false;
	s.pages *= PAGES_PER_MIB;
	s.pages_per_s *= PAGES_PER_MIB;
	if (!(s.pages >= 0 && s.pages <= ARENA_PAGES && s.pages_per_s > 0))
		return false;
	return *step = s, true;
}

/* No two pages alike and none empty, so that no host can merge or compress them away. */
static void page_fill(char *page, uint64_t number)
{
	uint64_t *word = (uint64_t *)(void *)page;

	for (size_t i = 0; i < PAGE / sizeof(*word); i++)
		word[i] = (number + 1) * 0x9e3779b97f4a7c15u + i;
}

static void hold_pages(struct holder *h, double want)
{
	size_t from = (size_t)h->pages, to = (size_t)want;

	for (size_t i = from; i < to; i++)
		page_fill(h->arena + i * PAGE, i);
	if (to < from)
		madvise(h->arena + to * PAGE, (from - to) * PAGE, MADV_DONTNEED);
	h->pages = want;
	board->held_mib = (long)(to / PAGES_PER_MIB);
}

/*
 * A RAM disk that nobody wrote to takes no memory itself, and what was read of it is cached for
 * as long as it is open.
 */
static void disk_read(double mib)
{
	static char piece[1 << 16];
	static int disk = -1;
	double left = mib * 1024 * 1024;
	ssize_t n;

	if (disk < 0)
		disk = open("/dev/ram0", O_RDONLY | O_CLOEXEC);
	while (disk >= 0 && left > 0 && (n = read(disk, piece, sizeof(piece))) > 0)
		left -= (double)n;
}

/* True when the step is done. A starved holder falls behind its rate; it never makes up for it
 * in a burst. */
static bool step_advance(struct holder *h, const struct step *s, double dt_s)
{
	double most = s->pages_per_s * (dt_s < STEP_LATE_S ? dt_s : STEP_LATE_S);
	double delta = s->pages - h->pages;

	if (s->hold_s > 0)
		return (h->waited_s += dt_s) >= s->hold_s;
	if (s->read_mib > 0)
		return disk_read(s->read_mib), true;
	if (s->leave_mib > 0)
		return h->leave_mib = s->leave_mib, true;
	if (delta > 0 && (double)available_kib() / 1024 < h->leave_mib)
		return false;
	if (delta > most || delta < -most)
		return hold_pages(h, h->pages + (delta > 0 ? most : -most)), false;
	return hold_pages(h, s->pages), true;
}

static void holder_run(int profiles)
{
	struct holder h = { 0 };
	int64_t last = 0;

	/* A huge page would grow the hold by 2 MiB at a touch, and give nothing back until the
	 * last of its pages is freed. */
	prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
	h.arena = mmap(NULL, ARENA_PAGES * PAGE, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	for (;;) {
		struct pollfd pfd = { .fd = profiles, .events = POLLIN };

		if (poll(&pfd, 1, h.step < h.profile.count ? STEP_MS : -1) > 0) {
			if (read(profiles, &h.profile, sizeof(h.profile)) <= 0)
				_exit(0);
			h.step = 0;
			h.waited_s = h.leave_mib = 0;
			last = load_now_ns();
		}
		int64_t now = load_now_ns();
		if (h.step < h.profile.count && step_advance(&h, &h.profile.steps[h.step],
							     (double)(now - last) / NS_PER_S)) {
			h.step++;
			h.waited_s = 0;
		}
		last = now;
	}
}

static void holder_start(void)
{
	int ends[2];

	if (holder_pid || pipe2(ends, O_CLOEXEC))
		return;
	holder_pid = fork();
	if (!holder_pid) {
		close(ends[1]);
		holder_run(ends[0]);
	}
	close(ends[0]);
	holder_pipe = ends[1];
}

/* The OOM killer takes the holder first, and with it all that it held. */
static void holder_reap(void)
{
	if (!holder_pid || waitpid(holder_pid, NULL, WNOHANG) != holder_pid)
		return;
	close(holder_pipe);
	holder_pid = 0;
	board->held_mib = 0;
}

static bool sampling; /* from the first profile on: it takes 1.5 % of an emulated CPU */
static long min_available_kib;

void mem_sample(void)
{
	long kib = available_kib();

	if (kib >= 0 && (min_available_kib < 0 || kib < min_available_kib))
		min_available_kib = kib;
}

int mem_sample_due_ms(void)
{
	return sampling ? SAMPLE_MS : -1;
}

/* mem STEP... */
const char *command_mem(int n, char **arg)
{
	struct profile profile = { .count = n };

	if (!n)
		return "error: mem STEP...";
	for (int i = 0; i < n; i++)
		if (!step_parse(arg[i], &profile.steps[i]))
			return "error: a STEP is MIB@RATE, hold:SECONDS, leave:MIB or read:MIB";
	holder_reap();
	holder_start();
	if (write(holder_pipe, &profile, sizeof(profile)) < 0)
		return "error: no process to hold memory";
	sampling = true;
	min_available_kib = -1;
	mem_sample();
	return "ok";
}

const char *command_ask(void)
{
	static char text[MAX_LINE];
	char percents[MAX_VCPUS * 4 + 1] = "";
	uint64_t work = 0;
	int at = 0;

	for (int k = 0; k < vcpu_count(); k++) {
		at += sprintf(percents + at, "%s%d", k ? "," : "", vcpu_percent(k));
		work += board->chunks[k];
	}
	holder_reap();
	if (sampling)
		mem_sample();
	snprintf(text, sizeof(text),
		 "up=%lld cpu=%s work=%llu held_mib=%ld free_mib=%ld read_mib=%ld "
		 "available_mib=%ld min_available_mib=%ld oom=%d",
		 (long long)(load_now_ns() / NS_PER_S), percents, (unsigned long long)work,
		 board->held_mib, proc_number("/proc/meminfo", "MemFree:") / 1024,
		 proc_number("/proc/meminfo", "Buffers:") / 1024, available_kib() / 1024,
		 (sampling ? min_available_kib : available_kib()) / 1024,
		 proc_number("/proc/vmstat", "\noom_kill ") > 0);
	return text;
}
