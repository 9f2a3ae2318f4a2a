/*
 * vmbal.h - the table of contents: what each room offers, in the order of the data's way.
 *
 * A room's files include the headers of their own room and of those below it, never this one:
 *
 *	vmbal.c	the process: arguments, signals, threads, exit status
 *	loop/	a tick of each loop: sample, observe, decide, act, report; what outlives a crash
 *	report/	what a decision looks like: in the log, for Prometheus
 *	host/	the world: libvirt, /proc, /sys, cgroups, the runtime directory, stderr
 *	policy/	the decisions: pure, without a call to anybody
 *	lib/	sets of pCPUs, numbers, units, tunables, arrays, XML
 *
 * Units: _ns nanoseconds on CLOCK_MONOTONIC, _kib KiB, _s seconds.  Loads and demands are
 * doubles in CPUs: 1.0 is the whole time of one pCPU.  A point is 0.01 CPU.
 *
 * Functions return 0 on success and -1 on failure unless they say otherwise, and leave output
 * parameters untouched on failure.
 */
#ifndef VMBAL_H
#define VMBAL_H

/* What they share. */
#include "lib/array.h"
#include "lib/cpuset.h"
#include "lib/number.h"
#include "lib/settings.h"
#include "lib/tunable.h"
#include "lib/units.h"
#include "lib/uuid.h"
#include "lib/xml.h"

/* Sample: what is read in a tick, and from where. */
#include "host/cgroup.h"
#include "host/limits.h"
#include "host/metadata.h"
#include "host/proc.h"
#include "host/qemu.h"
#include "host/shape.h"
#include "host/virt.h"
#include "policy/sample.h"

/* Observe: from counters to what the policies see. */
#include "policy/cpu_observe.h"
#include "policy/mem_observe.h"

/* Decide: vCPUs to pCPUs, memory to guests. */
#include "policy/background.h"
#include "policy/cpu.h"
#include "policy/cpu_tunables.h"
#include "policy/demand.h"
#include "policy/ledger.h"
#include "policy/mem.h"
#include "policy/mem_tunables.h"
#include "policy/need.h"
#include "policy/node.h"
#include "policy/pins.h"
#include "policy/place.h"
#include "policy/restore.h"
#include "policy/share.h"

/* Report. */
#include "host/log.h"
#include "host/notify.h"
#include "report/cpu_log.h"
#include "report/mem_log.h"
#include "report/metrics.h"

/* The loops, and what outlives them. */
#include "host/options.h"
#include "host/runtime.h"
#include "loop/loop.h"
#include "loop/run.h"
#include "loop/state.h"

#endif
