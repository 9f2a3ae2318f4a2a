/*
 * loop.h - a tick of each loop: sample, observe, decide, act, report
 */
#ifndef LOOP_LOOP_H
#define LOOP_LOOP_H

#include <stddef.h>
#include <stdint.h>

#include "host/options.h"
#include "host/virt.h"

/* What a tick returns. */
enum tick {
	/* The host has nothing of what an option names: said, and no more ticks. */
	TICK_REFUSED = -2,
	TICK_BLIND,   /* nothing could be sampled, or there was no memory */
	TICK_WAITING, /* more samples are needed for a decision */
	TICK_DECIDED,
};

/* A loop, for who runs it; its state is its own affair. */
struct loop_ops {
	const char *name; /* the command */
	const char *link; /* the name that the program has when it is this loop alone */
	size_t interval;  /* offset of its interval in struct options, in seconds; 0: not wanted
			   */
	unsigned (*watches)(double interval_s); /* ticks in each interval, evenly spaced */
	void *(*open)(struct virt *, const struct options *); /* NULL: no memory */
	enum tick (*tick)(void *loop);    /* one: sample, observe, decide, act, report */
	void (*report)(const void *loop); /* logs what it last saw and decided, at notice */
	const char *(*status)(const void *loop); /* the same in a few words, a constant */

	/*
	 * Puts back, before deadline_ns, what is still as a loop left it, in this run or the
	 * last. Returns how much could not be and stays in the state file; -1: unknown.
	 */
	int (*restore)(void *loop, int64_t deadline_ns);

	/*
	 * Before it is closed: takes back commands that nobody would watch any more.  Returns
	 * how many could not be and stay in the state file.  NULL: there are none.
	 */
	int (*take_back)(void *loop);
	void (*close)(void *loop);
};
extern const struct loop_ops cpu_loop_ops, mem_loop_ops;

#endif
