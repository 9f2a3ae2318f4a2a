/*
 * proc.h - what the local kernel tells
 */
#ifndef HOST_PROC_H
#define HOST_PROC_H

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

#include "policy/sample.h"

int64_t proc_now_ns(void); /* CLOCK_MONOTONIC */
/* pthread_cond_timedwait() on that clock. */
int proc_wait(pthread_cond_t *cond, pthread_mutex_t *lock, int64_t deadline_ns);
const char *proc_root(void); /* where the kernel tells of processes */
int proc_cpu_times(struct cpu_time *cpu, size_t n);
int proc_memory(uint64_t *total_kib, uint64_t *available_kib);
int proc_memory_pressure(double *some_avg10_percent);
void proc_merged(uint64_t *kib); /* what KSM saves; not touched where it is not told */
void proc_zfs(uint64_t *kib);    /* what ZFS caches and can give back; the same */
int proc_isolated(struct cpuset *out);
int proc_online(struct cpuset *out);
const char *proc_cgroups(void); /* where it tells of groups of processes */
int proc_shape(struct topology *out);
#define BOOT_ID_LEN 37       /* bytes with the NUL */
int proc_boot_id(char *out); /* of the kernel's run, a UUID */

#endif
