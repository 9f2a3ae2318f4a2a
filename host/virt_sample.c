/*
 * virt_sample.c - the bulk reads: one libvirt call tells of all guests at once, so that a tick
 * costs the same number of calls for a thousand guests as for one.
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "host/virt.h"

/*
 * NOWAIT: without it each domain that a job holds can cost 30 s, one after the other.  Its
 * figures are then missing or old, which the policies take as "not sampled".
 */
#define BULK_FLAGS                                                                             \
	(VIR_CONNECT_GET_ALL_DOMAINS_STATS_ACTIVE | VIR_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT)

#define CPU_STATS_MAX 16            /* more figures than libvirt has of a pCPU */
#define LEARN_NS      10000000000LL /* of a tick, for what is asked of guests one by one */

static uint64_t param_u64(const virTypedParameter *p)
{
	switch (p->type) {
	case VIR_TYPED_PARAM_INT: return p->value.i > 0 ? (uint64_t)p->value.i : 0;
	case VIR_TYPED_PARAM_UINT: return p->value.ui;
	case VIR_TYPED_PARAM_LLONG: return p->value.l > 0 ? (uint64_t)p->value.l : 0;
	case VIR_TYPED_PARAM_ULLONG: return p->value.ul;
	default: return 0;
	}
}

/* Says so when there was no memory for a sample, and when there is again. */
static int starved(bool *said, int result)
{
	log_change(said, result < 0, "reading guests", "out of memory");
	return result;
}

/* Reads the statistics of all running domains and brings the domain table up to date. */
static int bulk_read(struct virt *v, unsigned stats, virDomainStatsRecordPtr **records,
		     bool *said)
{
	int n = virConnectGetAllDomainStats(v->conn, stats, records, BULK_FLAGS);

	if (n < 0) {
		virt_check(v, &v->bulk_bad, "reading domain statistics");
		return -1;
	}
	log_change(&v->bulk_bad, false, "reading domain statistics", "");
	virt_proven(v);
	v->learn_until_ns = proc_now_ns() + LEARN_NS;
	if (domains_sync(v, *records, n) == 0)
		return n;
	virDomainStatsRecordListFree(*records);
	return starved(said, -1);
}

/*
 * A slow daemon is not asked about all its guests in one tick, nor again and again about one
 * that it cannot tell of.  Who is not known yet is left alone.
 */
static bool may_learn(const struct virt *v, const struct refusal *last)
{
	int64_t now_ns = proc_now_ns();

	return now_ns < v->learn_until_ns && now_ns >= last->until_ns && !virt_lost(v);
}

/* ---- vCPUs ---- */

/* Splits "vcpu.3.time" into 3 and "time"; NULL for any other field. */
static const char *vcpu_field(const char *field, unsigned *number)
{
	unsigned long n;
	char *end;

	if (strncmp(field, "vcpu.", 5) || !isdigit((unsigned char)field[5]))
		return NULL;
	n = strtoul(field + 5, &end, 10);
	if (*end != '.' || n > UINT32_MAX)
		return NULL;
	*number = (unsigned)n;
	return end + 1;
}

/* The count of vCPU number among those of this domain, which begin at first; else a new one. */
static struct vcpu_count *vcpu_slot(struct vcpu_sample *s, size_t first, const struct domain *d,
				    unsigned number)
{
	struct vcpu_count *c;

	for (size_t i = s->n; i > first; i--)
		if (s->vcpu[i - 1].number == number)
			return &s->vcpu[i - 1];
	if (array_reserve(&s->vcpu, &s->vcpu_cap, s->n + 1, sizeof(*s->vcpu)) < 0)
		return NULL;
	c = &s->vcpu[s->n++];
	memset(c, 0, sizeof(*c));
	memcpy(c->uuid, d->uuid, UUID_LEN);
	c->number = number;
	c->run = d->id;
	c->boot_id = d->boot_id;
	c->run_ns = c->wait_ns = UINT64_MAX;
	return c;
}

static int vcpu_param(struct vcpu_sample *s, size_t first, const struct domain *d,
		      const virTypedParameter *p)
{
	unsigned number;
	const char *leaf = vcpu_field(p->field, &number);
	struct vcpu_count *c;

	if (!leaf || (strcmp(leaf, "time") && strcmp(leaf, "delay")))
		return 0;
	c = vcpu_slot(s, first, d, number);
	if (!c)
		return -1;
	if (strcmp(leaf, "time") == 0)
		c->run_ns = param_u64(p);
	else
		c->wait_ns = param_u64(p);
	return 0;
}

static unsigned vcpus_maximum(const virDomainStatsRecord *r)
{
	for (int i = 0; i < r->nparams; i++)
		if (strcmp(r->params[i].field, "vcpu.maximum") == 0)
			return (unsigned)param_u64(&r->params[i]);
	return 0;
}

/* A vCPU without run time or without a known mask is not ours to judge: it is left out. */
static void vcpus_finish(struct vcpu_sample *s, size_t first, const struct domain *d,
			 bool blocked, unsigned name)
{
	size_t kept = first;

	for (size_t i = first; i < s->n; i++) {
		struct vcpu_count c = s->vcpu[i];

		if (c.run_ns == UINT64_MAX || !d->pins_known || c.number >= d->npins)
			continue;
		c.mask = d->mask[c.number];
		c.fence = d->fence[c.number];
		c.quota = d->quota;
		c.blocked = blocked;
		c.name = name;
		s->vcpu[kept++] = c;
	}
	s->n = kept;
}

static int vcpus_of(struct virt *v, struct vcpu_sample *s, const virDomainStatsRecord *r,
		    unsigned index)
{
	unsigned char uuid[UUID_LEN];
	unsigned maximum = vcpus_maximum(r);
	size_t first = s->n;
	struct domain *d;
	int64_t now_ns;

	virDomainGetUUID(r->dom, uuid);
	d = domain_find(v, uuid);
	if (!d || !d->managed || maximum == 0)
		return 0;
	if (!d->policy_known && may_learn(v, &d->ask_policy))
		domain_learn_policy(v, d);
	if (!d->policy_read || d->policy.cpu_off)
		return 0;
	if ((!d->pins_known || d->npins < maximum) && may_learn(v, &d->ask_masks))
		domain_learn_cpu(v, d, maximum);
	memcpy(s->name[index], d->name, sizeof(d->name));
	for (int i = 0; i < r->nparams; i++)
		if (vcpu_param(s, first, d, &r->params[i]) < 0)
			return -1;
	now_ns = proc_now_ns();
	vcpus_finish(s, first, d, now_ns < d->job.until_ns || now_ns < d->pins.until_ns, index);
	return 0;
}

static int by_uuid_number(const void *a, const void *b)
{
	const struct vcpu_count *x = a, *y = b;
	int order = memcmp(x->uuid, y->uuid, UUID_LEN);

	return order ? order : (x->number > y->number) - (x->number < y->number);
}

static int sets_copy(struct virt *v, struct vcpu_sample *s)
{
	if (array_reserve(&s->set, &s->set_cap, v->nsets, sizeof(*s->set)) < 0)
		return -1;
	if (v->nsets)
		memcpy(s->set, v->set, v->nsets * sizeof(*s->set));
	s->nsets = v->nsets;
	return 0;
}

/* An unpinned vCPU's mask tells the pCPUs that were online when it was read. */
static void online_changed(struct virt *v, const struct cpuset *online)
{
	if (memcmp(&v->online, online, sizeof(v->online)) == 0)
		return;
	v->online = *online;
	v->topology_known = false;
	for (size_t i = 0; i < v->ndom; i++)
		v->dom[i].pins_known = false;
}

static int online_read(struct virt *v, struct vcpu_sample *s)
{
	unsigned char *map = NULL;
	int n = virNodeGetCPUMap(v->conn, &map, NULL, 0);

	if (n <= 0) {
		virt_check(v, &v->map_bad, "reading the map of pCPUs");
		return -1;
	}
	log_change(&v->map_bad, false, "reading the map of pCPUs", "");
	v->maplen = VIR_CPU_MAPLEN(n < PCPU_MAX ? n : PCPU_MAX);
	memset(&s->online, 0, sizeof(s->online));
	s->npcpus = 0;
	for (int i = 0; i < n && i < PCPU_MAX; i++) {
		if (!VIR_CPU_USED(map, i))
			continue;
		cpuset_add(&s->online, (unsigned)i);
		s->npcpus = (unsigned)i + 1;
	}
	free(map);
	online_changed(v, &s->online);
	return 0;
}

/* One pCPU of a host that is not this machine. */
static int node_cpu_time(struct virt *v, int cpu, struct cpu_time *t)
{
	virNodeCPUStats stats[CPU_STATS_MAX];
	int n = v->ncpustats;

	if (n == 0 && virNodeGetCPUStats(v->conn, cpu, NULL, &n, 0) < 0)
		return -1;
	if (n <= 0 || n > CPU_STATS_MAX)
		return -1;
	v->ncpustats = n;
	if (virNodeGetCPUStats(v->conn, cpu, stats, &n, 0) < 0)
		return -1;
	for (int i = 0; i < n; i++) {
		if (strcmp(stats[i].field, VIR_NODE_CPU_STATS_IDLE) == 0 ||
		    strcmp(stats[i].field, VIR_NODE_CPU_STATS_IOWAIT) == 0)
			t->idle_ns += stats[i].value;
		else if (strcmp(stats[i].field, VIR_NODE_CPU_STATS_UTILIZATION) != 0)
			t->busy_ns += stats[i].value;
	}
	return 0;
}

static int pcpus_read(struct virt *v, struct vcpu_sample *s)
{
	if (array_reserve(&s->pcpu, &s->pcpu_cap, s->npcpus, sizeof(*s->pcpu)) < 0)
		return starved(&v->vcpus_starved, -1);
	memset(s->pcpu, 0, s->npcpus * sizeof(*s->pcpu));
	if (v->local) {
		bool bad = proc_cpu_times(s->pcpu, s->npcpus) < 0;

		log_change(&v->pcpu_bad, bad, "/proc/stat", "cannot be read");
		return bad ? -1 : 0;
	}
	for (unsigned i = 0; i < s->npcpus; i++)
		if (cpuset_has(&s->online, i) && node_cpu_time(v, (int)i, &s->pcpu[i]) < 0) {
			virt_check(v, &v->pcpu_bad, "reading pCPU times");
			return -1;
		}
	log_change(&v->pcpu_bad, false, "reading pCPU times", "");
	return 0;
}

static void host_shape(const struct virt *v, struct vcpu_sample *s)
{
	s->topology = v->topology;
	memset(&s->isolated, 0, sizeof(s->isolated));
	if (v->local)
		proc_isolated(&s->isolated);
}

static int vcpus_fill(struct virt *v, struct vcpu_sample *s, virDomainStatsRecordPtr *records,
		      int n)
{
	if (array_reserve(&s->name, &s->name_cap, (size_t)n, sizeof(*s->name)) < 0)
		return -1;
	s->n = 0;
	for (int i = 0; i < n && !virt_lost(v); i++)
		if (vcpus_of(v, s, records[i], (unsigned)i) < 0)
			return -1;
	if (s->n)
		qsort(s->vcpu, s->n, sizeof(*s->vcpu), by_uuid_number);
	return sets_copy(v, s);
}

/* No event tells of a changed fence: one guest's is read anew in each tick, in turn. */
static void fence_refresh(struct virt *v)
{
	if (v->ndom == 0)
		return;
	v->stale_next = (v->stale_next + 1) % v->ndom;
	v->dom[v->stale_next].pins_known = false;
}

static int vcpus_locked(struct virt *v, struct vcpu_sample *s)
{
	virDomainStatsRecordPtr *records = NULL;
	int64_t begun_ns;
	int n, result;

	if (virt_connected(v) < 0 || online_read(v, s) < 0)
		return -1;
	if (virt_learn_topology(v) < 0 || pcpus_read(v, s) < 0)
		return -1;
	begun_ns = proc_now_ns();
	n = bulk_read(v, VIR_DOMAIN_STATS_STATE | VIR_DOMAIN_STATS_VCPU, &records,
		      &v->vcpus_starved);
	if (n < 0)
		return -1;
	fence_refresh(v);
	s->taken_ns = begun_ns + (proc_now_ns() - begun_ns) / 2;
	host_shape(v, s);
	s->epoch = v->epoch;
	result = starved(&v->vcpus_starved, vcpus_fill(v, s, records, n));
	virDomainStatsRecordListFree(records);
	return virt_lost(v) ? -1 : result; /* lost while guests were asked about */
}

int virt_vcpus(struct virt *v, struct vcpu_sample *sample)
{
	int result;

	virt_enter(v);
	result = vcpus_locked(v, sample);
	virt_leave(v);
	return result;
}

void virt_vcpus_free(struct vcpu_sample *s)
{
	free(s->pcpu);
	free(s->vcpu);
	free(s->name);
	free(s->set);
	memset(s, 0, sizeof(*s));
}

/* ---- guests' memory ---- */

static enum guest_state guest_state(const struct domain *d, uint64_t state)
{
	if (!d->managed || d->policy.mem_off)
		return GUEST_FOREIGN;
	if (state == VIR_DOMAIN_PAUSED || state == VIR_DOMAIN_PMSUSPENDED)
		return GUEST_PAUSED;
	if ((state != VIR_DOMAIN_RUNNING && state != VIR_DOMAIN_BLOCKED) || !d->policy_read)
		return GUEST_BUSY;
	return proc_now_ns() < d->job.until_ns ? GUEST_BUSY : GUEST_RUNNING;
}

static void guest_param(struct guest *g, uint64_t *state, const virTypedParameter *p)
{
	const struct {
		const char *field;
		uint64_t *to;
	} fields[] = {
		{ "state.state", state },
		{ "balloon.current", &g->actual_kib },
		{ "balloon.maximum", &g->max_kib },
		{ "balloon.usable", &g->usable_kib },
		{ "balloon.unused", &g->unused_kib },
		{ "balloon.available", &g->managed_kib },
		{ "balloon.disk_caches", &g->caches_kib },
		{ "balloon.swap_out", &g->swap_out_kib },
		{ "balloon.rss", &g->rss_kib },
		{ "balloon.last-update", &g->last_update_s },
	};

	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
		if (strcmp(p->field, fields[i].field) == 0)
			*fields[i].to = param_u64(p);
}

static void guest_of(struct virt *v, struct guest_sample *s, const virDomainStatsRecord *r)
{
	struct guest *g = &s->guest[s->n];
	unsigned char uuid[UUID_LEN];
	uint64_t state = 0;
	struct domain *d;

	virDomainGetUUID(r->dom, uuid);
	d = domain_find(v, uuid);
	if (!d)
		return;
	if (d->managed && !d->policy_known && may_learn(v, &d->ask_policy))
		domain_learn_policy(v, d);
	if (d->managed && !d->policy.mem_off && !d->period_known && may_learn(v, &d->period))
		domain_learn_period(v, d);
	memset(g, 0, sizeof(*g));
	memcpy(g->uuid, uuid, UUID_LEN);
	memcpy(s->name[s->n], d->name, sizeof(d->name));
	g->name = s->name[s->n];
	g->usable_kib = g->unused_kib = g->caches_kib = KIB_UNKNOWN;
	g->managed_kib = g->swap_out_kib = KIB_UNKNOWN;
	g->boot_id = d->boot_id;
	g->min_kib = d->policy.min_kib;
	g->limit_kib = d->policy.max_kib;
	g->startup_kib = d->policy.startup_kib;
	g->weight = d->policy.weight;
	g->locked = d->locked;
	g->hugepages = d->hugepages;
	for (int i = 0; i < r->nparams; i++)
		guest_param(g, &state, &r->params[i]);
	if (g->actual_kib > g->max_kib) /* no guest holds more, whatever it reports */
		g->actual_kib = g->max_kib;
	g->state = guest_state(d, state);
	if (g->actual_kib && g->max_kib)
		s->n++;
}

static int by_guest_uuid(const void *a, const void *b)
{
	return memcmp(((const struct guest *)a)->uuid, ((const struct guest *)b)->uuid,
		      UUID_LEN);
}

/*
 * Figures of one family only: virNodeGetFreeMemory and its like count something else.
 * Newer servers tell "available"; else free, buffers and cached are added up, which is more
 * than can really be had.
 */
static int node_memory(struct virt *v, struct mem_host *host)
{
	virNodeMemoryStats stats[16];
	uint64_t total = 0, sum = 0, available = 0;
	int n = 0;

	if (virNodeGetMemoryStats(v->conn, VIR_NODE_MEMORY_STATS_ALL_CELLS, NULL, &n, 0) < 0 ||
	    n <= 0 || n > 16)
		return -1;
	if (virNodeGetMemoryStats(v->conn, VIR_NODE_MEMORY_STATS_ALL_CELLS, stats, &n, 0) < 0)
		return -1;
	for (int i = 0; i < n; i++) {
		if (strcmp(stats[i].field, VIR_NODE_MEMORY_STATS_TOTAL) == 0)
			total = stats[i].value;
		else if (strcmp(stats[i].field, "available") == 0)
			available = stats[i].value;
		else
			sum += stats[i].value;
	}
	host->total_kib = total;
	host->available_kib = available ? available : sum;
	return total ? 0 : -1;
}

static void host_memory(struct virt *v, struct mem_host *host)
{
	bool bad;

	memset(host, 0, sizeof(*host));
	host->pressure = -1;
	if (v->local) {
		bad = proc_memory(&host->total_kib, &host->available_kib) < 0;
		proc_memory_pressure(&host->pressure);
	} else {
		bad = node_memory(v, host) < 0;
	}
	if (host->available_kib > host->total_kib) /* a daemon may tell anything */
		host->available_kib = host->total_kib;
	log_change(&v->mem_bad, bad, "reading host memory", "no figures: nothing is decided");
}

static int guests_locked(struct virt *v, struct guest_sample *s)
{
	virDomainStatsRecordPtr *records = NULL;
	int n, result = -1;

	if (virt_connected(v) < 0)
		return -1;
	n = bulk_read(v, VIR_DOMAIN_STATS_STATE | VIR_DOMAIN_STATS_BALLOON, &records,
		      &v->guests_starved);
	if (n < 0)
		return -1;
	s->taken_ns = proc_now_ns();
	s->epoch = v->epoch;
	s->n = 0;
	if (array_reserve(&s->guest, &s->guest_cap, (size_t)n, sizeof(*s->guest)) < 0 ||
	    array_reserve(&s->name, &s->name_cap, (size_t)n, sizeof(*s->name)) < 0)
		goto out;
	for (int i = 0; i < n && !virt_lost(v); i++)
		guest_of(v, s, records[i]);
	if (s->n)
		qsort(s->guest, s->n, sizeof(*s->guest), by_guest_uuid);
	result = 0;
out:
	virDomainStatsRecordListFree(records);
	if (starved(&v->guests_starved, result) < 0 || virt_lost(v))
		return -1;
	host_memory(v, &s->host);
	return 0;
}

int virt_guests(struct virt *v, struct guest_sample *sample)
{
	int result;

	virt_enter(v);
	result = guests_locked(v, sample);
	virt_leave(v);
	return result;
}

void virt_guests_free(struct guest_sample *s)
{
	free(s->guest);
	free(s->name);
	memset(s, 0, sizeof(*s));
}
