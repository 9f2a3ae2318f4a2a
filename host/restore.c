/*
 * restore.c - puts vCPUs back where they were found.
 */
#include <stdio.h>

#include "vmbal.h"

#define MASK_TEXT 64 /* bytes: a mask in a log line; a longer list is cut */

struct restoring {
	struct virt *virt;
	int64_t deadline_ns;
	bool dry_run;
	int left;
};

/* A mark that cannot be dealt with now stays. */
static bool keep(struct restoring *r, const char *guest, unsigned vcpu, const char *why)
{
	r->left++;
	log_msg(LOG_PRIO_WARNING, "cpu: %s/%u is not put back: %s", guest, vcpu, why);
	return true;
}

static const char *why_not(enum virt_result result)
{
	if (result == VIRT_LOST)
		return "libvirt is gone";
	return result == VIRT_BUSY ? "a job holds its guest" : "libvirt refused";
}

static bool put_back(struct restoring *r, const struct mark *m, const struct vcpu_live *live,
		     const struct cpuset *to)
{
	char at[MASK_TEXT], back[MASK_TEXT];
	enum virt_result result = VIRT_DONE;

	if (!r->dry_run)
		result = virt_pin(r->virt, m->uuid, m->run, m->vcpu, to, false);
	if (result == VIRT_GONE)
		return false;
	if (result != VIRT_DONE)
		return keep(r, live->guest, m->vcpu, why_not(result));
	log_msg(LOG_PRIO_INFO, "cpu: %s %s/%u from %s to %s: as it was found",
		r->dry_run ? "would pin" : "pin", live->guest, m->vcpu,
		cpuset_text(&live->mask, at, sizeof(at)), cpuset_text(to, back, sizeof(back)));
	return false;
}

/* Tells whether the mark is still needed. */
static bool restore_one(const struct mark *m, void *arg)
{
	struct restoring *r = arg;
	struct cpuset to = m->found;
	struct vcpu_live live;
	enum virt_result result;
	char at[MASK_TEXT];

	if (proc_now_ns() >= r->deadline_ns) {
		r->left++;
		return true;
	}
	if (m->target_kib || virt_run(r->virt, m->uuid) != m->run)
		return false;
	result = virt_vcpu(r->virt, m->uuid, m->vcpu, &live);
	if (result == VIRT_GONE)
		return false;
	if (result != VIRT_DONE)
		return keep(r, "a vCPU", m->vcpu, why_not(result));
	cpuset_and(&to, &live.online);
	if (cpuset_equal(&live.mask, &to))
		return false;
	if (!cpuset_equal(&live.mask, &m->asked[0]) &&
	    !cpuset_equal(&live.mask, &m->asked[1])) {
		log_msg(LOG_PRIO_NOTICE, "cpu: leave %s/%u on %s: somebody else put it there",
			live.guest, m->vcpu, cpuset_text(&live.mask, at, sizeof(at)));
		return false;
	}
	if (cpuset_count(&to) == 0)
		return keep(r, live.guest, m->vcpu, "the pCPUs it had are offline");
	return put_back(r, m, &live, &to);
}

int state_restore(struct state *s, struct virt *virt, int64_t deadline_ns)
{
	struct restoring r = { .virt = virt,
			       .deadline_ns = deadline_ns,
			       .dry_run = s->readonly };

	state_filter(s, restore_one, &r);
	state_save(s);
	return r.left;
}
