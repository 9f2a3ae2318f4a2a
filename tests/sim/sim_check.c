/*
 * sim_check.c - what must hold of any decision about simulated guests
 */
#include "lib/cpuset.h"
#include "policy/cpu.h"
#include "tests/sim/sim.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#define TINY 1e-6
/* CPUs: a vCPU that may count as busy, by its demand. */
#define BUSY (cpu_tunables_default.busy_again_cpus)
/* Of a pCPU: what is left of it while its sibling is busy, as the policy reckons. */
#define SHARED ((1 + cpu_tunables_default.smt_gain_cpus) / 2)

/* How full a bin is, hyperthreads considered; planned: with every target reached. */
static double fullness(const struct cpu_host *h, size_t b, bool planned)
{
	double own = planned ? h->bin[b].plan.planned : h->bin[b].plan.load, core = 0, room = 0;
	unsigned threads = 0;

	if (h->bin[b].now.capacity <= 0)
		return 0;
	own /= h->bin[b].now.capacity;
	for (size_t k = 0; k < h->nbins; k++) {
		if (h->bin[k].now.core != h->bin[b].now.core || h->bin[k].now.capacity <= 0)
			continue;
		core += planned ? h->bin[k].plan.planned : h->bin[k].plan.load;
		room += h->bin[k].now.capacity;
		threads++;
	}
	return h->bin[b].now.core >= 0 && threads == 2 ? fmax(own, core / room / SHARED) : own;
}

static int node_at(const struct cpu_host *h, int bin)
{
	return bin < 0 ? bin : h->bin[bin].now.node;
}

/* Cores that a node has more than busy vCPUs of others than these. */
static double cores_left(const struct cpu_host *h, int node, size_t first, size_t n)
{
	double left = 0;

	for (size_t b = 0; b < h->nbins; b++) {
		bool again = h->bin[b].now.node != node || h->bin[b].now.capacity <= 0;

		for (size_t k = 0; k < b && h->bin[b].now.core >= 0; k++)
			again |= h->bin[k].now.core == h->bin[b].now.core &&
				 h->bin[k].now.capacity > 0;
		left += !again;
	}
	for (size_t i = 0; i < h->n; i++)
		if (i - first >= n && node_at(h, h->vcpu[i].plan.target) == node)
			left -= h->vcpu[i].plan.demand > BUSY;
	return left;
}

/* Where a guest's busy vCPUs have a core each in some node, it has no reason to be split. */
static bool is_crowded(const struct cpu_host *h, size_t first, size_t n)
{
	double busy = 0, left = 0;

	for (size_t i = first; i < first + n; i++)
		busy += h->vcpu[i].plan.demand > BUSY;
	for (size_t b = 0; b < h->nbins; b++)
		if (h->bin[b].now.capacity > 0)
			left = fmax(left, cores_left(h, h->bin[b].now.node, first, n));
	return busy > left;
}

/* A guest that was whole in a node, or nowhere, is whole in one. */
static void check_whole(const struct cpu_host *h, size_t first, size_t n)
{
	const struct vcpu *v = &h->vcpu[first];
	bool was = true, is = true, held = false;
	double room = 0;

	for (size_t b = 0; b < h->nbins; b++)
		room += h->bin[b].now.node == node_at(h, v->plan.target)
				? h->bin[b].now.capacity
				: 0;
	for (size_t i = 0; i < n; i++) {
		was &= node_at(h, v[i].now.bin) == node_at(h, v->now.bin);
		is &= node_at(h, v[i].plan.target) == node_at(h, v->plan.target);
		held |= v[i].now.memory.cell != v->now.memory.cell ||
			v[i].now.memory.interleaved;
		held |= vcpu_part(v[i].plan.why) == VCPU_FIXED ||
			v[i].now.allowed != v->now.allowed || v[i].plan.target < 0;
	}
	assert(!was || is || held || (double)n > room || is_crowded(h, first, n));
}

static void check_guests(const struct cpu_host *h)
{
	size_t end;

	for (size_t i = 0; i < h->n; i = end) {
		for (end = i + 1;
		     end < h->n && !memcmp(h->vcpu[end].uuid, h->vcpu[i].uuid, UUID_LEN);)
			end++;
		check_whole(h, i, end - i);
	}
}

void sim_check(const struct sim *s)
{
	const struct cpu_host *h = &s->view.host;
	const struct cpu_report *r = &s->report;
	double now = 0, then = 0;
	size_t moves = 0;

	check_guests(h);

	for (size_t i = 0; i < h->n; i++) {
		const struct vcpu *v = &h->vcpu[i];

		if (!vcpu_is_to_pin(v))
			continue;
		moves++;
		assert(v->plan.target >= 0 && (size_t)v->plan.target < h->nbins);
		assert(cpuset_has(v->now.allowed, (unsigned)v->plan.target));
		assert(h->bin[v->plan.target].now.capacity > 0);
		assert(v->plan.why != VCPU_STAYS && !v->now.held);
	}
	assert(moves == r->moves);
	assert((moves > 0) == (cpu_part(r->why) == CPU_SOME || cpu_part(r->why) == CPU_PLAN));
	if (cpu_part(r->why) != CPU_PLAN)
		return;
	for (size_t b = 0; b < h->nbins; b++) {
		now += pow(fullness(h, b, false), 2);
		then += pow(fullness(h, b, true), 2);
	}
	assert(r->peak_after <= r->peak + TINY);
	assert(then <= now + TINY);
	if (r->peak_after <= s->conf.tune.aim * r->lower_bound)
		assert(moves >= r->fewest);
}
