/*
 * mem_observe.c - guests are lined up with their history, the host with its limit.
 *
 * A sample and the view before it, both by UUID, are merged: a guest's history goes on in it,
 * and what this sample left out is that of the one before.  Its figures are then put in the
 * terms that the policy thinks in: without DIMMs that its kernel never brought online, within
 * what its owner and its hard limit allow.  Last, the host has no more than --host-memory
 * leaves.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lib/array.h"
#include "lib/units.h"
#include "policy/ledger.h"
#include "policy/mem_observe.h"

/* ---- offline DIMMs: a balloon counts them, its guest's kernel knows nothing of them ---- */

/* What is missing beyond the kernel's own, in whole blocks; max_kib with all DIMMs. */
static double offline(const struct mem_tunables *tune, const struct guest_figures *f,
		      double before)
{
	double missing = (double)f->actual_kib - (double)f->managed_kib;
	double kernels = tune->kernel_kib + tune->kernel_part * (double)f->max_kib;
	double block = tune->block_kib, found = missing - kernels;

	if (fabs(found - before) < tune->block_other * block)
		return before;
	return fmin(fmax(round(found / block) * block, 0), (double)f->kind.dimm_kib);
}

/*
 * Only what its kernel tells anew, or another DIMM, can change it, and not while its balloon
 * moves, since what it tells and what the balloon counts are not of the same moment then.
 */
static bool offline_shows(const struct mem_tunables *tune, const struct guest *g,
			  uint64_t before_kib, int64_t now_ns)
{
	const struct guest_figures *f = &g->now;
	double moved = fabs((double)f->actual_kib - (double)before_kib);
	double news = fabs((double)f->managed_kib - (double)g->mem.managed_kib);

	if (!f->kind.dimm_kib || f->kind.huge_kib || f->managed_kib == KIB_UNKNOWN)
		return false;
	return moved <= tune->moved_kib &&
	       now_ns - g->need.moved_ns >= ns_of_s(tune->settle_s) &&
	       (news >= tune->block_other * tune->block_kib ||
		f->kind.dimm_kib != g->mem.dimm_kib);
}

static void less(uint64_t *kib, double by)
{
	if (*kib)
		*kib = (uint64_t)fmax((double)*kib - by, 1);
}

/* What is remembered of it is in the new terms, too: its raw figures have not moved. */
static void history_shift(struct guest *g, double by)
{
	struct need_history *h = &g->need;
	struct mem_history *m = &g->mem;
	uint64_t *const sizes[] = { &m->target_kib,  &m->accepted_kib, &m->refused_kib,
				    &m->ceiling_kib, &m->from_kib,     &m->progress_kib,
				    &m->flat_kib,    &h->actual_kib };

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		less(sizes[i], by);
	if (by < 0) /* it came online: the guest uses no more than before */
		return;
	less(&m->before_kib, by);
	h->demand_kib = fmax(h->demand_kib - by, 0);
	h->working_kib = fmax(h->working_kib - by, 0);
	for (int i = 0; i < PEAKS_KEPT; i++)
		h->peak_kib[i] = fmax(h->peak_kib[i] - by, 0);
}

/*
 * Its figures are what they would be without: nobody wants, holds or gives that memory.  What
 * it was before a restart holds until its kernel tells.  before_kib: what its balloon counted.
 */
static void guest_offline(const struct mem_tunables *tune, struct guest *g, uint64_t before_kib,
			  int64_t now_ns)
{
	struct guest_figures *f = &g->now;
	double was = (double)g->mem.offline_kib;

	if (offline_shows(tune, g, before_kib, now_ns)) {
		g->mem.offline_kib = (uint64_t)offline(tune, f, was);
		g->mem.managed_kib = f->managed_kib;
		g->mem.dimm_kib = f->kind.dimm_kib;
	}
	if (g->mem.offline_kib > f->kind.dimm_kib)
		g->mem.offline_kib = f->kind.dimm_kib;
	if (g->mem.offline_kib >= f->actual_kib)
		g->mem.offline_kib = 0;
	if ((double)g->mem.offline_kib != was)
		history_shift(g, (double)g->mem.offline_kib - was);
	f->offline_kib = g->mem.offline_kib;
	f->actual_kib -= f->offline_kib;
	f->max_kib -= f->offline_kib;
}

/*
 * The policy's memory of a guest goes on; what libvirt told now replaces the rest.  Its
 * balloon's target does not have what is plugged of virtio-mem, in which terms it is
 * remembered.
 */
static void guest_carry(struct guest *g, const struct guest *old)
{
	g->need = old->need;
	g->mem = old->mem;
	less(&g->mem.target_kib,
	     (double)old->now.kind.virtio_mem_kib - (double)g->now.kind.virtio_mem_kib);
	if (g->now.boot_id != old->now.boot_id)
		return;
	/* NOWAIT leaves these out while another client is in the guest's monitor. */
	if (!g->now.rss_kib)
		g->now.rss_kib = old->now.rss_kib;
	if (!g->now.last_update_s)
		g->now.last_update_s = old->now.last_update_s;
}

/*
 * What its owner did not tell; without a startup, boot() has its own rule.  No minimum that
 * nobody named lies above a limit that somebody did.
 */
static void policy_fill(const struct mem_tunables *tune, struct guest_policy *p)
{
	if (!p->min_kib) {
		p->min_kib = (uint64_t)tune->min_kib;
		if (p->max_kib && p->min_kib > p->max_kib)
			p->min_kib = p->max_kib;
	}
	if (p->weight <= 0)
		p->weight = 1;
}

static void guest_bound(const struct mem_tunables *tune, struct guest *g)
{
	policy_fill(tune, &g->now.policy);
	if (g->now.policy.min_kib < g->now.kind.virtio_mem_kib) /* which no balloon takes */
		g->now.policy.min_kib = g->now.kind.virtio_mem_kib;
	if (g->now.policy.min_kib > g->now.max_kib)
		g->now.policy.min_kib = g->now.max_kib;
}

/* Beyond that its QEMU would be killed: as if its owner had asked for no more. */
static void guest_confine(const struct mem_tunables *tune, struct guest *g)
{
	struct guest_policy *p = &g->now.policy;
	double most;

	if (!g->now.limit_kib)
		return;
	most = fmax((double)g->now.limit_kib - ledger_overhead(tune, g), (double)p->min_kib);
	most = fmax(most, KIB_PER_MIB); /* 0 would be none */
	if (!p->max_kib || most < (double)p->max_kib)
		p->max_kib = (uint64_t)most;
}

static void guests_merge(const struct mem_tunables *tune, struct mem_view *v,
			 const struct guest_sample *now)
{
	size_t at = 0;

	for (size_t i = 0; i < now->n; i++) {
		const struct guest_count *c = &now->guest[i];
		struct guest *g = &v->merged[i];
		uint64_t before_kib = 0; /* of one that was not seen before */

		*g = (struct guest){ .name = c->name, .now = c->now };
		memcpy(g->uuid, c->uuid, UUID_LEN);
		while (at < v->n && memcmp(v->guest[at].uuid, g->uuid, UUID_LEN) < 0)
			at++;
		if (at < v->n && memcmp(v->guest[at].uuid, g->uuid, UUID_LEN) == 0) {
			guest_carry(g, &v->guest[at]);
			before_kib = v->guest[at].now.actual_kib + v->guest[at].now.offline_kib;
		}
		guest_offline(tune, g, before_kib, now->taken_ns);
		guest_confine(tune, g);
		guest_bound(tune, g);
	}
}

/* What was merged is the view now; the room of what it was is used for the next. */
static void guests_swap(struct mem_view *v, size_t n)
{
	struct guest *old = v->guest;
	size_t cap = v->guest_cap;

	v->guest = v->merged;
	v->guest_cap = v->merged_cap;
	v->n = n;
	v->merged = old;
	v->merged_cap = cap;
}

/* What the guests have not taken of the limit is available, if the machine has it too. */
static void host_limit(struct mem_view *v, uint64_t limit_kib)
{
	struct mem_host *host = &v->host;
	uint64_t held = 0, left;

	if (!limit_kib || !host->total_kib)
		return;
	for (size_t i = 0; i < v->n; i++) {
		const struct guest_figures *f = &v->guest[i].now;

		held += f->rss_kib ? f->rss_kib : f->actual_kib;
	}
	if (host->total_kib > limit_kib)
		host->total_kib = limit_kib;
	left = held < limit_kib ? limit_kib - held : 1; /* nothing, but known: 0 is unread */
	if (host->available_kib > left)
		host->available_kib = left;
	if (host->slow_kib > left - host->available_kib)
		host->slow_kib = left - host->available_kib;
}

int mem_observe(const struct mem_tunables *tune, struct mem_view *v, uint64_t limit_kib,
		const struct guest_sample *now)
{
	if (array_reserve(&v->merged, &v->merged_cap, now->n + 1, sizeof(*v->merged)) < 0)
		return -1;
	guests_merge(tune, v, now);
	guests_swap(v, now->n);
	v->host = now->host;
	host_limit(v, limit_kib);
	return 0;
}

void mem_view_free(struct mem_view *v)
{
	array_free(&v->guest, &v->guest_cap);
	array_free(&v->merged, &v->merged_cap);
	memset(v, 0, sizeof(*v));
}

static int by_uuid(const void *uuid, const void *guest)
{
	return memcmp(uuid, ((const struct guest *)guest)->uuid, UUID_LEN);
}

struct guest *mem_view_find(const struct mem_view *v, const unsigned char *uuid)
{
	return v->n ? bsearch(uuid, v->guest, v->n, sizeof(*v->guest), by_uuid) : NULL;
}
