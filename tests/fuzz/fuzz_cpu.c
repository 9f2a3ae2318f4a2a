/*
 * vCPUs with any run and wait, on bins that come and go: the CPU policy's invariants hold.
 */
#include <math.h>

#include "tests/fuzz/fuzz.h"

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
			if (r->bin[b].capacity > 0 && (wanted >> b & 1))
				cpuset_add(&r->set[s], b);
		for (unsigned b = 0; b < r->host.nbins && !cpuset_count(&r->set[s]); b++)
			if (r->bin[b].capacity > 0)
				cpuset_add(&r->set[s], b);
	}
}

static void bins_fill(struct run *r)
{
	unsigned off = byte(&r->in);

	for (unsigned b = 0; b < r->host.nbins; b++) {
		r->bin[b].capacity = b == 0 || !(off >> b & 1) ? 1 + (b & 1) : 0;
		r->bin[b].busy = fmin(share(&r->in), r->bin[b].capacity);
		r->bin[b].core = r->bin[b].cache = (int)b / 2;
		r->bin[b].node = (int)b / 3;
	}
}

static void vcpu_fill(struct run *r, struct vcpu *v)
{
	unsigned how = byte(&r->in);

	v->sampled = how & 3;
	v->stuck = (how & 0x0c) == 4;
	v->pinned = false;
	v->run = fmax(0, share(&r->in));
	v->wait = share(&r->in);
	v->quota = how & 0x80 ? share(&r->in) + 1 : 0;
	v->allowed = &r->set[how >> 4 & 3];
	if ((how & 0x4c) == 0x4c) /* somebody else moved it */
		v->bin = (int)(byte(&r->in) % (r->host.nbins + 2)) - 2;
	if (v->bin >= 0 && r->bin[v->bin].capacity <= 0)
		v->bin = BIN_ASTRAY;
}

static void judge(const struct run *r)
{
	size_t moves = 0;

	MUST(isfinite(r->report.spread) && isfinite(r->report.fullest));
	MUST(isfinite(r->report.bound) && isfinite(r->report.noise));
	for (size_t i = 0; i < r->host.n; i++) {
		const struct vcpu *v = &r->vcpu[i];

		MUST(isfinite(v->demand) && v->demand >= 0);
		if (v->target == v->bin)
			continue;
		moves++;
		MUST(v->target >= 0 && (size_t)v->target < r->host.nbins);
		MUST(cpuset_has(v->allowed, (unsigned)v->target));
		MUST(r->bin[v->target].capacity > 0);
		MUST(!v->stuck);
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
		r.vcpu[i].bin = (int)(byte(&r.in) % (r.host.nbins + 2)) - 2;
	}
	for (unsigned tick = 0; tick < TICKS && r.in.at < r.in.end; tick++) {
		unsigned how = byte(&r.in);

		r.host.elapsed_s = how & 7 ? 2 : 0.001 + how;
		r.host.churned = (how & 0x30) == 0x30;
		bins_fill(&r);
		sets_fill(&r);
		for (size_t i = 0; i < r.host.n; i++)
			vcpu_fill(&r, &r.vcpu[i]);
		cpu_decide(&r.host, &cpu_limits_default, work, &r.report);
		judge(&r);
		for (size_t i = 0; i < r.host.n && !(how & 8); i++)
			r.vcpu[i].bin = r.vcpu[i].target;
	}
	free(work);
	return 0;
}
