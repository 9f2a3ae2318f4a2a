// SPDX-License-Identifier: MIT
/*
 * load: the workload of a lab guest, and both ends of its control port.
 *
 *	load guest			in the guest, as PID 1: obey the lines of ttyS1
 *	load ask SOCKET WORD...		on the host: send a line, print the answer
 *
 * A line is "#TAG WORD...", its answer "#TAG text". The host repeats a line until the answer
 * with its tag comes: a booting guest hears nothing, and a UART that nobody reads keeps scraps.
 */
#define _GNU_SOURCE
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#define CONTROL_PORT "/dev/ttyS1"
#define MAX_VCPUS    64
#define MAX_LINE     1024
#define MAX_WORDS    64

#define NS_PER_S  1000000000LL
#define NS_PER_MS 1000000LL

/* A burst and its pause take this long together, drawn anew each time so that guests do not
 * lock into one phase: a few scheduler slices, and many to a sampling interval of vmbal's. */
#define PERIOD_MIN_NS (20 * NS_PER_MS)
#define PERIOD_MAX_NS (50 * NS_PER_MS)
#define BACKLOG_NS    NS_PER_S /* what an open-loop load lets pile up before it drops work */

/* Chunks far shorter than a scheduler slice: even with eight guests on one pCPU most of them
 * run undisturbed. The lower quartile of many is the speed of a CPU of one's own; the mean is
 * not, and a guest under emulation has no steal time to correct it by. */
#define CHUNK_NS (200 * 1000LL)
#define CHUNKS   200

#define PAGE          4096UL
#define PAGES_PER_MIB (1024 * 1024 / PAGE)
#define ARENA_PAGES   (64 * 1024 * PAGES_PER_MIB)
#define STEP_MS       20 /* grain of a growing or shrinking hold */
#define STEP_LATE_S   0.1
#define SAMPLE_MS     100 /* how often the least MemAvailable is looked for */

/* Shared by the control process, the burners and the holder, each number with one writer. */
struct board {
	uint64_t work_us[MAX_VCPUS]; /* done since boot, in us of an undisturbed CPU */
	long held_mib;
};

static struct board *board;

static int guest_main(void);
static int host_ask(const char *path, char **words);

int main(int argc, char **argv)
{
	if (argc == 2 && !strcmp(argv[1], "guest"))
		return guest_main();
	if (argc >= 4 && !strcmp(argv[1], "ask"))
		return host_ask(argv[2], argv + 3);
	fprintf(stderr, "usage: load guest | load ask SOCKET WORD...\n");
	return 2;
}

static int64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * NS_PER_S + ts.tv_nsec;
}

static void sleep_ns(int64_t ns)
{
	struct timespec ts = { .tv_sec = ns / NS_PER_S, .tv_nsec = ns % NS_PER_S };

	if (ns > 0)
		nanosleep(&ts, NULL);
}

/* Split in place, at blanks; the list ends with NULL. */
static int split(char *line, char **words)
{
	char *save = NULL;
	int n = 0;

	for (char *w = strtok_r(line, " \r\n", &save); w && n < MAX_WORDS - 1;
	     w = strtok_r(NULL, " \r\n", &save))
		words[n++] = w;
	words[n] = NULL;
	return n;
}

/* ---- CPU: a burner per vCPU, a process that each command ends and begins anew ---- */

struct burner {
	pid_t pid;
	int percent;
};

static struct burner burners[MAX_VCPUS];

static void burn(uint64_t turns)
{
	for (uint64_t i = 0; i < turns; i++)
		__asm__ volatile("" : "+r"(i)); /* or the compiler proves the loop away */
}

static int by_size(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

/* How long that many turns take on an undisturbed CPU. */
static int64_t undisturbed_ns(uint64_t turns, int tries)
{
	int64_t took[CHUNKS] = { 0 };

	for (int i = 0; i < tries; i++) {
		int64_t t0 = now_ns();
		burn(turns);
		took[i] = now_ns() - t0;
	}
	qsort(took, (size_t)tries, sizeof(took[0]), by_size);
	return took[tries / 4];
}

static double turns_per_ns(void)
{
	uint64_t turns = 1000;

	while (undisturbed_ns(turns, 8) < CHUNK_NS)
		turns *= 2;
	return (double)turns / (double)undisturbed_ns(turns, CHUNKS);
}

static int64_t random_period_ns(void)
{
	static uint64_t x;

	if (!x)
		x = (uint64_t)now_ns() * 0x9e3779b97f4a7c15u | 1;
	x ^= x << 13, x ^= x >> 7, x ^= x << 17;
	return PERIOD_MIN_NS + (int64_t)(x % (uint64_t)(PERIOD_MAX_NS - PERIOD_MIN_NS));
}

/*
 * Closed loop: the pause follows the burst, however long the burst took; a starved guest asks
 * for less. Open loop: bursts come due by the clock, and a starved guest falls behind.
 *
 * Measured under emulation: a vCPU uses 12.7 % for 12, 31.4 for 30 and 62.7 for 60, by its
 * wake-ups and ticks. The kernel wakes once more in each pause, at the tick after it began; on
 * a full pCPU that wake queues, and the rest of the pause looks like waiting: with eight guests
 * on one pCPU, run / (1 - wait) was .80 to .84 for the 60 % and .46 for the 30 % ones.
 */
static void burner_run(int vcpu, int percent, bool open)
{
	double speed = turns_per_ns();
	int64_t due = now_ns();

	for (;;) {
		int64_t period = random_period_ns();
		int64_t work = period * percent / 100;

		burn((uint64_t)((double)work * speed));
		board->work_us[vcpu] += (uint64_t)work / 1000;
		if (percent == 100)
			continue;
		due += period;
		if (due < now_ns() - BACKLOG_NS)
			due = now_ns() - BACKLOG_NS;
		sleep_ns(open ? due - now_ns() : period - work);
	}
}

static void burner_stop(struct burner *b)
{
	if (b->pid > 0) {
		kill(b->pid, SIGKILL);
		waitpid(b->pid, NULL, 0);
	}
	*b = (struct burner){ 0 };
}

static void burner_start(int vcpu, int percent, bool open)
{
	struct burner *b = &burners[vcpu];
	cpu_set_t set;

	burner_stop(b);
	if (!percent)
		return;
	b->percent = percent;
	b->pid = fork();
	if (b->pid)
		return;
	CPU_ZERO(&set);
	CPU_SET((size_t)vcpu, &set);
	sched_setaffinity(0, sizeof(set), &set);
	burner_run(vcpu, percent, open);
}

static int vcpu_count(void)
{
	long n = sysconf(_SC_NPROCESSORS_ONLN);

	return n < MAX_VCPUS ? (int)n : MAX_VCPUS;
}

/* cpu PERCENT VCPU|all closed|open */
static const char *command_cpu(int n, char **arg)
{
	if (n != 3)
		return "error: cpu PERCENT VCPU|all closed|open";
	int percent = atoi(arg[0]);
	bool all = !strcmp(arg[1], "all");
	int first = all ? 0 : atoi(arg[1]);
	int last = all ? vcpu_count() - 1 : first;

	if (percent < 0 || percent > 100 || !isdigit(arg[0][0]))
		return "error: PERCENT must be 0 to 100";
	if (first < 0 || last >= vcpu_count())
		return "error: no such vCPU";
	for (int k = first; k <= last; k++)
		burner_start(k, percent, !strcmp(arg[2], "open"));
	return "ok";
}

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

/* ---- memory: the holder, a process that keeps its hold from profile to profile ---- */

struct step {
	double pages, pages_per_s; /* go to holding so much ... */
	double hold_s;             /* ... or, where this is not 0, stay as it is so long ... */
	double leave_mib;          /* ... or from now on grow only while more is available */
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

/* True when the step is done. A starved holder falls behind its rate; it never makes up for it
 * in a burst. */
static bool step_advance(struct holder *h, const struct step *s, double dt_s)
{
	double most = s->pages_per_s * (dt_s < STEP_LATE_S ? dt_s : STEP_LATE_S);
	double delta = s->pages - h->pages;

	if (s->hold_s > 0)
		return (h->waited_s += dt_s) >= s->hold_s;
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
			last = now_ns();
		}
		int64_t now = now_ns();
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

/* ---- the guest's own view ---- */

static bool sampling; /* from the first profile on: it takes 1.5 % of an emulated CPU */
static long min_available_kib;

static void sample(void)
{
	long kib = available_kib();

	if (kib >= 0 && (min_available_kib < 0 || kib < min_available_kib))
		min_available_kib = kib;
}

/* mem STEP... */
static const char *command_mem(int n, char **arg)
{
	struct profile profile = { .count = n };

	if (!n)
		return "error: mem STEP...";
	for (int i = 0; i < n; i++)
		if (!step_parse(arg[i], &profile.steps[i]))
			return "error: a STEP is MIB@RATE, hold:SECONDS or leave:MIB";
	holder_reap();
	holder_start();
	if (write(holder_pipe, &profile, sizeof(profile)) < 0)
		return "error: no process to hold memory";
	sampling = true;
	min_available_kib = -1;
	sample();
	return "ok";
}

static const char *command_ask(void)
{
	static char text[MAX_LINE];
	char percents[MAX_VCPUS * 4 + 1] = "";
	uint64_t work_us = 0;
	int at = 0;

	for (int k = 0; k < vcpu_count(); k++) {
		at += sprintf(percents + at, "%s%d", k ? "," : "", burners[k].percent);
		work_us += board->work_us[k];
	}
	holder_reap();
	if (sampling)
		sample();
	snprintf(text, sizeof(text),
		 "up=%lld cpu=%s work_ms=%llu held_mib=%ld free_mib=%ld available_mib=%ld "
		 "min_available_mib=%ld oom=%d",
		 (long long)(now_ns() / NS_PER_S), percents,
		 (unsigned long long)(work_us / 1000), board->held_mib,
		 proc_number("/proc/meminfo", "MemFree:") / 1024, available_kib() / 1024,
		 (sampling ? min_available_kib : available_kib()) / 1024,
		 proc_number("/proc/vmstat", "\noom_kill ") > 0);
	return text;
}

/* ---- control: the guest's end ---- */

static const char *obey(char *words)
{
	char *word[MAX_WORDS];
	int n = split(words, word);

	if (n && !strcmp(word[0], "cpu"))
		return command_cpu(n - 1, word + 1);
	if (n && !strcmp(word[0], "mem"))
		return command_mem(n - 1, word + 1);
	if (n && !strcmp(word[0], "ask"))
		return command_ask();
	return "error: unknown command";
}

/* A repeated line is answered again, but not obeyed again. */
static void answer(int port, char *line)
{
	static char last_tag[32], text[MAX_LINE + 64];
	char tag[32];
	int at = 0;

	if (sscanf(line, "#%31s %n", tag, &at) != 1 || !at)
		return;
	if (strcmp(tag, last_tag)) {
		strcpy(last_tag, tag);
		snprintf(text, sizeof(text), "#%s %s\n", tag, obey(line + at));
	}
	if (write(port, text, strlen(text)) < 0)
		perror("load: control port");
}

static int port_open(void)
{
	struct termios tio;
	int fd = open(CONTROL_PORT, O_RDWR | O_NOCTTY);

	if (fd < 0 || tcgetattr(fd, &tio))
		return -1;
	cfmakeraw(&tio);
	cfsetspeed(&tio, B115200);
	tio.c_cflag |= CLOCAL;
	return tcsetattr(fd, TCSANOW, &tio) ? -1 : fd;
}

static int guest_main(void)
{
	int port = port_open();
	char line[MAX_LINE];
	size_t len = 0;

	board = mmap(NULL, sizeof(*board), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		     -1, 0);
	if (port < 0 || board == MAP_FAILED) {
		perror("load: no control port");
		return 1; /* PID 1 ends: the kernel panics, and the console log shows why */
	}
	for (;;) {
		struct pollfd pfd = { .fd = port, .events = POLLIN };
		char c;

		if (!poll(&pfd, 1, sampling ? SAMPLE_MS : -1))
			sample();
		if (!(pfd.revents & POLLIN) || read(port, &c, 1) != 1)
			continue;
		if (c != '\n' && len < sizeof(line) - 1) {
			line[len++] = c;
			continue;
		}
		line[len] = '\0';
		len = 0;
		answer(port, line);
	}
}

/* ---- control: the host's end ---- */

/* QEMU serves one client at a time; the others wait in connect. */
static int host_connect(const char *path)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	struct timeval patience = { .tv_sec = 1 };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(to.sun_path, sizeof(to.sun_path), "%s", path);
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	if (!connect(fd, (struct sockaddr *)&to, sizeof(to)))
		return fd;
	close(fd);
	return -1;
}

/* True when the line with that tag came, within a second; text is what follows
 * the tag. */
static bool host_try(const char *path, const char *line, const char *tag, char *text)
{
	int fd = host_connect(path);
	FILE *port = fd < 0 ? NULL : fdopen(fd, "r");
	char *at = NULL, got[MAX_LINE + 64];

	if (!port)
		return false;
	if (write(fd, line, strlen(line)) > 0)
		while (!at && fgets(got, sizeof(got), port))
			at = strstr(got, tag);
	fclose(port);
	return at && strcpy(text, at + strlen(tag));
}

/* Asks until killed: see timeout(1). */
static int host_ask(const char *path, char **words)
{
	char tag[32], line[MAX_LINE], text[MAX_LINE + 64];
	size_t len;

	signal(SIGPIPE, SIG_IGN);
	snprintf(tag, sizeof(tag), "#%llx ", (unsigned long long)now_ns());
	len = (size_t)snprintf(line, sizeof(line), "\n%s", tag);
	for (; *words && len < sizeof(line); words++)
		len += (size_t)snprintf(line + len, sizeof(line) - len, "%s%c", *words,
					words[1] ? ' ' : '\n');
	if (len >= sizeof(line)) {
		fputs("too many words\n", stderr);
		return 2;
	}
	while (!host_try(path, line, tag, text))
		sleep_ns(100 * NS_PER_MS); /* not up yet, or gone */
	fputs(text, strncmp(text, "error", 5) ? stdout : stderr);
	return !strncmp(text, "error", 5);
}
