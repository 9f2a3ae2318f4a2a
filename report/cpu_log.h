/*
 * cpu_log.h - the CPU loop's decisions as log lines
 */
#ifndef REPORT_CPU_LOG_H
#define REPORT_CPU_LOG_H

#include <stdbool.h>
#include <stddef.h>

#include "host/log.h"
#include "policy/cpu.h"
#include "policy/cpu_observe.h"
#include "policy/restore.h"

/* What became of a decision to pin. */
enum pin_result {
	PIN_WOULD, /* --dry-run */
	PIN_DONE,
	PIN_FAILED,
	PINS,
};

/* The host's decision in numbers. */
void cpu_log_host(const struct cpu_report *r, enum log_priority priority);

/* vCPU i of the view goes to this mask, or stays. */
void cpu_log_pin(const struct cpu_view *v, size_t i, const struct cpuset *to,
		 enum pin_result result);
void cpu_log_stay(const struct cpu_view *v, size_t i, enum log_priority priority);

/* Once, when it begins: we pinned it, somebody else put it back, again and again. */
void cpu_log_external(const struct cpu_view *v, size_t i);

/* Names the guests with a vCPU that may be pinned to any pCPU, though they were pinned. */
bool cpu_log_undefined(const struct cpu_view *v, bool (*is)(const void *, size_t),
		       const void *arg);

/* What restoring does with a vCPU: it is put back, not put back, or others put it there. */
void cpu_log_put_back(const char *guest, unsigned vcpu, const struct cpuset *from,
		      const struct cpuset *to, enum pin_result result);
void cpu_log_kept(const char *guest, unsigned vcpu, enum restore_why why);
void cpu_log_others(const char *guest, unsigned vcpu, enum restore_why why,
		    const struct cpuset *at);

/* An option names what this host has not. */
void cpu_log_none_online(const struct cpuset *wanted, const struct cpuset *online);
void cpu_log_grain_unknown(const char *grain);

/* All that is known, at notice. */
void cpu_log_state(const struct cpu_view *v, const struct cpu_report *r);

#endif
