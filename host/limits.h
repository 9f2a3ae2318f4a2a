/*
 * limits.h - how long what is outside the policies is waited for, and what counts there: one
 * row each
 *
 * To change one, change it here and in the manual's table, whose rows are these.
 */
#ifndef HOST_LIMITS_H
#define HOST_LIMITS_H

#include <stddef.h>

#include "lib/tunable.h"
#include "lib/units.h"

/* ROW(type, name, value, unit, least, most, option, meaning) */
/* clang-format off */
#define HOST_LIMITS(ROW) \
	/* virt.c: the connection */ \
	ROW(double, retry_s, 1, SECONDS, 0, 3600, FIXED, "from a failed attempt to connect to libvirt to the next ...") \
	ROW(double, retry_most_s, 10, SECONDS, 0, 3600, FIXED, "... doubled up to this, or to a loop's interval if that is less") \
	ROW(unsigned, keepalive_s, 5, SECONDS, 1, 3600, FIXED, "between two questions whether a silent daemon lives ...") \
	ROW(unsigned, keepalive_misses, 3, TIMES, 1, 100, FIXED, "... and so many unanswered: it is dead") \
	/* virt_call.c: guests that hang */ \
	ROW(double, answer_s, 0.5, SECONDS, 0.01, 60, FIXED, "for which an answer is waited for that can depend on one guest's QEMU: mostly it takes 10 ms") \
	ROW(double, query_s, 1, SECONDS, 0, 60, FIXED, "a monitor that is occupied for less has a mere query, and a command may wait for it") \
	/* what is asked of guests one by one */ \
	ROW(double, learn_s, 10, SECONDS, 0, 3600, FIXED, "of a tick for questions about single guests: the rest waits for the next") \
	ROW(double, act_s, 10, SECONDS, 0, 3600, FIXED, "of a tick for commands: a daemon that is slow is not stuck") \
	ROW(double, failed_s, 5, SECONDS, 0, 3600, FIXED, "from the first failure of a question, or of a pin, to the next attempt with that guest ...") \
	ROW(double, failed_most_s, 320, SECONDS, 0, 86400, FIXED, "... doubled up to this ...") \
	ROW(double, job_most_s, 20, SECONDS, 0, 86400, FIXED, "... or to this where a job holds it, whose end is so noticed soon") \
	ROW(double, processes_s, 1, SECONDS, 0, 3600, FIXED, "between two looks through all processes for those of guests") \
	ROW(unsigned, statistics_s, 1, SECONDS, 1, 60, FIXED, "the period of a managed guest's balloon statistics") \
	ROW(unsigned, delayless_samples, 3, SAMPLES, 1, 1000, FIXED, "in a row without a vCPU's run delay, before that is said: the guest may just be ending") \
	/* virt_pcpu.c, shape.c, qemu.c */ \
	ROW(double, pcpu_refused_s, 600, SECONDS, 0, 86400, FIXED, "until a pCPU that the kernel refused is tried again") \
	ROW(double, pcpu_probe_s, 0.3, SECONDS, 0, 60, FIXED, "for trying the pCPUs of one refused mask: a pin takes 1 ms") \
	ROW(double, pcpu_weaker, 0.15, SHARE, 0, 1, FIXED, "by which one pCPU must be weaker than another to count as such") \
	ROW(double, locked_kib, 64 * KIB_PER_MIB, KIB, 0, KIB_PER_GIB, FIXED, "locked by a QEMU: less may be its own (io_uring), and tells nothing of its guest") \
	/* log.c */ \
	ROW(double, reader_s, 0.1, SECONDS, 0, 60, FIXED, "for which a pipe that takes the log is waited for, before a line is dropped") \
	/* run.c, vmbal.c: the loops */ \
	ROW(double, watch_s, 1, SECONDS, 0.1, 60, FIXED, "between two looks at guests' memory: a rescue cannot wait for a decision") \
	ROW(double, stuck_s, 60, SECONDS, 0, 3600, FIXED, "in a call to libvirt, which itself waits half of it for a guest's job: the loop is stuck ...") \
	ROW(double, lost_s, 5, SECONDS, 0, 3600, FIXED, "... and so much later, without a watchdog, vmbal ends: right after a stop all look stuck") \
	ROW(double, end_s, 0.8, SECONDS, 0, 60, FIXED, "for which the end waits for a call to libvirt ...") \
	ROW(double, put_back_s, 0.5, SECONDS, 0, 60, FIXED, "... of which this is for putting masks back")
/* clang-format on */

struct limits {
	HOST_LIMITS(TUNABLE_FIELD)
};

extern const struct limits limit;

extern const struct tunable limit_row[]; /* a row for each field, in the same order */
extern const size_t limit_rows;

#endif
