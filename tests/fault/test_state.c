/*
 * What outlives a crash: masks as they were found and shrinks under way, over a simulated
 * host; and state files that must not be trusted.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
/* cmocka wants the four above first */
#include <cmocka.h>

#include "host/log.h"
#include "host/options.h"
#include "host/runtime.h"
#include "host/virt.h"
#include "lib/cpuset.h"
#include "lib/units.h"
#include "loop/loop.h"
#include "loop/state.h"
#include "policy/sample.h"
#include "tests/fake/fake.h"

#define GUESTS 6
#define URI    "fake:///"
#define BOOT   "6141c3be-386e-4bfb-9e49-6f91bdb0be9d"
#define HEAD   "vmbal state 1\nuri " URI "\nboot " BOOT "\n"
#define UUID   "00112233-4455-6677-8899-aabbccddeeff"

static char dir[] = "/tmp/vmbal-state-XXXXXX", pins[64], shrinks[64], bad[64];
static struct options opt = { OPTIONS_TUNABLES, .uri = URI, .runtime_dir = dir,
			      .cpu_interval_s = 2, .mem_interval_s = 2 };
static struct virt *virt;
static void *cpu;
static void *mem;

static bool there(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0;
}

static void start(void)
{
	virt = virt_new(&opt);
	cpu = cpu_loop_ops.open(virt, &opt);
	mem = mem_loop_ops.open(virt, &opt);
}

/* As a SIGKILL does: nothing is settled, nothing restored. */
static void crash(void)
{
	cpu_loop_ops.close(cpu);
	mem_loop_ops.close(mem);
	assert_int_equal(virt_free(virt), 0);
}

static void intervals(unsigned n)
{
	while (n-- > 0) {
		fake_advance(2 * NS_PER_S);
		cpu_loop_ops.tick(cpu);
	}
}

/* Six guests: four pinned to pCPU 0, one to 0 and 1, one unpinned; pinned by vmbal then. */
static const uint64_t found[GUESTS] = { 1, 1, 1, 1, 3, 15 };

static void pinned(void)
{
	struct plant_load load = { .work = PLANT_CLOSED, .demand = 0.6 };

	log_init(LOG_PRIO_ERR);
	fake_boot(BOOT);
	fake_host(4, 16 * KIB_PER_GIB, 1);
	for (unsigned i = 0; i < GUESTS; i++)
		fake_guest(1, &load, NULL);
	start();
	for (unsigned i = 0; i < GUESTS; i++)
		fake_mask(i, 0, found[i]);
	intervals(20);
	assert_true(fake_pins() >= 3);
	assert_true(there(pins));
}

static unsigned displaced(void)
{
	unsigned n = 0;

	for (unsigned i = 0; i < GUESTS; i++)
		n += fake_mask_of(i, 0) != found[i];
	return n;
}

static unsigned first_displaced(void)
{
	for (unsigned i = 0; i < GUESTS; i++)
		if (fake_mask_of(i, 0) != found[i])
			return i;
	fail();
	return 0;
}

static int restore(void)
{
	return cpu_loop_ops.restore(cpu, INT64_MAX);
}

static void end(void)
{
	crash();
	assert_int_equal(fake_refs(), 0);
	assert_int_equal(fake_offences(), 0);
	fake_end();
	unlink(pins);
	unlink(shrinks);
	unlink(bad);
}

static void restores_at_exit(void **state)
{
	(void)state;
	pinned();
	assert_true(displaced() > 0);
	assert_int_equal(restore(), 0);
	assert_int_equal(displaced(), 0);
	assert_false(there(pins));
	end();
}

static void restores_after_a_crash(void **state)
{
	(void)state;
	pinned();
	crash();
	start();
	assert_int_equal(restore(), 0);
	assert_int_equal(displaced(), 0);
	assert_false(there(pins));
	end();
}

static struct cpuset one(unsigned pcpu)
{
	struct cpuset s = { { 0 } };

	cpuset_add(&s, pcpu);
	return s;
}

/* A pin that was asked for and not made is not where ours stands, however many there are. */
static void refused_pins_are_not_ours(void **state)
{
	static const unsigned char uuid[UUID_LEN] = { 1 };
	struct state s = { .uri = URI };
	struct cpuset at[] = { one(0), one(1), one(2), one(3), one(4) };
	const struct mark *m;

	(void)state;
	assert_int_equal(state_pin(&s, uuid, 1, 0, &at[0], &at[0], &at[1]), 0); /* made */
	assert_int_equal(state_pin(&s, uuid, 1, 0, &at[1], &at[1], &at[2]), 0); /* not made */
	assert_int_equal(state_pin(&s, uuid, 1, 0, &at[1], &at[1], &at[3]), 0); /* not made */
	assert_int_equal(state_pin(&s, uuid, 1, 0, &at[1], &at[1], &at[4]), 0);
	m = s.marks.mark;
	assert_int_equal(s.marks.n, 1);
	assert_true(cpuset_equal(&m->found, &at[0]));
	assert_true(cpuset_equal(&m->asked[0], &at[4]));
	assert_true(cpuset_equal(&m->asked[1], &at[1]));
	assert_int_equal(state_pin(&s, uuid, 1, 0, &at[4], &at[4], &at[2]), 0); /* 4 was */
	m = s.marks.mark;
	assert_true(cpuset_equal(&m->asked[0], &at[2]));
	assert_true(cpuset_equal(&m->asked[1], &at[4]));
	state_close(&s);
}

/* A file that could not be written is written when it can be. */
static void a_failed_write_is_tried_again(void **state)
{
	static const unsigned char uuid[UUID_LEN] = { 1 };
	struct cpuset at[] = { one(0), one(1) };
	struct state s;

	(void)state;
	log_init(LOG_PRIO_ERR);
	fake_boot(BOOT);
	state_open(&s, &opt, "pins");
	assert_int_equal(state_pin(&s, uuid, 1, 0, &at[0], &at[0], &at[1]), 0);
	rmdir(dir);
	state_save(&s);
	assert_false(there(pins));
	assert_int_equal(mkdir(dir, 0700), 0);
	state_save(&s);
	assert_true(there(pins));
	state_close(&s);
	unlink(pins);
}

/* What could not be put back after a crash is not done: no pin, no shrink; growth goes on. */
static void nothing_is_done_that_cannot_be_noted(void **state)
{
	struct plant_load load = { .work = PLANT_CLOSED, .demand = 0.6 };
	struct plant_mem_guest rich = { .max_kib = KIB_PER_GIB,
					.start_kib = KIB_PER_GIB,
					.work = { .points = 1, .point = { { 0, 200 << 10 } } },
					.reporting = true };
	struct plant_mem_guest poor = rich;

	(void)state;
	log_init(LOG_PRIO_INFO);
	fake_boot(BOOT);
	fake_host(2, 16 * KIB_PER_GIB, 1);
	poor.start_kib = 360 << 10;
	for (unsigned i = 0; i < 4; i++) {
		fake_guest(1, &load, i ? &rich : &poor);
		fake_mask(i, 0, 1);
	}
	fake_listen();
	start();
	rmdir(dir);
	for (unsigned i = 0; i < 60; i++) {
		fake_advance(NS_PER_S);
		mem_loop_ops.tick(mem);
		if (i % 2)
			cpu_loop_ops.tick(cpu);
	}
	assert_int_equal(fake_pins(), 0);
	assert_int_equal(fake_heard(" mem: shrink "), 0);
	assert_in_range(fake_heard(" mem: grow guest-0"), 1, 9);
	assert_int_equal(fake_heard("after a crash is not done"), 2); /* of each loop's file */
	assert_int_equal(mkdir(dir, 0700), 0);
	for (unsigned i = 0; i < 20; i++) {
		fake_advance(NS_PER_S);
		mem_loop_ops.tick(mem);
		if (i % 2)
			cpu_loop_ops.tick(cpu);
	}
	assert_true(fake_pins() > 0);
	assert_true(fake_heard(" mem: shrink ") > 0);
	fake_deafen();
	end();
}

/* The masks first seen are those from before the first run, however often it starts. */
static void first_seen_survive(void **state)
{
	struct plant_load load = { .work = PLANT_CLOSED, .demand = 0.9 };

	(void)state;
	pinned();
	crash();
	for (unsigned i = 0; i < 4; i++)
		fake_guest(1, &load, NULL);
	start();
	for (unsigned i = GUESTS; i < GUESTS + 4; i++)
		fake_mask(i, 0, 1);
	intervals(20);
	crash();
	start();
	assert_int_equal(restore(), 0);
	assert_int_equal(displaced(), 0);
	for (unsigned i = GUESTS; i < GUESTS + 4; i++)
		assert_int_equal(fake_mask_of(i, 0), 1);
	end();
}

static void others_pins_stay(void **state)
{
	unsigned i;

	(void)state;
	pinned();
	i = first_displaced();
	crash();
	fake_mask(i, 0, 6);
	start();
	assert_int_equal(restore(), 0);
	assert_int_equal(fake_mask_of(i, 0), 6);
	assert_int_equal(displaced(), 1);
	assert_false(there(pins));
	end();
}

static void gone_guests_are_skipped(void **state)
{
	unsigned i, restarted;
	uint64_t was;

	(void)state;
	pinned();
	i = first_displaced();
	fake_stop_guest(i);
	crash();
	for (restarted = i + 1; fake_mask_of(restarted, 0) == found[restarted]; restarted++)
		;
	was = fake_mask_of(restarted, 0);
	fake_restart_guest(restarted);
	fake_mask(restarted, 0, was);
	start();
	assert_int_equal(restore(), 0);
	assert_int_equal(fake_mask_of(restarted, 0), was);
	assert_false(there(pins));
	end();
}

/* Only what is online is given, and never nothing. */
static void offline_pcpus(void **state)
{
	unsigned after = 0;

	(void)state;
	pinned();
	crash();
	fake_pcpu(0, false);
	start();
	assert_true(restore() > 0);
	for (unsigned i = 0; i < GUESTS; i++)
		assert_true(fake_mask_of(i, 0) != 0);
	assert_true(there(pins));
	crash();
	fake_pcpu(0, true);
	start();
	assert_int_equal(restore(), 0);
	for (unsigned i = 0; i < GUESTS; i++)
		after += fake_mask_of(i, 0) == 1;
	assert_int_equal(after, 4);
	end();
}

/* What there is no time for, and what a job holds, stays in the file. */
static void what_is_left_stays(void **state)
{
	unsigned i, before;

	(void)state;
	pinned();
	before = displaced();
	i = first_displaced();
	assert_int_equal(cpu_loop_ops.restore(cpu, 0), (int)before);
	assert_int_equal(displaced(), before);
	fake_busy(i, true);
	assert_int_equal(restore(), 1);
	assert_int_equal(displaced(), 1);
	assert_true(there(pins));
	fake_busy(i, false);
	crash();
	start();
	assert_int_equal(restore(), 0);
	assert_int_equal(displaced(), 0);
	end();
}

static void a_reboot_makes_it_void(void **state)
{
	unsigned before;

	(void)state;
	pinned();
	before = displaced();
	crash();
	fake_boot("00000000-0000-0000-0000-000000000000");
	start();
	assert_int_equal(restore(), 0);
	assert_int_equal(displaced(), before);
	assert_false(there(bad));
	end();
}

/* Call k of a restore fails, for every k: what was not put back still is in the file. */
static void every_call_of_a_restore_fails(void **state)
{
	unsigned calls = 0;

	(void)state;
	for (unsigned k = 0; k <= calls; k++) {
		unsigned before;

		pinned();
		crash();
		start();
		log_init(LOG_PRIO_ERR - 1);
		before = fake_calls();
		fake_fail_at(k, VIR_ERR_INTERNAL_ERROR);
		restore();
		if (k == 0)
			calls = fake_calls() - before;
		fake_fail_at(0, 0);
		crash();
		start();
		assert_int_equal(restore(), 0);
		assert_int_equal(displaced(), 0);
		end();
	}
	print_message("# %u calls failed in turn\n", calls);
	assert_true(calls > 10);
}

static void a_dry_run_leaves_it(void **state)
{
	unsigned before;

	(void)state;
	pinned();
	before = displaced();
	crash();
	opt.dry_run = true;
	start();
	assert_int_equal(restore(), 0);
	opt.dry_run = false;
	assert_int_equal(displaced(), before);
	assert_true(there(pins));
	end();
}

/* ---- files that are not ours ---- */

static void put(const char *text, mode_t mode)
{
	FILE *f = fopen(pins, "w");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
	assert_int_equal(chmod(pins, mode), 0);
}

/* It is set aside, nothing of it is followed, and the loop starts anew. */
static void refused(void)
{
	log_init(LOG_PRIO_ERR - 1);
	fake_boot(BOOT);
	fake_host(2, KIB_PER_GIB, 1);
	start();
	assert_int_equal(restore(), -1);
	assert_false(there(pins));
	assert_true(there(bad));
	assert_int_equal(fake_pins(), 0);
	end();
}

static void bad_files(void **state)
{
	static const char *const texts[] = { "",
					     "x",
					     "\n\n\n",
					     HEAD "pin\n",
					     "vmbal state 2\nuri " URI "\nboot " BOOT "\n",
					     "vmbal state 1\nuri qemu:///system\nboot " BOOT
					     "\n" };

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		put(texts[i], 0644);
		refused();
	}
	put(HEAD, 0666);
	refused();
	put(HEAD, 0644);
	assert_int_equal(truncate(pins, 5 << 20), 0);
	refused();
	assert_int_equal(symlink("/etc/passwd", pins), 0);
	refused();
	assert_int_equal(mkfifo(pins, 0644), 0);
	refused();
	if (geteuid() == 0) {
		put(HEAD, 0644);
		assert_int_equal(chown(pins, 65534, 65534), 0);
		refused();
	}
}

static void texts(void **state)
{
	static const char *const good[] = {
		HEAD,
		HEAD "pin " UUID " 1 0 0-3 1 2\n",
		HEAD "pin " UUID " 1 0 0-4095 1 2\npin " UUID " 1 1 0 1 2\n",
		HEAD "shrink " UUID " 7 524288\n",
		"vmbal state 1\nuri " URI "\nboot another\nwhat an earlier boot left\n",
		HEAD "found " UUID " 1 0 0-3\npin " UUID " 1 1 0 1 2\n",
	};
	static const char *const wrong[] = {
		HEAD "pin " UUID " 1 0 0-3 1 2",
		HEAD "pin " UUID " 1 0 0-3 1\n",
		HEAD "pin " UUID " 1 0 0-3 1 2 3\n",
		HEAD "pin " UUID " 1 0  1 2\n",
		HEAD "pin " UUID " 1 0 4096 1 2\n",
		HEAD "pin " UUID " 1 65536 0 1 2\n",
		HEAD "pin " UUID " -1 0 0 1 2\n",
		HEAD "pin " UUID " 4294967296 0 0 1 2\n",
		HEAD "pin " UUID "0 1 0 0 1 2\n",
		HEAD "pin 00112233-4455-6677-8899-aabbccddeefg 1 0 0 1 2\n",
		HEAD "pin 001122334455-6677-8899-aabbccddeeff0 1 0 0 1 2\n",
		HEAD "pin " UUID " 1 0 0 1 2\npin " UUID " 1 0 0 1 2\n",
		HEAD "pin " UUID " 1 1 0 1 2\npin " UUID " 1 0 0 1 2\n",
		HEAD "\n",
		HEAD "pin " UUID " 1 0 0 1 2\n\n",
		HEAD "shrink " UUID " 7 0\n",
		HEAD "shrink " UUID " 7 99999999999999\n",
		HEAD "shrink " UUID " 7 1 1\n",
		HEAD "found " UUID " 1 0\n",
		HEAD "found " UUID " 1 0 0-3 1 2\n",
		HEAD "found " UUID " 1 0 x\n",
		HEAD "found " UUID " 1 0 0-3\nfound " UUID " 1 0 0-3\n",
		HEAD "unpin " UUID " 1 0 0 1 2\n",
		"vmbal state 1\nuri " URI "\nboot " BOOT,
		"vmbal state 1\nboot " BOOT "\nuri " URI "\n",
	};
	const char *error;

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		struct marks m;

		assert_int_equal(state_parse(good[i], strlen(good[i]), URI, BOOT, &m, &error),
				 0);
		assert_int_equal(m.n, i == 0 || i == 4 ? 0 : i == 2 || i == 5 ? 2 : 1);
		free(m.mark);
	}
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct marks m = { .n = 7 };

		assert_int_equal(state_parse(wrong[i], strlen(wrong[i]), URI, BOOT, &m, &error),
				 -1);
		assert_non_null(error);
		assert_int_equal(m.n, 7);
	}
	assert_int_equal(state_parse(HEAD "\0\n", sizeof(HEAD) + 1, URI, BOOT, NULL, &error),
			 -1);
}

/* ---- shrinks ---- */

/* A guest that has just been told to shrink; its balloon is slow. */
static uint64_t shrinking(void)
{
	struct plant_load load = { .work = PLANT_CLOSED, .demand = 0.1 };
	struct plant_mem_guest conf = { .max_kib = KIB_PER_GIB,
					.start_kib = KIB_PER_GIB,
					.work = { .points = 1,
						  .point = { { 0, 300.0 * KIB_PER_MIB } } },
					.reporting = true };
	struct plant_mem_truth truth;

	log_init(LOG_PRIO_ERR);
	fake_boot(BOOT);
	fake_host(2, 16 * KIB_PER_GIB, 1);
	fake_guest(1, &load, &conf);
	start();
	for (unsigned k = 0; k < 120 && !there(shrinks); k++) {
		fake_advance(NS_PER_S);
		mem_loop_ops.tick(mem);
	}
	assert_true(there(shrinks));
	plant_mem_truth(fake_mem(), 0, &truth);
	assert_true(truth.target_kib < truth.actual_kib);
	return truth.actual_kib;
}

static void a_crash_leaves_no_shrink(void **state)
{
	struct plant_mem_truth truth;

	(void)state;
	shrinking();
	crash();
	start();
	mem_loop_ops.tick(mem);
	plant_mem_truth(fake_mem(), 0, &truth);
	assert_true(truth.target_kib >= truth.actual_kib);
	assert_int_equal(fake_balloons(), 2);
	end();
}

static void restore_settles_shrinks(void **state)
{
	struct plant_mem_truth truth;

	(void)state;
	shrinking();
	crash();
	start();
	assert_int_equal(mem_loop_ops.restore(mem, INT64_MAX), 0);
	plant_mem_truth(fake_mem(), 0, &truth);
	assert_true(truth.target_kib >= truth.actual_kib);
	assert_false(there(shrinks));
	end();
}

static void an_end_leaves_no_shrink(void **state)
{
	struct plant_mem_truth truth;

	(void)state;
	shrinking();
	mem_loop_ops.take_back(mem);
	plant_mem_truth(fake_mem(), 0, &truth);
	assert_true(truth.target_kib >= truth.actual_kib);
	assert_false(there(shrinks));
	end();
}

/* Nobody was there to take it back: the file stands, whatever ends without a look at guests. */
static void a_dead_daemon_leaves_the_record(void **state)
{
	struct plant_mem_truth truth;

	(void)state;
	shrinking();
	crash();
	fake_dead(true);
	start();
	assert_int_equal(mem_loop_ops.restore(mem, INT64_MAX), -1);
	assert_int_equal(mem_loop_ops.take_back(mem), 1);
	crash();
	start();
	mem_loop_ops.tick(mem);
	assert_int_equal(mem_loop_ops.take_back(mem), 1);
	crash();
	assert_true(there(shrinks));
	fake_dead(false);
	fake_advance(NS_PER_S);
	start();
	assert_int_equal(mem_loop_ops.restore(mem, INT64_MAX), 0);
	plant_mem_truth(fake_mem(), 0, &truth);
	assert_true(truth.target_kib >= truth.actual_kib);
	assert_int_equal(mem_loop_ops.take_back(mem), 0);
	assert_false(there(shrinks));
	end();
}

/* A restarted guest goes to the size it is defined with: nothing of ours is in its way. */
static void a_restarted_guest_is_left(void **state)
{
	(void)state;
	shrinking();
	crash();
	fake_restart_guest(0);
	start();
	assert_int_equal(mem_loop_ops.restore(mem, INT64_MAX), 0);
	assert_int_equal(fake_balloons(), 1);
	end();
}

/* ---- guests that have no definition to stay inside ---- */

/* Eight guests on four pCPUs: six begin on the first two, one on the others, one is unpinned.
 */
#define MANY 8
static const uint64_t begun[MANY] = { 3, 3, 3, 3, 3, 3, 12, 15 };

static void many(bool allowed_found)
{
	struct plant_load load = { .work = PLANT_CLOSED, .demand = 0.6 };

	fake_boot(BOOT);
	fake_host(4, 16 * KIB_PER_GIB, 1);
	opt.allowed_found = allowed_found;
	for (unsigned i = 0; i < MANY; i++) {
		fake_guest(1, &load, NULL);
		fake_allowed(i, 0);
		fake_mask(i, 0, begun[i]);
	}
	start();
}

static unsigned outside(void)
{
	unsigned n = 0;

	for (unsigned i = 0; i < MANY; i++)
		n += (fake_mask_of(i, 0) & ~begun[i]) != 0;
	return n;
}

/* The six that may run on the first two pCPUs are all put on one of them. */
static void crowd(uint64_t mask)
{
	for (unsigned i = 0; i < 6; i++)
		fake_mask(i, 0, mask);
}

static unsigned on(uint64_t mask)
{
	unsigned n = 0;

	for (unsigned i = 0; i < 6; i++)
		n += fake_mask_of(i, 0) == mask;
	return n;
}

/* Also by the next run, which finds them on the pins of this one. */
static void found_is_a_fence(void **state)
{
	(void)state;
	log_init(LOG_PRIO_ERR);
	many(false);
	intervals(20);
	assert_true(outside() > 0); /* it would be better */
	end();
	many(true);
	intervals(3);
	assert_int_equal(fake_pins(), 0);
	assert_true(there(pins)); /* also before there is a pin to put back */
	crowd(1);
	intervals(20);
	assert_int_equal(on(1), 3);
	assert_int_equal(on(2), 3);
	assert_int_equal(outside(), 0);
	crash();
	start();
	crowd(2);
	intervals(20);
	assert_int_equal(on(1), 3);
	assert_int_equal(outside(), 0);
	end();
	opt.allowed_found = false;
}

/* Whichever is narrower: what a definition allows, or the mask that was found. */
static void found_inside_defined(void **state)
{
	(void)state;
	log_init(LOG_PRIO_ERR);
	many(true);
	for (unsigned i = 0; i < MANY; i++)
		fake_allowed(i, i == 6 ? 4 : 9);
	intervals(20);
	assert_int_equal(on(1) + on(3), 6);
	assert_true(fake_mask_of(6, 0) == 4 || fake_mask_of(6, 0) == 12);
	crowd(2); /* where they were found, and may not be */
	intervals(20);
	assert_int_equal(on(1), 6);
	end();
	opt.allowed_found = false;
}

/* A guest's next run is found anew, and what is put back is not kept. */
static void found_of_this_run(void **state)
{
	(void)state;
	log_init(LOG_PRIO_ERR);
	many(true);
	intervals(20);
	for (unsigned i = 0; i < 3; i++) {
		fake_restart_guest(i);
		fake_mask(i, 0, 12);
	}
	intervals(40);
	for (unsigned i = 0; i < MANY; i++)
		assert_int_equal(fake_mask_of(i, 0) & ~(i < 3 ? 12 : begun[i]), 0);
	fake_mask(6, 0, 4); /* which we never pinned */
	log_init(LOG_PRIO_INFO);
	fake_listen();
	assert_int_equal(restore(), 0);
	assert_int_equal(fake_heard("guest-6"), 0);
	fake_deafen();
	assert_int_equal(fake_mask_of(0, 0), 12);
	assert_int_equal(fake_mask_of(3, 0), 3);
	assert_false(there(pins));
	end();
	opt.allowed_found = false;
}

/* By default they may be moved anywhere, which is said once, and by name. */
static void fenceless_are_named(void **state)
{
	(void)state;
	log_init(LOG_PRIO_NOTICE);
	for (unsigned run = 0; run < 2; run++) {
		fake_listen();
		if (run == 0) {
			many(false);
			fake_allowed(0, 15); /* it has a definition */
		} else {
			crash();
			start();
		}
		intervals(20);
		fake_restart_guest(2);
		fake_mask(2, 0, 1);
		intervals(20);
		assert_int_equal(fake_heard("without a persistent definition"), 1);
		for (unsigned i = 0; i < MANY; i++) {
			char name[16];

			snprintf(name, sizeof(name), "guest-%u", i);
			assert_int_equal(fake_heard(name), i > 0 && i < 7);
		}
		fake_deafen();
	}
	end();
	fake_listen();
	many(true);
	intervals(20);
	assert_int_equal(fake_heard("without a persistent definition"), 0);
	fake_deafen();
	end();
	opt.allowed_found = false;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(restores_at_exit),
		cmocka_unit_test(restores_after_a_crash),
		cmocka_unit_test(refused_pins_are_not_ours),
		cmocka_unit_test(a_failed_write_is_tried_again),
		cmocka_unit_test(nothing_is_done_that_cannot_be_noted),
		cmocka_unit_test(first_seen_survive),
		cmocka_unit_test(others_pins_stay),
		cmocka_unit_test(gone_guests_are_skipped),
		cmocka_unit_test(offline_pcpus),
		cmocka_unit_test(what_is_left_stays),
		cmocka_unit_test(a_reboot_makes_it_void),
		cmocka_unit_test(every_call_of_a_restore_fails),
		cmocka_unit_test(a_dry_run_leaves_it),
		cmocka_unit_test(bad_files),
		cmocka_unit_test(texts),
		cmocka_unit_test(a_crash_leaves_no_shrink),
		cmocka_unit_test(restore_settles_shrinks),
		cmocka_unit_test(an_end_leaves_no_shrink),
		cmocka_unit_test(a_dead_daemon_leaves_the_record),
		cmocka_unit_test(a_restarted_guest_is_left),
		cmocka_unit_test(found_is_a_fence),
		cmocka_unit_test(found_inside_defined),
		cmocka_unit_test(found_of_this_run),
		cmocka_unit_test(fenceless_are_named),
	};
	int failed;

	if (!mkdtemp(dir))
		return 1;
	runtime_path(dir, URI, "pins", pins, sizeof(pins));
	runtime_path(dir, URI, "shrinks", shrinks, sizeof(shrinks));
	runtime_path(dir, URI, "pins.bad", bad, sizeof(bad));
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	rmdir(dir);
	return failed;
}
