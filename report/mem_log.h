/*
 * mem_log.h - the memory loop's decisions as log lines
 */
#ifndef REPORT_MEM_LOG_H
#define REPORT_MEM_LOG_H

#include "host/log.h"
#include "policy/mem.h"
#include "policy/mem_observe.h"

/* What became of a decision about a guest. */
enum mem_result {
	MEM_LEFT,  /* there was nothing to do */
	MEM_WOULD, /* --dry-run */
	MEM_DONE,
	MEM_FAILED,
	MEM_RESULTS,
};

/* The host's figures. */
void mem_log_host(const struct mem_report *r, enum log_priority priority);

/* Rescues were granted what is promised to others. */
void mem_log_borrowed(const struct mem_report *r);

/* What is done with a guest, from what to what, and the figures that decided it. */
void mem_log_guest(const struct guest *g, enum mem_result result, enum log_priority priority);

/* All that is known, at notice. */
void mem_log_state(const struct mem_view *v, const struct mem_report *r);

#endif
