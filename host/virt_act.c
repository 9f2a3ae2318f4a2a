/*
 * virt_act.c - what is asked of a guest: its masks, its memory, its statistics; and when not.
 */
#include <stdlib.h>
#include <string.h>

#include "host/virt.h"

#define OCCUPIED_MS    1000          /* a monitor command that takes longer is no mere query */
#define STATS_PERIOD_S 1             /* the memory loop watches each second */
#define JOB_MOST_NS    20000000000LL /* until a guest with a job is asked again */

static enum virt_result command_failed(struct virt *v, struct domain *d, struct refusal *r,
				       const char *what)
{
	int code = virGetLastErrorCode();
	char text[GUEST_NAME_LEN + 64];

	if (code == VIR_ERR_NO_DOMAIN)
		return VIRT_GONE;
	if (code == VIR_ERR_OPERATION_TIMEOUT) {
		refusal_wait(&d->job, REFUSED_MOST_NS);
		return VIRT_BUSY;
	}
	snprintf(text, sizeof(text), "%s: %s", d->name, what);
	virt_check(v, &r->said, text);
	if (virt_lost(v))
		return VIRT_LOST;
	refusal_wait(r, REFUSED_MOST_NS);
	return VIRT_FAILED;
}

static void command_succeeded(struct domain *d, struct refusal *r)
{
	d->job = (struct refusal){ 0 };
	if (proc_now_ns() >= r->until_ns) /* else another vCPU has just been refused */
		*r = (struct refusal){ 0 };
}

static bool no_job(virDomainPtr dom)
{
	virDomainJobInfo job;

	if (virDomainGetJobInfo(dom, &job) < 0)
		return virGetLastErrorCode() == VIR_ERR_NO_SUPPORT;
	return job.type == VIR_DOMAIN_JOB_NONE;
}

/* A call that changes a domain waits up to 30 s for a job that holds it: so ask first. */
static enum virt_result domain_ready(struct virt *v, struct domain *d)
{
	virDomainControlInfo info;

	if (proc_now_ns() < d->job.until_ns)
		return VIRT_BUSY;
	if (virDomainGetControlInfo(d->ref, &info, 0) < 0)
		return guest_is_gone() ? VIRT_GONE
				       : command_failed(v, d, &d->job, "asking for its state");
	/* Somebody else's query, over in a moment: the command waits for it. */
	if (info.state == VIR_DOMAIN_CONTROL_OCCUPIED && info.stateTime < OCCUPIED_MS)
		return VIRT_DONE;
	/* Between its steps a migration or a save leaves the state at OK: ask for the job as
	 * well. */
	if (info.state == VIR_DOMAIN_CONTROL_OK && no_job(d->ref))
		return VIRT_DONE;
	refusal_wait(&d->job, JOB_MOST_NS); /* asking costs little: its end is noticed soon */
	return VIRT_BUSY;
}

void domain_learn_period(struct virt *v, struct domain *d)
{
	if (v->opt->dry_run || domain_ready(v, d) != VIRT_DONE)
		return;
	d->period_known = virDomainSetMemoryStatsPeriod(d->ref, STATS_PERIOD_S,
							VIR_DOMAIN_AFFECT_LIVE) == 0;
	if (d->period_known)
		command_succeeded(d, &d->period);
	else
		command_failed(v, d, &d->period, "turning balloon statistics on");
}

/* ---- commands ---- */

static void set_to_map(const struct virt *v, const struct cpuset *set, unsigned char *map)
{
	memset(map, 0, (size_t)v->maplen);
	for (int i = 0; i < v->maplen * 8; i++)
		if (cpuset_has(set, (unsigned)i))
			VIR_USE_CPU(map, i);
}

/* The domain a command is for, if it may have one now. */
static enum virt_result command_begin(struct virt *v, const unsigned char *uuid,
				      struct domain **d)
{
	if (virt_lost(v))
		return VIRT_LOST;
	*d = domain_find(v, uuid);
	return *d && (*d)->ref ? domain_ready(v, *d) : VIRT_GONE;
}

/* A change of the persistent definition sends no event: so look once more before each pin. */
static bool pin_is_inside(struct virt *v, struct domain *d, unsigned vcpu,
			  const struct cpuset *mask)
{
	d->pins_known = domain_learn_masks(v, d, d->npins) == 0;
	if (!d->pins_known || vcpu >= d->npins)
		return false;
	for (size_t w = 0; w < PCPU_MAX / 64; w++)
		if (mask->bits[w] & ~v->set[d->fence[vcpu]].bits[w])
			return false;
	return true;
}

static enum virt_result pin_locked(struct virt *v, const unsigned char *uuid, unsigned run,
				   unsigned vcpu, const struct cpuset *mask, bool fenced)
{
	unsigned char map[VIR_CPU_MAPLEN(PCPU_MAX)];
	struct domain *d;
	enum virt_result ready = command_begin(v, uuid, &d);
	int s;

	if (ready != VIRT_DONE)
		return ready;
	if (d->id != run)
		return VIRT_GONE;
	if (fenced && !pin_is_inside(v, d, vcpu, mask))
		return VIRT_BUSY;
	set_to_map(v, mask, map);
	if (virDomainPinVcpuFlags(d->ref, vcpu, map, v->maplen, VIR_DOMAIN_AFFECT_LIVE) < 0) {
		d->pins_known = false; /* one that timed out may have been made */
		return command_failed(v, d, &d->pins, "pinning a vCPU");
	}
	command_succeeded(d, &d->pins);
	s = virt_intern(v, map);
	if (s >= 0 && vcpu < d->npins)
		d->mask[vcpu] = (unsigned)s;
	return VIRT_DONE;
}

enum virt_result virt_pin(struct virt *v, const unsigned char *uuid, unsigned run,
			  unsigned vcpu, const struct cpuset *mask, bool fenced)
{
	enum virt_result result;

	virt_enter(v);
	result = pin_locked(v, uuid, run, vcpu, mask, fenced);
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
		out->online = v->online;
	}
	free(maps);
	if (n < 0)
		return command_failed(v, d, &d->ask_masks, "reading its masks");
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

static enum virt_result set_memory_locked(struct virt *v, const unsigned char *uuid,
					  uint64_t kib)
{
	struct domain *d;
	enum virt_result ready = command_begin(v, uuid, &d);

	if (ready != VIRT_DONE)
		return ready;
	if (virDomainSetMemoryFlags(d->ref, kib, VIR_DOMAIN_AFFECT_LIVE) < 0)
		return command_failed(v, d, &d->memory, "setting its memory");
	command_succeeded(d, &d->memory);
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
