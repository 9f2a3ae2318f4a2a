/*
 * mem_log.c - the memory loop's decisions as log lines: who, from -> to, why, by which figures.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "lib/units.h"
#include "report/mem_log.h"

#define NAME_LEN  20  /* bytes */
#define LINE_TEXT 512 /* bytes */

static unsigned long long mib(uint64_t kib)
{
	return kib / KIB_PER_MIB;
}

void mem_log_host(const struct mem_report *r, enum log_priority priority)
{
	const struct log_field field[] = {
		{ .name = "loop", .text = "mem" },
		{ .name = "event", .text = "host" },
		{ .name = "state", .text = mem_host_state_name(r->state) },
		{ .name = "available_kib", .number = (double)r->available_kib },
		{ .name = "reserve_kib", .number = (double)r->reserve_kib },
		{ .name = "commitment_kib", .number = (double)r->commitment_kib },
		{ .name = "headroom_kib", .number = (double)r->headroom_kib },
		{ .name = "shortfall_kib", .number = (double)r->shortfall_kib },
		{ .name = "held_kib", .number = (double)r->held_kib },
		{ .name = "demand_kib", .number = (double)r->demand_kib },
		{ .name = "grows", .number = r->grows },
		{ .name = "shrinks", .number = r->shrinks },
	};

	log_fields(priority, LOG_FIELDS(field),
		   "mem: host %s: available %llu, reserve %llu, commitment %llu, headroom "
		   "%lld, shortfall %llu MiB; guests hold %llu, demand %llu MiB; %u grow, %u "
		   "shrink",
		   mem_host_state_name(r->state), mib(r->available_kib), mib(r->reserve_kib),
		   mib(r->commitment_kib), (long long)r->headroom_kib / KIB_PER_MIB,
		   mib(r->shortfall_kib), mib(r->held_kib), mib(r->demand_kib), r->grows,
		   r->shrinks);
}

/* Where it is told to be; no command: where it is. */
static uint64_t to_kib(const struct guest *g)
{
	return g->plan.command_kib ? g->plan.command_kib : g->now.actual_kib;
}

/* A command to where it is ends a shrink that is under way. */
static const char *verb(const struct guest *g, enum mem_result result)
{
	enum { SHRINK, GROW, HOLD, WAYS };
	static const char verbs[MEM_RESULTS][WAYS][NAME_LEN] = {
		[MEM_LEFT] = { "leave", "leave", "leave" },
		[MEM_WOULD] = { "would shrink", "would grow", "would hold" },
		[MEM_DONE] = { "shrink", "grow", "hold" },
		[MEM_FAILED] = { "could not change", "could not change", "could not change" },
	};

	if (g->plan.command_kib > g->now.actual_kib)
		return verbs[result][GROW];
	return verbs[result][g->plan.command_kib < g->now.actual_kib ? SHRINK : HOLD];
}

/* A line about a guest: its text is for people, all its figures for programs. */
static void say(const struct guest *g, const char *event, enum log_priority priority,
		const char *text)
{
	const struct log_field field[] = {
		{ .name = "loop", .text = "mem" },
		{ .name = "event", .text = event },
		{ .name = "guest", .text = g->name },
		{ .name = "reason", .text = mem_reason_name(g->plan.reason) },
		{ .name = "actual_kib", .number = (double)g->now.actual_kib },
		{ .name = "to_kib", .number = (double)to_kib(g) },
		{ .name = "target_kib", .number = (double)g->mem.target_kib },
		{ .name = "min_kib", .number = (double)g->now.policy.min_kib },
		{ .name = "max_kib", .number = guest_limit(g) },
		{ .name = "demand_kib", .number = (double)g->plan.demand_kib },
		{ .name = "headroom_kib", .number = (double)g->plan.headroom_kib },
		{ .name = "growth_kib_per_s", .number = g->plan.growth_kib_s },
		{ .name = "floor_kib", .number = (double)g->plan.floor_kib },
		{ .name = "survive_kib", .number = (double)g->plan.survive_kib },
		{ .name = "need_kib", .number = (double)g->plan.need_kib },
		{ .name = "comfort_kib", .number = (double)g->plan.comfort_kib },
		{ .name = "share_kib", .number = (double)g->plan.share_kib },
	};

	log_fields(priority, LOG_FIELDS(field), "mem: %s", text);
}

void mem_log_guest(const struct guest *g, enum mem_result result, enum log_priority priority)
{
	char text[LINE_TEXT];

	if (!log_wants(priority))
		return;
	snprintf(text, sizeof(text),
		 "%s %s %llu -> %llu MiB: %s: demand %llu, headroom %llu, growth %.1f MiB/s, "
		 "floor %llu, need %llu, share %llu MiB",
		 verb(g, result), g->name, mib(g->now.actual_kib), mib(to_kib(g)),
		 mem_reason_name(g->plan.reason), mib(g->plan.demand_kib),
		 mib(g->plan.headroom_kib), g->plan.growth_kib_s / KIB_PER_MIB,
		 mib(g->plan.floor_kib), mib(g->plan.need_kib), mib(g->plan.share_kib));
	say(g, verb(g, result), priority, text);
}

static void say_state(const struct guest *g)
{
	char text[LINE_TEXT];

	snprintf(text, sizeof(text),
		 "state of %s: %s: holds %llu of %llu..%llu, target %llu, demand %llu, "
		 "headroom %llu, growth %.1f MiB/s, floor %llu, survive %llu, need %llu, "
		 "comfort %llu, share %llu MiB",
		 g->name, mem_reason_name(g->plan.reason), mib(g->now.actual_kib),
		 mib(g->now.policy.min_kib), mib((uint64_t)guest_limit(g)),
		 mib(g->mem.target_kib), mib(g->plan.demand_kib), mib(g->plan.headroom_kib),
		 g->plan.growth_kib_s / KIB_PER_MIB, mib(g->plan.floor_kib),
		 mib(g->plan.survive_kib), mib(g->plan.need_kib), mib(g->plan.comfort_kib),
		 mib(g->plan.share_kib));
	say(g, "state", LOG_PRIO_NOTICE, text);
}

void mem_log_borrowed(const struct mem_report *r)
{
	const struct log_field field[] = {
		{ .name = "loop", .text = "mem" },
		{ .name = "event", .text = "borrowed" },
		{ .name = "borrowed_kib", .number = (double)r->borrowed_kib },
	};

	log_fields(LOG_PRIO_WARNING, LOG_FIELDS(field),
		   "mem: rescues take %llu MiB that is promised to others and not touched yet",
		   mib(r->borrowed_kib));
}

void mem_log_state(const struct mem_view *v, const struct mem_report *r)
{
	if (r->known)
		mem_log_host(r, LOG_PRIO_NOTICE);
	for (size_t i = 0; i < v->n; i++)
		say_state(&v->guest[i]);
}
