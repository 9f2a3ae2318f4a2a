/*
 * virt_act.c - the third step of a tick: what a guest is told to do, its masks, its memory, its
 * statistics; and when not.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/limits.h"
#include "host/proc.h"
#include "host/virt.h"
#include "host/virt_guests.h"
#include "lib/cpuset.h"
#include "lib/units.h"
#include "policy/sample.h"

static enum virt_result command_failed(struct virt *v, struct domain *d, struct attempt *a,
				       const char *what)
{
	int code = virt_failure(v).code;
	char text[GUEST_NAME_LEN + 64];

	if (code == VIR_ERR_NO_DOMAIN)
		return VIRT_GONE;
	if (code == VIR_ERR_OPERATION_TIMEOUT) {
		attempt_failed(&d->job, ns_of_s(limit.failed_s), ns_of_s(limit.failed_most_s));
		return VIRT_BUSY;
	}
	snprintf(text, sizeof(text), "%s: %s", d->name, what);
	virt_check(v, a, d->name, text);
	if (virt_lost(v))
		return VIRT_LOST;
	attempt_failed(a, ns_of_s(limit.failed_s), ns_of_s(limit.failed_most_s));
	return VIRT_FAILED;
}

static void command_done(struct domain *d, struct attempt *a)
{
	attempt_done(&d->job, NULL, NULL);
	attempt_done(a, NULL, NULL);
}

/*
 * A backup is a job that excludes no change, and can last for hours. Asking for the job cannot
 * tell it from others, and takes a job itself; asking for the backup takes none.
 */
static int job_make(struct call *c)
{
	char *backup = virDomainBackupGetXMLDesc(c->dom, 0);

	c->job.type = VIR_DOMAIN_JOB_NONE;
	if (!backup)
		return virDomainGetJobInfo(c->dom, &c->job);
	free(backup);
	return 0;
}

static bool no_job(struct virt *v, struct domain *d)
{
	struct call c = { .make = job_make, .dom = d->ref };

	if (call_run(v, &c, d) < 0)
		return false;
	if (c.result < 0)
		return virt_failure(v).code == VIR_ERR_NO_SUPPORT;
	return c.job.type == VIR_DOMAIN_JOB_NONE;
}

/* A call that changes a domain waits up to 30 s for a job that holds it: so ask first. */
static enum virt_result domain_ready(struct virt *v, struct domain *d)
{
	virDomainControlInfo info;

	if (d->hung_ns || proc_now_ns() < d->job.until_ns)
		return VIRT_BUSY;
	if (virDomainGetControlInfo(d->ref, &info, 0) < 0)
		return guest_is_gone(v) ? VIRT_GONE
					: command_failed(v, d, &d->job, "asking for its state");
	/* Somebody else's query, over in a moment: the command waits for it. */
	if (info.state == VIR_DOMAIN_CONTROL_OCCUPIED &&
	    info.stateTime < limit.query_s * MS_PER_S)
		return VIRT_DONE;
	/* Between its steps a migration or a save leaves the state at OK: ask for the job as
	 * well. */
	if (info.state == VIR_DOMAIN_CONTROL_OK && no_job(v, d))
		return VIRT_DONE;
	if (d->hung_ns)
		return VIRT_BUSY;
	attempt_failed(
		&d->job, ns_of_s(limit.failed_s),
		ns_of_s(limit.job_most_s)); /* asking costs little: its end is noticed soon */
	return VIRT_BUSY;
}

static int period_make(struct call *c)
{
	return virDomainSetMemoryStatsPeriod(c->dom, (int)limit.statistics_s,
					     VIR_DOMAIN_AFFECT_LIVE);
}

/* Without them a guest tells nothing of its memory. */
static void period_set(struct virt *v, struct domain *d)
{
	struct call c = { .make = period_make, .dom = d->ref };

	if (domain_ready(v, d) != VIRT_DONE || call_run(v, &c, d) < 0)
		return;
	if (c.result == 0)
		command_done(d, &d->period);
	else
		command_failed(v, d, &d->period, "turning balloon statistics on");
}

void statistics_start(struct virt *v)
{
	for (size_t i = 0; i < v->table.ndom && !v->opt->dry_run && !virt_lost(v); i++) {
		struct domain *d = &v->table.dom[i];

		if (d->record && d->managed && !d->wants.mem_off && attempt_due(&d->period) &&
		    proc_now_ns() < v->learn_until_ns)
			period_set(v, d);
	}
}

/* ---- commands ---- */

/* The domain a command is for, if it may have one now. */
static enum virt_result command_begin(struct virt *v, const unsigned char *uuid,
				      struct domain **d)
{
	if (virt_lost(v))
		return VIRT_LOST;
	*d = domain_find(v, uuid);
	return *d && (*d)->ref ? domain_ready(v, *d) : VIRT_GONE;
}

/*
 * A change of the persistent definition sends no event, nor does one of a cgroup: so look once
 * more before each pin.
 */
static bool pin_is_inside(struct virt *v, struct domain *d, unsigned vcpu,
			  const struct cpuset *mask)
{
	struct cpuset may;

	d->masks.done = domain_learn_masks(v, d, d->npins) == 0;
	if (!d->masks.done || vcpu >= d->npins)
		return false;
	may = domain_pcpus(&v->table, d);
	cpuset_and(&may, &v->table.set[d->allowed[vcpu]]);
	for (size_t w = 0; w < PCPU_MAX / 64; w++)
		if (mask->bits[w] & ~may.bits[w])
			return false;
	return true;
}

static enum virt_result pin_locked(struct virt *v, const unsigned char *uuid, unsigned run,
				   unsigned vcpu, struct cpuset *mask, bool confined)
{
	struct domain *d;
	enum virt_result ready = command_begin(v, uuid, &d);
	struct cpuset had;
	bool known;
	int s;

	if (ready != VIRT_DONE)
		return ready;
	if (d->id != run)
		return VIRT_GONE;
	if (confined && !pin_is_inside(v, d, vcpu, mask))
		return VIRT_BUSY;
	known = d->masks.done && vcpu < d->npins;
	if (known)
		had = v->table.set[d->mask[vcpu]];
	if (pin_call(v, d, vcpu, mask) < 0) {
		d->masks.done = false; /* one that timed out may have been made */
		if (d->hung_ns)
			return VIRT_HUNG;
		if (!mask_was_refused(v))
			return command_failed(v, d, &d->pins, "pinning a vCPU");
		if (pin_narrowed(v, d, vcpu, known ? &had : NULL, mask) < 0)
			return VIRT_FAILED;
	}
	command_done(d, &d->pins);
	pin_accepted(v, mask);
	s = table_intern(&v->table, mask);
	if (s >= 0 && vcpu < d->npins)
		d->mask[vcpu] = (unsigned)s;
	return VIRT_DONE;
}

enum virt_result virt_pin(struct virt *v, const unsigned char *uuid, unsigned run,
			  unsigned vcpu, struct cpuset *mask, bool confined)
{
	enum virt_result result;

	virt_enter(v);
	result = pin_locked(v, uuid, run, vcpu, mask, confined);
	virt_leave(v);
	return result;
}

static enum virt_result vcpu_locked(struct virt *v, const unsigned char *uuid, unsigned vcpu,
				    struct vcpu_live *out)
{
	struct domain *d;
	enum virt_result ready = command_begin(v, uuid, &d);
	unsigned char *maps;
	int n;

	if (ready != VIRT_DONE)
		return ready;
	maps = calloc((size_t)vcpu + 1, (size_t)v->maplen);
	if (!maps)
		return VIRT_FAILED;
	n = virDomainGetVcpuPinInfo(d->ref, (int)vcpu + 1, maps, v->maplen,
				    VIR_DOMAIN_AFFECT_LIVE);
	if (n > (int)vcpu) {
		memcpy(out->guest, d->name, sizeof(d->name));
		out->mask = virt_map_to_set(v, VIR_GET_CPUMAP(maps, v->maplen, vcpu));
		out->online = v->table.online;
	}
	free(maps);
	if (n < 0)
		return command_failed(v, d, &d->masks, "reading its masks");
	return n > (int)vcpu ? VIRT_DONE : VIRT_GONE;
}

enum virt_result virt_vcpu(struct virt *v, const unsigned char *uuid, unsigned vcpu,
			   struct vcpu_live *out)
{
	enum virt_result result;

	virt_enter(v);
	result = vcpu_locked(v, uuid, vcpu, out);
	virt_leave(v);
	return result;
}

static int memory_make(struct call *c)
{
	return virDomainSetMemoryFlags(c->dom, c->kib, VIR_DOMAIN_AFFECT_LIVE);
}

/*
 * A command counts RAM and DIMMs, where balloon.current has what is plugged of virtio-mem, too.
 * What that holds alone, no balloon can take: the least it is told is not nothing, which asks
 * QEMU for statistics.
 */
static uint64_t balloon_target(const struct memory_kind *kind, uint64_t kib)
{
	return kib > kind->virtio_mem_kib + KIB_PER_MIB ? kib - kind->virtio_mem_kib
							: KIB_PER_MIB;
}

static enum virt_result set_memory_locked(struct virt *v, const unsigned char *uuid,
					  uint64_t kib)
{
	struct domain *d;
	enum virt_result ready = command_begin(v, uuid, &d);
	struct call c = { .make = memory_make };

	if (ready != VIRT_DONE)
		return ready;
	c.dom = d->ref;
	c.kib = balloon_target(&d->kind, kib);
	if (call_run(v, &c, d) < 0)
		return VIRT_HUNG;
	if (c.result < 0)
		return command_failed(v, d, &d->memory, "setting its memory");
	command_done(d, &d->memory);
	return VIRT_DONE;
}

enum virt_result virt_set_memory(struct virt *v, const unsigned char *uuid, uint64_t kib)
{
	enum virt_result result;

	virt_enter(v);
	result = set_memory_locked(v, uuid, kib);
	virt_leave(v);
	return result;
}
