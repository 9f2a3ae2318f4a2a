/*
 * restore.c - puts vCPUs back where they were found: policy/restore.c decides which.
 */
#include "host/proc.h"
#include "host/virt.h"
#include "lib/cpuset.h"
#include "loop/state.h"
#include "policy/restore.h"
#include "report/cpu_log.h"

struct restoring {
	struct virt *virt;
	int64_t deadline_ns;
	bool dry_run;
	int left;
};

/* A mark that cannot be dealt with now stays. */
static bool keep(struct restoring *r, const char *guest, unsigned vcpu, enum restore_why why)
{
	r->left++;
	cpu_log_kept(guest, vcpu, why);
	return true;
}

static enum restore_why why_not(enum virt_result result)
{
	if (result == VIRT_LOST)
		return RESTORE_LOST;
	return result == VIRT_BUSY ? RESTORE_JOB : RESTORE_REFUSED;
}

static bool put_back(struct restoring *r, const struct mark *m, const struct vcpu_live *live,
		     struct cpuset *to)
{
	enum virt_result result = VIRT_DONE;

	if (!r->dry_run)
		result = virt_pin(r->virt, m->uuid, m->run, m->vcpu, to, false);
	if (result == VIRT_GONE)
		return false;
	if (result != VIRT_DONE)
		return keep(r, live->guest, m->vcpu, why_not(result));
	cpu_log_put_back(live->guest, m->vcpu, &live->mask, to,
			 r->dry_run ? PIN_WOULD : PIN_DONE);
	return false;
}

/* Tells whether the mark is still needed. */
static bool restore_one(const struct mark *m, void *arg)
{
	struct restoring *r = arg;
	struct vcpu_live live;
	struct cpuset to;
	enum virt_result result;
	enum restore_why why;

	if (proc_now_ns() >= r->deadline_ns) {
		r->left++;
		return true;
	}
	if (m->target_kib || cpuset_count(&m->asked[0]) == 0 ||
	    virt_run(r->virt, m->uuid) != m->run)
		return false;
	result = virt_vcpu(r->virt, m->uuid, m->vcpu, &live);
	if (result == VIRT_GONE)
		return false;
	if (result != VIRT_DONE)
		return keep(r, "a vCPU", m->vcpu, why_not(result));
	why = restore_decide(&m->found, m->asked, &live.mask, &live.online, &to);
	if (restore_part(why) == RESTORE_KEEPS)
		return keep(r, live.guest, m->vcpu, why);
	if (restore_part(why) == RESTORE_FORGETS)
		cpu_log_others(live.guest, m->vcpu, why, &live.mask);
	else if (!cpuset_equal(&live.mask, &to))
		return put_back(r, m, &live, &to);
	return false;
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
