/*
 * metrics.c - figures for Prometheus, in a file for node_exporter's textfile collector: the
 * whole file is replaced after each decision of a loop, with the other's figures as they were.
 */
#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host/log.h"
#include "host/runtime.h"
#include "lib/units.h"
#include "lib/uuid.h"
#include "policy/cpu.h"
#include "policy/mem.h"
#include "report/metrics.h"

enum part {
	PART_CPU,
	PART_MEM,
	PARTS,
};

/* What each loop said last; guarded by lock. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char *text[PARTS];
static bool unwritten; /* said so in the log */

/* ---- the file ---- */

static void parts_print(FILE *f, const void *arg)
{
	const char *const *part = arg;

	fputs("# HELP vmbal_build_info The version that writes this\n"
	      "# TYPE vmbal_build_info gauge\n"
	      "vmbal_build_info{version=\"" VMBAL_VERSION "\"} 1\n",
	      f);
	for (int i = 0; i < PARTS; i++)
		if (part[i])
			fputs(part[i], f);
}

/* Takes over a part's new text, which is complete once f is closed. */
static void publish(const char *path, enum part part, FILE *f, char **whole)
{
	bool cut = ferror(f);
	char *news;
	int result;

	cut |= fclose(f) != 0;
	news = *whole;
	if (cut) { /* no memory for it: the last one stays */
		free(news);
		return;
	}
	pthread_mutex_lock(&lock);
	free(text[part]);
	text[part] = news;
	result = runtime_replace(path, parts_print, text);
	log_change(&unwritten, result < 0, path, strerror(errno));
	pthread_mutex_unlock(&lock);
}

void metrics_end(const char *path)
{
	pthread_mutex_lock(&lock);
	unlink(path);
	for (int i = 0; i < PARTS; i++) {
		free(text[i]);
		text[i] = NULL;
	}
	pthread_mutex_unlock(&lock);
}

/* ---- the format ---- */

static void head(FILE *f, const char *name, const char *type, const char *help)
{
	fprintf(f, "# HELP vmbal_%s %s\n# TYPE vmbal_%s %s\n", name, help, name, type);
}

static void single(FILE *f, const char *name, const char *type, double value, const char *help)
{
	head(f, name, type, help);
	fprintf(f, "vmbal_%s %.17g\n", name, value);
}

static void labels(FILE *f, const char *name, const char *guest, const unsigned char *uuid)
{
	fprintf(f, "vmbal_%s{domain=\"", name);
	for (; *guest; guest++) {
		if (*guest == '\\' || *guest == '"')
			fputc('\\', f);
		if (*guest == '\n')
			fputs("\\n", f);
		else
			fputc(*guest, f);
	}
	fputs("\",uuid=\"", f);
	uuid_print(f, uuid);
	fputc('"', f);
}

/* ---- the figures ---- */

/* What the pCPUs lack once the plan is carried out: only another host can help. */
static double unmet_cpus(const struct cpu_host *h)
{
	double unmet = 0;

	for (size_t i = 0; i < h->nbins; i++)
		unmet += fmax(0, h->bin[i].plan.planned - h->bin[i].now.capacity);
	return unmet;
}

static void cpu_figures(FILE *f, const struct cpu_host *h, const struct cpu_report *r,
			uint64_t pins)
{
	single(f, "pins_total", "counter", (double)pins, "vCPUs pinned since the start");
	single(f, "pcpu_imbalance_cpus", "gauge", r->imbalance / POINTS_PER_CPU,
	       "Standard deviation of the bins' loads");
	single(f, "pcpu_peak_load_ratio", "gauge", r->peak,
	       "Peak load: the highest load of a bin over its capacity");
	single(f, "pcpu_lower_bound_ratio", "gauge", r->lower_bound,
	       "Lower bound of the peak load: that of the best placement");
	single(f, "cpu_unmet_demand_cpus", "gauge", unmet_cpus(h),
	       "Demand that no placement on this host satisfies");
	head(f, "pcpu_load_cpus", "gauge", "What is asked for, by bin (its first pCPU)");
	for (size_t i = 0; i < h->nbins; i++)
		if (h->bin[i].now.capacity > 0)
			fprintf(f, "vmbal_pcpu_load_cpus{pcpu=\"%zu\"} %.17g\n", i,
				h->bin[i].plan.load);
	head(f, "vcpu_demand_cpus", "gauge", "What a vCPU would use with nothing in its way");
	for (size_t i = 0; i < h->n; i++) {
		labels(f, "vcpu_demand_cpus", h->vcpu[i].guest, h->vcpu[i].uuid);
		fprintf(f, ",vcpu=\"%u\"} %.17g\n", h->vcpu[i].number, h->vcpu[i].plan.demand);
	}
}

static double bytes(uint64_t kib)
{
	return (double)kib * BYTES_PER_KIB;
}

static void guest_figures(FILE *f, const struct guest *g, size_t n)
{
	const struct {
		const char *name, *help;
		size_t offset;
	} figures[] = {
		{ "guest_memory_bytes", "What its balloon leaves a guest",
		  offsetof(struct guest, now.actual_kib) },
		{ "guest_memory_demand_bytes", "What a guest uses and cannot give",
		  offsetof(struct guest, plan.demand_kib) },
		{ "guest_memory_need_bytes", "What a guest should have",
		  offsetof(struct guest, plan.need_kib) },
		{ "guest_memory_share_bytes", "What sharing the host gives a guest",
		  offsetof(struct guest, plan.share_kib) },
	};

	for (size_t k = 0; k < sizeof(figures) / sizeof(figures[0]); k++) {
		head(f, figures[k].name, "gauge", figures[k].help);
		for (size_t i = 0; i < n; i++) {
			uint64_t kib;

			memcpy(&kib, (const char *)&g[i] + figures[k].offset, sizeof(kib));
			labels(f, figures[k].name, g[i].name, g[i].uuid);
			fprintf(f, "} %.17g\n", bytes(kib));
		}
	}
}

static void guests_hung(FILE *f, const struct guest *g, size_t n)
{
	head(f, "guest_hung", "gauge", "1: its QEMU does not answer");
	for (size_t i = 0; i < n; i++) {
		labels(f, "guest_hung", g[i].name, g[i].uuid);
		fprintf(f, "} %d\n", g[i].now.state == GUEST_HUNG);
	}
}

/* "0 ok, 1 soft" and so on. */
static const char *states_text(void)
{
	static char list[128];
	size_t used = 0;

	for (int i = 0; i < HOST_STATES && used < sizeof(list); i++)
		used += (size_t)snprintf(list + used, sizeof(list) - used, "%s%d %s",
					 i ? ", " : "", i, mem_host_state_name(i));
	return list;
}

static void mem_figures(FILE *f, const struct guest *g, size_t n, const struct mem_report *r,
			uint64_t moves)
{
	single(f, "balloon_moves_total", "counter", (double)moves,
	       "Balloons told to grow or shrink since the start");
	guest_figures(f, g, n);
	guests_hung(f, g, n);
	if (!r->known)
		return;
	single(f, "host_memory_state", "gauge", (double)r->state, states_text());
	single(f, "host_memory_available_bytes", "gauge", bytes(r->available_kib),
	       "What the host's kernel could give");
	single(f, "host_memory_reserve_bytes", "gauge", bytes(r->reserve_kib),
	       "Kept for the host itself");
	single(f, "host_memory_commitment_bytes", "gauge", bytes(r->commitment_kib),
	       "What guests may touch and have not");
	single(f, "host_memory_headroom_bytes", "gauge",
	       (double)r->headroom_kib * BYTES_PER_KIB,
	       "Available less reserve and commitment");
	single(f, "memory_shortfall_bytes", "gauge", bytes(r->shortfall_kib),
	       "Guests' need that this host cannot meet");
}

void metrics_cpu(const char *path, const struct cpu_host *h, const struct cpu_report *r,
		 uint64_t pins)
{
	char *news = NULL;
	size_t len;
	FILE *f = open_memstream(&news, &len);

	if (!f)
		return;
	cpu_figures(f, h, r, pins);
	publish(path, PART_CPU, f, &news);
}

void metrics_mem(const char *path, const struct guest *g, size_t n, const struct mem_report *r,
		 uint64_t moves)
{
	char *news = NULL;
	size_t len;
	FILE *f = open_memstream(&news, &len);

	if (!f)
		return;
	mem_figures(f, g, n, r, moves);
	publish(path, PART_MEM, f, &news);
}
