/*
 * mem_observe.c - guests are lined up with their history, the host with its limit.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lib/array.h"
#include "lib/units.h"
#include "policy/ledger.h"
#include "policy/mem_observe.h"

/* What a guest's kernel knows nothing of, though its balloon counts it: DIMMs that are offline.
 */
static double offline(const struct mem_tunables *tune, const struct guest_figures *f)
{
	double missing = (double)f->actual_kib - (double)f->managed_kib;
	double kernels = tune->kernel_kib + tune->kernel_part * (double)f->actual_kib;
	double block = tune->block_kib, found = missing - kernels;

	if (fabs(found - (double)f->offline_kib) < tune->block_other * block)
		return (double)f->offline_kib;
	return fmin(fmax(round(found / block) * block, 0), (double)f->kind.dimm_kib);
}

/*
 * Its figures are what they would be without: nobody wants, holds or gives that memory.  Not
 * read from a sample that the balloon moves, since the two figures are not of the same moment.
 */
static void guest_offline(const struct mem_tunables *tune, struct guest *g, int64_t now_ns)
{
	struct guest_figures *f = &g->now;
	int64_t moved_ns = g->need.moved_ns;
	bool still = moved_ns == 0 || now_ns - moved_ns >= ns_of_s(tune->settle_s);

	if (still && f->kind.dimm_kib && !f->kind.huge_kib && f->managed_kib != KIB_UNKNOWN)
		f->offline_kib = (uint64_t)offline(tune, f);
	if (f->offline_kib >= f->actual_kib)
		f->offline_kib = 0;
	f->actual_kib -= f->offline_kib;
	f->max_kib -= f->offline_kib;
}

/* The policy's memory of a guest goes on; what libvirt told now replaces the rest. */
static void guest_carry(struct guest *g, const struct guest *old)
{
	g->need = old->need;
	g->mem = old->mem;
	if (g->now.boot_id != old->now.boot_id)
		return;
	if (g->now.kind.dimm_kib)
		g->now.offline_kib = old->now.offline_kib;
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

		*g = (struct guest){ .name = c->name, .now = c->now };
		memcpy(g->uuid, c->uuid, UUID_LEN);
		while (at < v->n && memcmp(v->guest[at].uuid, g->uuid, UUID_LEN) < 0)
			at++;
		if (at < v->n && memcmp(v->guest[at].uuid, g->uuid, UUID_LEN) == 0)
			guest_carry(g, &v->guest[at]);
		guest_offline(tune, g, now->taken_ns);
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
