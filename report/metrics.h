/*
 * metrics.h - figures for Prometheus
 */
#ifndef REPORT_METRICS_H
#define REPORT_METRICS_H

#include <stddef.h>
#include <stdint.h>

#include "policy/cpu.h"
#include "policy/mem.h"

/*
 * Replace a loop's figures in the file.  pins, moves: how many were made since the start.  A
 * failure is logged once.
 */
void metrics_cpu(const char *path, const struct cpu_host *h, const struct cpu_report *r,
		 uint64_t pins);
void metrics_mem(const char *path, const struct guest *g, size_t n, const struct mem_report *r,
		 uint64_t moves);

/* Removes the file, since its figures are not true any more. */
void metrics_end(const char *path);

#endif
