/*
 * run.h - the loops' threads
 */
#ifndef LOOP_RUN_H
#define LOOP_RUN_H

#include <stdbool.h>
#include <stddef.h>

#include "host/options.h"
#include "host/virt.h"
#include "loop/loop.h"

/* How often a loop is wanted to decide, in seconds; 0: it is not wanted. */
double loop_interval(const struct loop_ops *ops, const struct options *opt);
void loop_set_interval(const struct loop_ops *ops, struct options *opt, double interval_s);

/* One vmbal per loop: takes the locks of those that opt wants, or of all.  -1: logged. */
int loops_lock(const char *path, const struct options *opt, bool all);

/* Starts those that opt wants; SIGUSR2 says when one has news.  -1: no memory, or no thread. */
int loops_start(struct virt *virt, const struct options *opt);

/* Has each of them, with --once, had its decision, or can one never have any? */
bool loops_done(void);

/* Does the host have nothing of what an option names?  The loop has said so. */
bool loops_refused(void);

/* "cpu: balanced; mem: host ok"; returns whether none of them is stuck in a tick. */
bool loops_describe(char *text, size_t len);

/* Each logs what it knows, at once unless it is in the midst of a tick. */
void loops_report(void);

/*
 * Ends them and closes the connection, within a second: where a call does not return, by
 * leaving the process with status.  False: one of them could not do what was asked.
 */
bool loops_finish(struct virt *virt, int status);

/* Puts back what the last run of any of them left.  -1: not all. */
int loops_restore(struct virt *virt, const struct options *opt);

#endif
