/*
 * vCPUs with any run and wait, on bins that come and go: the CPU policy's invariants hold.
 */
#include <math.h>

#include "lib/cpuset.h"
#include "policy/cpu.h"
#include "tests/fuzz/fuzz.h"

static const struct cpu_conf conf = { .tune = CPU_TUNABLES_DEFAULT };

#define BINS  6
#define VCPUS 12
#define TICKS 32

struct run {
	struct bytes in;
	struct cpu_host host;
	struct bin bin[BINS];
	struct vcpu vcpu[VCPUS];
	struct cpuset set[4]; /* of bins */
	struct cpu_report report;
};

/* A share of time: mostly of one CPU, now and then what broken counters tell. */
static double share(struct bytes *in)
{
	unsigned b = byte(in);

	if (b < 250)
		return b / 200.0;
	return b == 255 ? -1 : ldexp(byte(in), (int)(b - 250) * 12);
}

/* At least one bin of each set is there. */
static void sets_fill(struct run *r)
{
	for (unsigned s = 0; s < 4; s++) {
		uint64_t wanted = s ? byte(&r->in) : UINT64_MAX;

		memset(&r->set[s], 0, sizeof(r->set[s]));
		for (unsigned b = 0; b < r->host.nbins; b++)
			if (r->bin[b].now.capacity > 0 && (wanted >> b & 1))
				cpuset_add(&r->set[s], b);
		for (unsigned b = 0; b < r->host.nbins && !cpuset_count(&r->set[s]); b++)
			if (r->bin[b].now.capacity > 0)
				cpuset_add(&r->set[s], b);
	}
}

static void bins_fill(struct run *r)
{
	unsigned off = byte(&r->in);

	for (unsigned b = 0; b < r->host.nbins; b++) {
		r->bin[b].now.capacity = b == 0 || !(off >> b & 1) ? 1 + (b & 1) : 0;
		r->bin[b].now.busy = fmin(share(&r->in), r->bin[b].now.capacity);
		r->bin[b].now.core = r->bin[b].now.cache = (int)b / 2;
		r->bin[b].now.node = (int)b / 3;
	}
}

static void vcpu_fill(struct run *r, struct vcpu *v)
{
	unsigned how = byte(&r->in);

	v->now.sampled = how & 3;
	v->now.held = (how & 0x0c) == 4;
	v->past.pinned = false;
	v->now.run = fmax(0, share(&r->in));
	v->now.wait = share(&r->in);
	v->now.quota = how & 0x80 ? share(&r->in) + 1 : 0;
	v->now.allowed = &r->set[how >> 4 & 3];
	if ((how & 0x4c) == 0x4c) /* somebody else moved it */
		v->now.bin = (int)(byte(&r->in) % (r->host.nbins + 2)) - 2;
	if (v->now.bin >= 0 && r->bin[v->now.bin].now.capacity <= 0)
		v->now.bin = BIN_OUTSIDE;
}

static void judge(const struct run *r)
{
	size_t moves = 0;

	MUST(isfinite(r->report.imbalance) && isfinite(r->report.peak));
	MUST(isfinite(r->report.lower_bound) && isfinite(r->report.noise));
	for (size_t i = 0; i < r->host.n; i++) {
		const struct vcpu *v = &r->vcpu[i];

		MUST(isfinite(v->plan.demand) && v->plan.demand >= 0);
		if (v->plan.target == v->now.bin)
			continue;
		moves++;
		MUST(v->plan.target >= 0 && (size_t)v->plan.target < r->host.nbins);
		MUST(cpuset_has(v->now.allowed, (unsigned)v->plan.target));
		MUST(r->bin[v->plan.target].now.capacity > 0);
		MUST(!v->now.held);
	}
	MUST(moves == r->report.moves);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct run r = { .in = { data, data + size } };
	void *work;

	r.host.nbins = 1 + byte(&r.in) % BINS;
	r.host.n = byte(&r.in) % (VCPUS + 1);
	r.host.bin = r.bin;
	r.host.vcpu = r.vcpu;
	work = malloc(cpu_work_size(r.host.n, r.host.nbins) + 1);
	MUST(work != NULL);
	for (unsigned i = 0; i < r.host.n; i++) {
		r.vcpu[i].uuid[0] = (unsigned char)(i / 2);
		r.vcpu[i].number = i % 2;
		r.vcpu[i].guest = "guest";
		r.vcpu[i].now.bin = (int)(byte(&r.in) % (r.host.nbins + 2)) - 2;
	}
	for (unsigned tick = 0; tick < TICKS && r.in.at < r.in.end; tick++) {
		unsigned how = byte(&r.in);

		r.host.elapsed_s = how & 7 ? 2 : 0.001 + how;
		r.host.churned = (how & 0x30) == 0x30;
		bins_fill(&r);
		sets_fill(&r);
		for (size_t i = 0; i < r.host.n; i++)
			vcpu_fill(&r, &r.vcpu[i]);
		cpu_decide(&r.host, &conf, work, &r.report);
		judge(&r);
		for (size_t i = 0; i < r.host.n && !(how & 8); i++)
			r.vcpu[i].now.bin = r.vcpu[i].plan.target;
	}
	free(work);
	return 0;
}
