/*
 * run.c - the loops' threads: a tick at each deadline, until the end.
 *
 * Main waits for signals; a loop that has news for it sends one.  All that threads share here
 * is guarded by stop_lock.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "host/limits.h"
#include "host/log.h"
#include "host/options.h"
#include "host/proc.h"
#include "host/runtime.h"
#include "host/virt.h"
#include "lib/units.h"
#include "loop/loop.h"
#include "loop/run.h"
#include "report/metrics.h"

struct loop {
	const struct loop_ops *ops;

	void *state;
	pthread_t thread;
	bool running; /* thread was started */
	bool failed;  /* --once: it could not decide */

	/* guarded by stop_lock */
	bool report_wanted;
	const char *doing;      /* its status, for the service manager */
	int64_t fresh_until_ns; /* later than this, it is stuck */
};

static struct loop loops[] = { { .ops = &cpu_loop_ops }, { .ops = &mem_loop_ops } };
static const struct options *options;

#define NLOOPS (sizeof(loops) / sizeof(loops[0]))

/* Guards stopping, wound_up, loops_decided, refused and some of each loop; stop_cond tells the
 * loops of news. */
static pthread_mutex_t stop_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t stop_cond;
static bool stopping, wound_up;
static unsigned loops_decided; /* with --once */
static bool refused;           /* what was asked for cannot be had on this host */

double loop_interval(const struct loop_ops *ops, const struct options *opt)
{
	double interval_s;

	memcpy(&interval_s, (const char *)opt + ops->interval, sizeof(interval_s));
	return interval_s;
}

void loop_set_interval(const struct loop_ops *ops, struct options *opt, double interval_s)
{
	memcpy((char *)opt + ops->interval, &interval_s, sizeof(interval_s));
}

static double interval_s(const struct loop_ops *ops)
{
	return loop_interval(ops, options);
}

/* ---- a loop's thread ---- */

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
			loop->ops->report(loop->state);
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

/* Tells main, which waits for signals, that this loop has had its one decision, or can have
 * none. */
static void say_done(struct loop *loop, bool in_vain)
{
	pthread_mutex_lock(&stop_lock);
	loops_decided++;
	refused |= in_vain;
	loop->fresh_until_ns = INT64_MAX; /* not stuck, but done */
	pthread_mutex_unlock(&stop_lock);
	kill(getpid(), SIGUSR2);
}

bool loops_done(void)
{
	unsigned wanted = 0;
	bool done;

	for (size_t i = 0; i < NLOOPS; i++)
		wanted += interval_s(loops[i].ops) > 0;
	pthread_mutex_lock(&stop_lock);
	done = refused || loops_decided >= wanted;
	pthread_mutex_unlock(&stop_lock);
	return done;
}

bool loops_refused(void)
{
	bool result;

	pthread_mutex_lock(&stop_lock);
	result = refused;
	pthread_mutex_unlock(&stop_lock);
	return result;
}

/* For the service manager: what the loop is doing, and how long it may do so. */
static void say_fresh(struct loop *loop, const char *doing, int64_t until_ns)
{
	bool news;

	pthread_mutex_lock(&stop_lock);
	news = doing && doing != loop->doing;
	if (news)
		loop->doing = doing;
	loop->fresh_until_ns = until_ns + ns_of_s(limit.stuck_s);
	pthread_mutex_unlock(&stop_lock);
	if (news)
		kill(getpid(), SIGUSR2);
}

static enum tick loop_tick(struct loop *loop, int64_t period_ns, int64_t *deadline_ns)
{
	enum tick decided;

	say_fresh(loop, NULL, proc_now_ns());
	decided = loop->ops->tick(loop->state);
	*deadline_ns = deadline_after(*deadline_ns, period_ns, proc_now_ns());
	say_fresh(loop, decided < 0 ? "libvirt cannot be read" : loop->ops->status(loop->state),
		  *deadline_ns);
	return decided;
}

/* Was this its last tick? */
static bool is_done(enum tick decided)
{
	return decided == TICK_REFUSED || (options->once && decided != TICK_WAITING);
}

/* One loop's thread: a tick at each deadline until it is time to stop. */
static void *loop_run(void *arg)
{
	struct loop *loop = arg;
	double every_s = interval_s(loop->ops);
	int64_t period_ns = (int64_t)(every_s * NS_PER_S / loop->ops->watches(every_s));
	int64_t deadline_ns = proc_now_ns();
	enum tick decided;

	do {
		decided = loop_tick(loop, period_ns, &deadline_ns);
	} while (!is_done(decided) && !wait_until(loop, deadline_ns));
	loop->failed = options->once && decided < 0;
	if (is_done(decided))
		say_done(loop, decided == TICK_REFUSED);
	return NULL;
}

static void stop_cond_init(void)
{
	pthread_condattr_t attr;

	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&stop_cond, &attr);
	pthread_condattr_destroy(&attr);
}

int loops_start(struct virt *virt, const struct options *opt)
{
	options = opt;
	stop_cond_init();
	for (size_t i = 0; i < NLOOPS; i++) {
		struct loop *loop = &loops[i];

		if (interval_s(loop->ops) <= 0)
			continue;
		loop->state = loop->ops->open(virt, options);
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

static void end_and_close(const struct loop_ops *ops, void *state)
{
	int left = ops->take_back ? ops->take_back(state) : 0;

	if (left)
		log_msg(LOG_PRIO_WARNING,
			"%s: %d commands are not taken back: 'vmbal restore' can do it",
			ops->name, left);
	ops->close(state);
}

/* Masks are put back as far as there is time. */
static void loop_close(struct loop *loop, int64_t deadline_ns)
{
	int left = 0;

	if (loop->running)
		pthread_join(loop->thread, NULL);
	if (options->restore && loop->running && !options->dry_run)
		left = loop->ops->restore(loop->state, deadline_ns);
	if (left)
		log_msg(LOG_PRIO_WARNING, "%s: not all is put back: 'vmbal restore' can do it",
			loop->ops->name);
	if (loop->state)
		end_and_close(loop->ops, loop->state);
}

/*
 * Waits for the loops and closes everything; a thread, since a dead libvirtd can hold it up.
 * Memory comes first: a shrink that nobody watches can kill its guest.
 */
static void *wind_up(void *virt)
{
	static int leaked;
	int64_t deadline_ns = proc_now_ns() + ns_of_s(limit.put_back_s);

	for (size_t i = NLOOPS; i > 0; i--)
		loop_close(&loops[i - 1], deadline_ns);
	if (options->metrics && !options->once)
		metrics_end(options->metrics);
	leaked = virt_free(virt);
	pthread_mutex_lock(&stop_lock);
	wound_up = true;
	pthread_cond_broadcast(&stop_cond);
	pthread_mutex_unlock(&stop_lock);
	return &leaked;
}

/* A join with a deadline, which only some C libraries have. */
static bool wound_up_by(const struct timespec *deadline)
{
	bool done;

	pthread_mutex_lock(&stop_lock);
	while (!wound_up && pthread_cond_timedwait(&stop_cond, &stop_lock, deadline) == 0)
		;
	done = wound_up;
	pthread_mutex_unlock(&stop_lock);
	return done;
}

static bool any_failed(void)
{
	bool failed = false;

	for (size_t i = 0; i < NLOOPS; i++)
		failed |= loops[i].failed;
	return failed;
}

bool loops_finish(struct virt *virt, int status)
{
	struct timespec deadline = ns_timespec(proc_now_ns() + ns_of_s(limit.end_s));
	pthread_t winder;
	void *leaked;

	stop();
	if (pthread_create(&winder, NULL, wind_up, virt))
		return false;
	if (!wound_up_by(&deadline)) {
		log_msg(LOG_PRIO_WARNING, "a call into libvirt has not returned yet: leaving; "
					  "'vmbal restore' can put back what is left");
		if (options->metrics && !options->once)
			unlink(options->metrics); /* metrics_end() waits for who writes it */
		_exit(status);
	}
	pthread_join(winder, &leaked);
	if (*(int *)leaked)
		log_msg(LOG_PRIO_WARNING, "bug: %d references left on the connection",
			*(int *)leaked);
	return !any_failed();
}

/* ---- what main asks ---- */

bool loops_describe(char *text, size_t len)
{
	int64_t now_ns = proc_now_ns();
	bool fresh = true;
	size_t used = 0;

	pthread_mutex_lock(&stop_lock);
	for (size_t i = 0; i < NLOOPS; i++) {
		const struct loop *loop = &loops[i];

		if (interval_s(loop->ops) <= 0 || used >= len)
			continue;
		used += (size_t)snprintf(
			text + used, len - used, "%s%s: %s", used ? "; " : "", loop->ops->name,
			now_ns > loop->fresh_until_ns ? "libvirt does not answer"
						      : loop->doing);
		fresh &= now_ns <= loop->fresh_until_ns;
	}
	pthread_mutex_unlock(&stop_lock);
	return fresh;
}

void loops_report(void)
{
	pthread_mutex_lock(&stop_lock);
	for (size_t i = 0; i < NLOOPS; i++)
		loops[i].report_wanted = true;
	pthread_cond_broadcast(&stop_cond);
	pthread_mutex_unlock(&stop_lock);
}

int loops_restore(struct virt *virt, const struct options *opt)
{
	int failed = 0;

	for (size_t i = NLOOPS; i > 0; i--) {
		const struct loop_ops *ops = loops[i - 1].ops;
		void *state = ops->open(virt, opt);

		failed |= !state || ops->restore(state, INT64_MAX);
		if (state)
			end_and_close(ops, state);
	}
	return failed ? -1 : 0;
}

int loops_lock(const char *path, const struct options *opt, bool all)
{
	for (unsigned i = 0; i < NLOOPS; i++) {
		pid_t holder = 0;
		int result = 0;

		if (loop_interval(loops[i].ops, opt) > 0 || all)
			result = runtime_lock(path, i, &holder);
		if (result < 0)
			log_msg(LOG_PRIO_ERR, "%s: %s", path, strerror(errno));
		if (result > 0)
			log_msg(LOG_PRIO_ERR, "%s: process %ld runs the %s loop already",
				opt->uri, (long)holder, loops[i].ops->name);
		if (result)
			return -1;
	}
	return 0;
}
