/*
 * plant_mem.h - the memory of a simulated host: guests with working sets, page cache, swap
 * and balloons good and bad, and the host's other programs.  Deterministic by its seed;
 * time moves only by plant_mem_advance().
 *
 * What libvirt would show is read with plant_mem_stats(): late, stale or frozen as the real
 * thing is.  What is really so, for the judge only, with plant_mem_truth().
 */
#ifndef PLANT_MEM_H
#define PLANT_MEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum plant_balloon {
	BALLOON_IDEAL,
	BALLOON_SLOW,    /* shrinks at 20 MiB/s, grows at 200 MiB/s */
	BALLOON_STUCK,   /* reports, but never moves */
	BALLOON_FLAKY,   /* stuck for 8 to 20 s now and then */
	BALLOON_LIMITED, /* never goes below limit_kib */
	BALLOON_SELFISH, /* deflates by itself when the guest runs short */
	BALLOON_NONE,    /* no driver: no stats, always at its maximum, says OK to all */
};

#define PLANT_POINTS 24

/* A piecewise linear course of something in time; constant before and after. */
struct plant_course {
	size_t points;
	struct {
		double at_s;
		double kib;
	} point[PLANT_POINTS];
	double *series_kib; /* a value each every_s seconds, in place of the points; or NULL */
	size_t series;
	double every_s;
};

struct plant_mem_guest {
	uint64_t max_kib, start_kib; /* start: balloon settled there at time 0 */
	struct plant_course work;    /* anonymous memory it wants, beyond its kernel's */
	double noise;                /* relative: +- of work, anew each second */
	uint64_t cache_kib;          /* clean page cache it likes to have */
	uint64_t swap_kib;
	enum plant_balloon balloon;
	uint64_t limit_kib; /* BALLOON_LIMITED */
	bool keeps_pages;   /* ballooned pages stay in the host's hands: not discarded */
	bool reporting;     /* free page reporting: freed memory leaves RSS */
	double stale_s;  /* stats freeze from then on; 0: never.  Times count from its start */
	double reboot_s; /* it resets then; 0: never */
	double pause_s, resume_s;
};

struct plant_mem_stats {
	uint64_t actual_kib, usable_kib, unused_kib, caches_kib, managed_kib, swap_out_kib;
	uint64_t rss_kib;
	uint64_t last_update_s; /* 0: never */
	uint64_t boot_id;
	bool reported; /* the four figures of the guest itself are valid */
	bool paused;
};

struct plant_mem_truth {
	bool dead, booting;
	bool stuck;    /* its balloon does not move now */
	bool capacity; /* it wanted more than its maximum */
	uint64_t actual_kib, target_kib;
	uint64_t use_kib;    /* what it cannot give: kernel, anonymous, least cache */
	uint64_t free_kib;   /* what it could use at once */
	uint64_t unused_kib; /* free pages alone */
	uint64_t swapped_kib;
	uint64_t hold_kib; /* what it could touch without asking, VMM's own included */
	uint64_t rss_kib;
};

struct plant_mem;

struct plant_mem *plant_mem_new(uint64_t total_kib, const struct plant_course *others,
				uint64_t seed);
void plant_mem_free(struct plant_mem *p);

/* Adds a guest as if it had run for long; returns its number, from 0. */
size_t plant_mem_add(struct plant_mem *p, const struct plant_mem_guest *conf);

/* Adds a guest that boots now: on all its RAM, until its driver takes it to start_kib. */
size_t plant_mem_start(struct plant_mem *p, const struct plant_mem_guest *conf);

/* The guest is gone, its memory free; those after it move up by one. */
void plant_mem_remove(struct plant_mem *p, size_t guest);

void plant_mem_advance(struct plant_mem *p, int64_t ns);
int64_t plant_mem_now(const struct plant_mem *p);

/* virDomainSetMemory: always "succeeds". */
void plant_mem_target(struct plant_mem *p, size_t guest, uint64_t kib);

void plant_mem_stats(const struct plant_mem *p, size_t guest, struct plant_mem_stats *out);
void plant_mem_truth(const struct plant_mem *p, size_t guest, struct plant_mem_truth *out);

uint64_t plant_mem_total(const struct plant_mem *p);
/* MemAvailable; below zero when the host would be reclaiming: the judge's business. */
int64_t plant_mem_available(const struct plant_mem *p);

double plant_course_at(const struct plant_course *c, double at_s);

#endif
