/*
 * vmbal - keeps a KVM host's guests balanced.
 *
 * The story: the name we run under and the arguments choose one loop or both; main blocks
 * signals, starts a thread per loop on one shared libvirt connection, and waits for signals.
 */
#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "vmbal.h"

#define DEFAULT_URI     "qemu:///system"
#define INTERVAL_MIN_S  0.1
#define INTERVAL_MAX_S  86400
#define HOST_MIN_KIB    (256ULL << 10) /* --host-memory: less than the reserve is no host */
#define RESERVE_MIN_KIB (200ULL << 10) /* with less any Linux host is in trouble */
#define SIZE_MAX_KIB    (1ULL << 40)   /* a pebibyte */
#define OVERCOMMIT_MAX  10
#define GRACE_NS        800000000LL   /* a loop stuck in a call is left behind after this */
#define RESTORE_NS      500000000LL   /* of it, for putting masks back */
#define STUCK_NS        60000000000LL /* twice what libvirt waits for a job that holds a guest */
#define NS_PER_S        1000000000LL
#define STATUS_LEN      256 /* bytes */

enum exit_status {
	EXIT_DONE,
	EXIT_FAILED,
	EXIT_USAGE,
};

/* A loop: what it does each tick, and how often. */
struct loop {
	const char *name; /* the subcommand */
	const char *link; /* the name vmbal has when it is this loop alone */
	void *(*open)(struct virt *, const struct options *);
	int (*tick)(void *);
	void (*report)(const void *);
	const char *(*status)(const void *); /* a constant string */
	int (*restore)(void *, int64_t);     /* by a deadline; returns how much was not */
	void (*close)(void *);
	double *interval_s;
	unsigned (*ticks)(double); /* per interval */

	void *state;
	pthread_t thread;
	bool running; /* thread was started */
	bool failed;  /* --once: it could not decide */

	/* guarded by stop_lock */
	bool report_wanted;
	const char *doing;      /* its status, for the service manager */
	int64_t fresh_until_ns; /* later than this, it is stuck */
};

static struct options options = { .uri = DEFAULT_URI, .guests = "*", .overcommit = 1 };
static enum log_priority log_limit = LOG_PRIO_INFO;
static bool restore_only; /* the command is "restore" */

/* Guards stopping, loops_done and some of each loop; stop_cond tells the loops of news. */
static pthread_mutex_t stop_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t stop_cond;
static bool stopping;
static unsigned loops_done; /* with --once */

/* ---- the command table ---- */

static void *cpu_open(struct virt *virt, const struct options *opt)
{
	return cpu_loop_new(virt, opt);
}

static int cpu_tick(void *state)
{
	return cpu_loop_tick(state);
}

static void cpu_report(const void *state)
{
	cpu_loop_report(state);
}

static const char *cpu_status(const void *state)
{
	return cpu_loop_status(state);
}

static int cpu_restore(void *state, int64_t deadline_ns)
{
	return cpu_loop_restore(state, deadline_ns);
}

static void cpu_close(void *state)
{
	cpu_loop_free(state);
}

static void *mem_open(struct virt *virt, const struct options *opt)
{
	return mem_loop_new(virt, opt);
}

static int mem_tick(void *state)
{
	return mem_loop_tick(state);
}

static void mem_report(const void *state)
{
	mem_loop_report(state);
}

static const char *mem_status(const void *state)
{
	return mem_loop_status(state);
}

static int mem_restore(void *state, int64_t deadline_ns)
{
	(void)deadline_ns;
	return mem_loop_restore(state);
}

static void mem_close(void *state)
{
	int left = mem_loop_settle(state);

	if (left)
		log_msg(LOG_PRIO_WARNING,
			"mem: %d shrinks are not taken back: 'vmbal restore' can do it", left);
	mem_loop_free(state);
}

static unsigned once_per_interval(double interval_s)
{
	(void)interval_s;
	return 1;
}

static struct loop loops[] = {
	{ .name = "cpu",
	  .link = "vcpu_scheduler",
	  .open = cpu_open,
	  .tick = cpu_tick,
	  .report = cpu_report,
	  .status = cpu_status,
	  .restore = cpu_restore,
	  .close = cpu_close,
	  .interval_s = &options.cpu_interval_s,
	  .ticks = once_per_interval },
	{ .name = "mem",
	  .link = "memory_coordinator",
	  .open = mem_open,
	  .tick = mem_tick,
	  .report = mem_report,
	  .status = mem_status,
	  .restore = mem_restore,
	  .close = mem_close,
	  .interval_s = &options.mem_interval_s,
	  .ticks = mem_loop_watches },
};

#define NLOOPS (sizeof(loops) / sizeof(loops[0]))

static struct loop *loop_by_name(const char *name)
{
	for (size_t i = 0; i < NLOOPS; i++)
		if (strcmp(loops[i].name, name) == 0)
			return &loops[i];
	return NULL;
}

static struct loop *loop_by_link(const char *argv0)
{
	const char *slash = strrchr(argv0, '/');

	for (size_t i = 0; i < NLOOPS; i++)
		if (strcmp(loops[i].link, slash ? slash + 1 : argv0) == 0)
			return &loops[i];
	return NULL;
}

/* ---- arguments ---- */

enum {
	OPT_CPUS = 256,
	OPT_GRAIN,
	OPT_RESERVE,
	OPT_OVERCOMMIT,
	OPT_SURPLUS,
	OPT_RESTORE,
	OPT_METRICS
}; /* options without a letter */

static const struct option longs[] = {
	{ "connect", required_argument, NULL, 'c' },
	{ "guests", required_argument, NULL, 'g' },
	{ "host-memory", required_argument, NULL, 'm' },
	{ "cpus", required_argument, NULL, OPT_CPUS },
	{ "grain", required_argument, NULL, OPT_GRAIN },
	{ "host-reserve", required_argument, NULL, OPT_RESERVE },
	{ "overcommit", required_argument, NULL, OPT_OVERCOMMIT },
	{ "surplus", required_argument, NULL, OPT_SURPLUS },
	{ "metrics", required_argument, NULL, OPT_METRICS },
	{ "restore", no_argument, NULL, OPT_RESTORE },
	{ "dry-run", no_argument, NULL, 'n' },
	{ "once", no_argument, NULL, '1' },
	{ "verbose", no_argument, NULL, 'v' },
	{ "quiet", no_argument, NULL, 'q' },
	{ "help", no_argument, NULL, 'h' },
	{ "version", no_argument, NULL, 'V' },
	{ NULL, 0, NULL, 0 },
};

static const char usage_text[] =
	"usage: vmbal [options] cpu SECONDS [mem SECONDS]\n"
	"       vmbal [options] mem SECONDS [cpu SECONDS]\n"
	"       vmbal [-nqv] [-c URI] restore\n"
	"       vcpu_scheduler [options] SECONDS\n"
	"       memory_coordinator [options] SECONDS\n"
	"\n"
	"Balances the guests of a KVM host: every SECONDS (0.1 to 86400), cpu repins vCPUs so\n"
	"that all pCPUs carry a similar load, and mem moves memory between balloons.\n"
	"restore puts back, after the end or a crash, the masks that vCPUs were found with.\n"
	"\n"
	"  -c, --connect URI       libvirt connection (default " DEFAULT_URI ")\n"
	"  -g, --guests PATTERN    manage only guests whose name matches this shell pattern\n"
	"  -m, --host-memory SIZE  let the guests have this much between them, reserve included\n"
	"      --cpus LIST         give guests only these pCPUs, such as 2-7,10-15\n"
	"      --grain GRAIN       pin to one cpu (default), core, cache or node\n"
	"      --host-reserve SIZE keep this much memory for the host (default: by its size)\n"
	"      --overcommit RATIO  promise guests up to RATIO times what the host has (default 1)\n"
	"      --surplus TO        leave memory nobody needs to the host (default) or to guests\n"
	"      --metrics FILE      write figures for Prometheus to this .prom file\n"
	"      --restore           when ending, put vCPUs back on the masks they were found with\n"
	"  -n, --dry-run           show every decision and its reason, change nothing\n"
	"  -1, --once              end after one decision\n"
	"  -v, --verbose           log what is left alone as well\n"
	"  -q, --quiet             log only warnings and errors\n"
	"  -h, --help              show this\n"
	"  -V, --version           show the version\n";

static _Noreturn void wrong_usage(const char *what, const char *value, const char *valid)
{
	fprintf(stderr, "vmbal: %s '%s': %s\n", what, value, valid);
	exit(EXIT_USAGE);
}

static void interval_arg(const struct loop *loop, const char *s)
{
	char what[32];

	snprintf(what, sizeof(what), "%s SECONDS", loop->name);
	if (*loop->interval_s > 0)
		wrong_usage("argument", loop->name, "may be given once");
	if (number_parse(s, INTERVAL_MIN_S, INTERVAL_MAX_S, loop->interval_s) < 0)
		wrong_usage(what, s, "must be a decimal number from 0.1 to 86400");
}

/* What follows the options of a link: SECONDS, and nothing else. */
static void link_args(const struct loop *loop, int argc, char **argv)
{
	if (argc == 0)
		wrong_usage("missing argument", "SECONDS",
			    "must be a decimal number from 0.1 to 86400");
	interval_arg(loop, argv[0]);
	if (argc > 1)
		wrong_usage("unexpected argument", argv[1], "only SECONDS is taken");
}

/* What follows the options of vmbal: one or both loops, each with its SECONDS. */
static void command_args(int argc, char **argv)
{
	if (argc == 0)
		wrong_usage("missing argument", "COMMAND",
			    "must be cpu SECONDS, mem SECONDS, both, or restore");
	restore_only = strcmp(argv[0], "restore") == 0;
	if (restore_only && argc > 1)
		wrong_usage("unexpected argument", argv[1], "restore takes none");
	for (int i = 0; i < argc && !restore_only; i += 2) {
		const struct loop *loop = loop_by_name(argv[i]);

		if (!loop)
			wrong_usage("unknown command", argv[i], "must be cpu, mem or restore");
		if (i + 1 == argc)
			wrong_usage("missing SECONDS after", argv[i],
				    "must be a decimal number from 0.1 to 86400");
		interval_arg(loop, argv[i + 1]);
	}
}

static void cpus_arg(const char *list)
{
	static struct cpuset cpus;

	if (cpuset_parse(list, &cpus) < 0)
		wrong_usage("--cpus", list,
			    "must be a list of pCPUs below 4096, such as 0-3,8");
	options.cpus = &cpus;
}

static void grain_arg(const char *name)
{
	static const char *const names[] = { [GRAIN_CPU] = "cpu",
					     [GRAIN_CORE] = "core",
					     [GRAIN_CACHE] = "cache",
					     [GRAIN_NODE] = "node" };

	for (int i = GRAIN_CPU; i <= GRAIN_NODE; i++)
		if (strcmp(names[i], name) == 0) {
			options.grain = (enum grain)i;
			return;
		}
	wrong_usage("--grain", name, "must be cpu, core, cache or node");
}

static void size_arg(const char *what, uint64_t min_kib, uint64_t *out_kib)
{
	char valid[96];

	if (size_parse(optarg, min_kib, SIZE_MAX_KIB, out_kib) == 0)
		return;
	snprintf(valid, sizeof(valid), "must be a size from %lluMiB to 1024TiB, such as 4G",
		 (unsigned long long)min_kib / 1024);
	wrong_usage(what, optarg, valid);
}

static void overcommit_arg(const char *ratio)
{
	if (number_parse(ratio, 1, OVERCOMMIT_MAX, &options.overcommit) < 0)
		wrong_usage("--overcommit", ratio, "must be a number from 1 to 10");
}

static void surplus_arg(const char *to)
{
	options.surplus_to_guests = strcmp(to, "guests") == 0;
	if (!options.surplus_to_guests && strcmp(to, "host") != 0)
		wrong_usage("--surplus", to, "must be host or guests");
}

static void metrics_arg(const char *path)
{
	size_t len = strlen(path), end = strlen(".prom");

	if (len <= end || len >= RUNTIME_PATH_LEN - end ||
	    strcmp(path + len - end, ".prom") != 0)
		wrong_usage("--metrics", path,
			    "must be the path of a file whose name ends in .prom");
	options.metrics = path;
}

static _Noreturn void unknown_option(const char *arg)
{
	fprintf(stderr, "vmbal: unknown option '%s': must be one of", arg);
	for (const struct option *o = longs; o->name; o++) {
		fprintf(stderr, " --%s", o->name);
		if (o->val < OPT_CPUS)
			fprintf(stderr, " (-%c)", o->val);
	}
	fputc('\n', stderr);
	exit(EXIT_USAGE);
}

static void option(int letter, const char *arg)
{
	switch (letter) {
	case OPT_CPUS: cpus_arg(optarg); break;
	case OPT_GRAIN: grain_arg(optarg); break;
	case 'c': options.uri = optarg; break;
	case 'g': options.guests = optarg; break;
	case 'm': size_arg("--host-memory", HOST_MIN_KIB, &options.host_memory_kib); break;
	case OPT_RESERVE:
		size_arg("--host-reserve", RESERVE_MIN_KIB, &options.host_reserve_kib);
		break;
	case OPT_OVERCOMMIT: overcommit_arg(optarg); break;
	case OPT_SURPLUS: surplus_arg(optarg); break;
	case OPT_METRICS: metrics_arg(optarg); break;
	case OPT_RESTORE: options.restore = true; break;
	case 'n': options.dry_run = true; break;
	case '1': options.once = true; break;
	case 'v': log_limit = LOG_PRIO_DEBUG; break;
	case 'q': log_limit = LOG_PRIO_WARNING; break;
	case 'h': fputs(usage_text, stdout); exit(EXIT_DONE);
	case 'V': puts("vmbal " VMBAL_VERSION); exit(EXIT_DONE);
	case ':': wrong_usage("option", arg, "needs a value; see --help");
	default: unknown_option(arg);
	}
}

/* What getopt_long complains of: a letter, maybe in the midst of a word, or the whole word. */
static const char *letter_or_word(char **argv)
{
	static char letter[] = "-?";

	if (optopt <= 0 || optopt >= OPT_CPUS)
		return argv[optind - 1];
	letter[1] = (char)optopt;
	return strncmp(argv[optind - 1], "--", 2) == 0 ? argv[optind - 1] : letter;
}

static void parse(int argc, char **argv)
{
	const struct loop *link = loop_by_link(argv[0]);
	int letter;

	/* "+": options end at the command, so that "cpu -1" is a wrong interval, not --once */
	while ((letter = getopt_long(argc, argv, "+:c:g:m:n1vqhV", longs, NULL)) != -1)
		option(letter, letter_or_word(argv));
	if (link)
		link_args(link, argc - optind, argv + optind);
	else
		command_args(argc - optind, argv + optind);
}

/* ---- the loops' threads ---- */

static struct timespec ns_timespec(int64_t ns)
{
	return (struct timespec){ .tv_sec = ns / NS_PER_S, .tv_nsec = ns % NS_PER_S };
}

/*
 * Waits until a time on CLOCK_MONOTONIC, reporting in between when asked to; true when it is
 * time to stop instead.
 */
static bool wait_until(struct loop *loop, int64_t deadline_ns)
{
	struct timespec deadline = ns_timespec(deadline_ns);
	bool stop, report;
	int timeout = 0;

	do {
		pthread_mutex_lock(&stop_lock);
		while (!stopping && !loop->report_wanted && timeout != ETIMEDOUT)
			timeout = pthread_cond_timedwait(&stop_cond, &stop_lock, &deadline);
		stop = stopping;
		report = loop->report_wanted;
		loop->report_wanted = false;
		pthread_mutex_unlock(&stop_lock);
		if (report)
			loop->report(loop->state);
	} while (!stop && timeout != ETIMEDOUT);
	return stop;
}

/* The next deadline on the loop's grid, without those that passed in a long tick or a pause. */
static int64_t deadline_after(int64_t deadline_ns, int64_t period_ns, int64_t now_ns)
{
	int64_t least_ns = now_ns + period_ns / 2; /* a shorter interval is a sample of noise */

	deadline_ns += period_ns;
	if (deadline_ns < least_ns)
		deadline_ns += (least_ns - deadline_ns + period_ns - 1) / period_ns * period_ns;
	return deadline_ns;
}

/* Tells main, which waits for signals, that this loop has had its one decision. */
static void say_done(struct loop *loop)
{
	pthread_mutex_lock(&stop_lock);
	loops_done++;
	loop->fresh_until_ns = INT64_MAX; /* not stuck, but done */
	pthread_mutex_unlock(&stop_lock);
	kill(getpid(), SIGUSR2);
}

static unsigned count_done(void)
{
	unsigned n;

	pthread_mutex_lock(&stop_lock);
	n = loops_done;
	pthread_mutex_unlock(&stop_lock);
	return n;
}

/* For the service manager: what the loop is doing, and how long it may do so. */
static void say_fresh(struct loop *loop, const char *doing, int64_t until_ns)
{
	bool news;

	pthread_mutex_lock(&stop_lock);
	news = doing && doing != loop->doing;
	if (news)
		loop->doing = doing;
	loop->fresh_until_ns = until_ns + STUCK_NS;
	pthread_mutex_unlock(&stop_lock);
	if (news)
		kill(getpid(), SIGUSR2);
}

static int loop_tick(struct loop *loop, int64_t period_ns, int64_t *deadline_ns)
{
	int decided;

	say_fresh(loop, NULL, proc_now_ns());
	decided = loop->tick(loop->state);
	*deadline_ns = deadline_after(*deadline_ns, period_ns, proc_now_ns());
	say_fresh(loop, decided < 0 ? "libvirt cannot be read" : loop->status(loop->state),
		  *deadline_ns);
	return decided;
}

/* One loop's thread: a tick at each deadline until it is time to stop. */
static void *loop_run(void *arg)
{
	struct loop *loop = arg;
	int64_t period_ns =
		(int64_t)(*loop->interval_s * NS_PER_S / loop->ticks(*loop->interval_s));
	int64_t deadline_ns = proc_now_ns();
	int decided;

	do {
		decided = loop_tick(loop, period_ns, &deadline_ns);
	} while (!(options.once && decided != 0) && !wait_until(loop, deadline_ns));
	loop->failed = options.once && decided < 0;
	if (options.once)
		say_done(loop);
	return NULL;
}

static int loops_start(struct virt *virt)
{
	for (size_t i = 0; i < NLOOPS; i++) {
		struct loop *loop = &loops[i];

		if (*loop->interval_s <= 0)
			continue;
		loop->state = loop->open(virt, &options);
		say_fresh(loop, "starting", proc_now_ns());
		if (!loop->state || pthread_create(&loop->thread, NULL, loop_run, loop))
			return -1;
		loop->running = true;
	}
	return 0;
}

static void stop(void)
{
	pthread_mutex_lock(&stop_lock);
	stopping = true;
	pthread_cond_broadcast(&stop_cond);
	pthread_mutex_unlock(&stop_lock);
}

/* Masks are put back as far as there is time. */
static void loop_close(struct loop *loop, int64_t deadline_ns)
{
	int left = 0;

	if (loop->running)
		pthread_join(loop->thread, NULL);
	if (options.restore && loop->running && !options.dry_run)
		left = loop->restore(loop->state, deadline_ns);
	if (left)
		log_msg(LOG_PRIO_WARNING, "%s: not all is put back: 'vmbal restore' can do it",
			loop->name);
	if (loop->state)
		loop->close(loop->state);
}

/*
 * Waits for the loops and closes everything; a thread, since a dead libvirtd can hold it up.
 * Memory comes first: a shrink that nobody watches can kill its guest.
 */
static void *wind_up(void *virt)
{
	static int leaked;
	int64_t deadline_ns = proc_now_ns() + RESTORE_NS;

	for (size_t i = NLOOPS; i > 0; i--)
		loop_close(&loops[i - 1], deadline_ns);
	if (options.metrics)
		metrics_end(options.metrics);
	leaked = virt_free(virt);
	return &leaked;
}

static bool any_failed(void)
{
	bool failed = false;

	for (size_t i = 0; i < NLOOPS; i++)
		failed |= loops[i].failed;
	return failed;
}

/* Ends within a second, whatever the loops are waiting for. */
static enum exit_status finish(struct virt *virt, enum exit_status status)
{
	struct timespec deadline;
	pthread_t winder;
	void *leaked;

	stop();
	if (pthread_create(&winder, NULL, wind_up, virt))
		return EXIT_FAILED;
	/* Not pthread_clockjoin_np: ThreadSanitizer does not know it and sees races after. */
	clock_gettime(CLOCK_REALTIME, &deadline);
	deadline = ns_timespec(deadline.tv_sec * NS_PER_S + deadline.tv_nsec + GRACE_NS);
	if (pthread_timedjoin_np(winder, &leaked, &deadline)) {
		log_msg(LOG_PRIO_WARNING, "a call into libvirt has not returned yet: leaving; "
					  "'vmbal restore' can put back what is left");
		if (options.metrics)
			unlink(options.metrics); /* metrics_end() waits for who writes it */
		_exit(status);
	}
	if (*(int *)leaked)
		log_msg(LOG_PRIO_WARNING, "bug: %d references left on the connection",
			*(int *)leaked);
	return any_failed() ? EXIT_FAILED : status;
}

/* ---- the command restore ---- */

/* What the last run left, of both loops.  Signals end it as they do any program. */
static enum exit_status restore(struct virt *virt)
{
	int failed = 0;

	for (size_t i = NLOOPS; i > 0; i--) {
		struct loop *loop = &loops[i - 1];

		loop->state = loop->open(virt, &options);
		failed |= !loop->state || loop->restore(loop->state, INT64_MAX);
		if (loop->state)
			loop->close(loop->state);
	}
	virt_free(virt);
	return failed ? EXIT_FAILED : EXIT_DONE;
}

/* ---- the process ---- */

/* One vmbal per loop, connection and runtime directory. */
static int locks_take(const char *dir)
{
	char path[RUNTIME_PATH_LEN];

	if (runtime_path(dir, options.uri, "lock", path, sizeof(path)) < 0) {
		log_msg(LOG_PRIO_ERR, "%s: %s", options.uri, strerror(errno));
		return -1;
	}
	for (unsigned i = 0; i < NLOOPS; i++) {
		pid_t holder = 0;
		int result = 0;

		if (*loops[i].interval_s > 0 || restore_only)
			result = runtime_lock(path, i, &holder);
		if (result < 0)
			log_msg(LOG_PRIO_ERR, "%s: %s", path, strerror(errno));
		if (result > 0)
			log_msg(LOG_PRIO_ERR, "%s: process %ld runs the %s loop already",
				options.uri, (long)holder, loops[i].name);
		if (result)
			return -1;
	}
	return 0;
}

/*
 * Finds the place for state and locks, and takes the locks.  Root can have one, so that its
 * lack is an error; others may have to do without.  A dry run needs none.
 */
static int runtime_begin(void)
{
	static char dir[RUNTIME_PATH_LEN];
	char error[RUNTIME_PATH_LEN + 64];

	if (options.dry_run && !restore_only)
		return 0;
	if (runtime_dir(dir, sizeof(dir), error, sizeof(error)) == 0) {
		options.runtime_dir = dir;
		return options.dry_run ? 0 : locks_take(dir);
	}
	if (geteuid() == 0 || restore_only) {
		log_msg(LOG_PRIO_ERR, "no runtime directory: %s", error);
		return -1;
	}
	log_msg(LOG_PRIO_WARNING,
		"no runtime directory: %s: masks are not saved, and a second vmbal is not noticed",
		error);
	return 0;
}

/* Signals are blocked before the first thread exists, so that only main gets them. */
static void signals_block(sigset_t *set)
{
	sigemptyset(set);
	sigaddset(set, SIGINT);
	sigaddset(set, SIGTERM);
	sigaddset(set, SIGHUP);
	sigaddset(set, SIGUSR1);
	sigaddset(set, SIGUSR2);
	pthread_sigmask(SIG_BLOCK, set, NULL);
}

static void stop_cond_init(void)
{
	pthread_condattr_t attr;

	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&stop_cond, &attr);
	pthread_condattr_destroy(&attr);
}

static unsigned loops_wanted(void)
{
	unsigned n = 0;

	for (size_t i = 0; i < NLOOPS; i++)
		n += *loops[i].interval_s > 0;
	return n;
}

/* "cpu: balanced; mem: host ok"; true when all loops are fresh. */
static bool describe(char *text, size_t len)
{
	int64_t now_ns = proc_now_ns();
	bool fresh = true;
	size_t used = 0;

	pthread_mutex_lock(&stop_lock);
	for (size_t i = 0; i < NLOOPS; i++) {
		const struct loop *loop = &loops[i];

		if (*loop->interval_s <= 0 || used >= len)
			continue;
		used += (size_t)snprintf(
			text + used, len - used, "%s%s: %s", used ? "; " : "", loop->name,
			now_ns > loop->fresh_until_ns ? "libvirt does not answer"
						      : loop->doing);
		fresh &= now_ns <= loop->fresh_until_ns;
	}
	pthread_mutex_unlock(&stop_lock);
	return fresh;
}

/*
 * Tells the service manager that we run, even where libvirt does not, what we are doing when
 * that is news, and that no loop is stuck; returns the last.
 */
static bool tell_manager(void)
{
	static char told[STATUS_LEN];
	char doing[STATUS_LEN - 32], message[STATUS_LEN];
	bool fresh = describe(doing, sizeof(doing));

	snprintf(message, sizeof(message), "READY=1\nSTATUS=%s", doing);
	if (strcmp(message, told) != 0 && notify(message) == 0)
		memcpy(told, message, sizeof(told));
	if (fresh && notify_watchdog_ns())
		notify("WATCHDOG=1");
	return fresh;
}

/* Each loop logs what it knows, at once unless it is in the midst of a tick. */
static void report(void)
{
	char doing[STATUS_LEN];

	describe(doing, sizeof(doing));
	log_msg(LOG_PRIO_NOTICE, "state: %s, %s", options.uri, doing);
	pthread_mutex_lock(&stop_lock);
	for (size_t i = 0; i < NLOOPS; i++)
		loops[i].report_wanted = true;
	pthread_cond_broadcast(&stop_cond);
	pthread_mutex_unlock(&stop_lock);
}

static void refresh(struct virt *virt)
{
	if (log_reopen() < 0)
		log_msg(LOG_PRIO_WARNING, "the log file cannot be opened anew: %s",
			strerror(errno));
	log_msg(LOG_PRIO_NOTICE, "%s: reading anew what is kept about guests",
		strsignal(SIGHUP));
	virt_refresh(virt);
}

/* The next signal; 0: it is time to feed the watchdog, or to see whether a loop is stuck. */
static int next_signal(const sigset_t *set)
{
	int64_t watchdog_ns = notify_watchdog_ns();
	struct timespec look = ns_timespec(watchdog_ns ? watchdog_ns / 2 : NS_PER_S);
	int got = sigtimedwait(set, NULL, &look);

	return got < 0 ? 0 : got; /* EAGAIN, or EINTR after a stop */
}

/* Until told to stop, or with --once until each loop has said by SIGUSR2 that it is done. */
static enum exit_status wait_for_end(struct virt *virt, const sigset_t *set)
{
	bool stuck = false;

	while (count_done() < loops_wanted()) {
		bool fresh = tell_manager();
		int got;

		if (!options.once)
			log_change(&stuck, !fresh, options.uri, "libvirt does not answer");
		if (!fresh && options.once) {
			log_msg(LOG_PRIO_ERR, "libvirt does not answer: giving up");
			return EXIT_FAILED;
		}
		got = next_signal(set);
		if (got == SIGINT || got == SIGTERM) {
			log_msg(LOG_PRIO_NOTICE, "%s: stopping", strsignal(got));
			return EXIT_DONE;
		}
		if (got == SIGUSR1)
			report();
		if (got == SIGHUP)
			refresh(virt);
	}
	return EXIT_DONE;
}

static void say_settings(void)
{
	static const char *const grains[] = { "cpu", "core", "cache", "node" };
	char cpus[64] = "all";

	if (options.cpus)
		cpuset_text(options.cpus, cpus, sizeof(cpus));
	log_msg(LOG_PRIO_NOTICE,
		"vmbal " VMBAL_VERSION
		": %s, guests '%s', cpu %g s (0: off), pCPUs %s, grain %s, "
		"mem %g s (0: off), host memory %llu MiB (0: all), "
		"reserve %llu MiB (0: by size), overcommit %g, surplus to %s%s%s%s",
		options.uri, options.guests, options.cpu_interval_s, cpus,
		grains[options.grain], options.mem_interval_s,
		(unsigned long long)options.host_memory_kib / 1024,
		(unsigned long long)options.host_reserve_kib / 1024, options.overcommit,
		options.surplus_to_guests ? "guests" : "the host",
		options.dry_run ? ", dry run" : "", options.once ? ", once" : "",
		options.restore ? ", restore" : "");
}

int main(int argc, char **argv)
{
	struct virt *virt;
	enum exit_status status;
	sigset_t set;

	parse(argc, argv);
	log_init(log_limit);
	signal(SIGPIPE, SIG_IGN); /* libvirtd's end would kill us at the next call */
	if (runtime_begin() < 0)
		return EXIT_FAILED;
	if (!restore_only) {
		signals_block(&set);
		stop_cond_init();
		say_settings();
		runtime_warn_rivals();
	}
	virt = virt_new(&options);
	if (!virt) {
		log_msg(LOG_PRIO_ERR, "cannot start libvirt's event loop");
		return EXIT_FAILED;
	}
	if (restore_only)
		return restore(virt);
	if (loops_start(virt) == 0) {
		status = wait_for_end(virt, &set);
		notify("STOPPING=1");
		return finish(virt, status);
	}
	log_msg(LOG_PRIO_ERR, "cannot start the loops: out of memory or threads");
	return finish(virt, EXIT_FAILED);
}
