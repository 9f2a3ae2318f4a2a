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

#include "tests/fake/fake.h"

#define NS_PER_S 1000000000ULL
#define GIB_KIB  (1ULL << 20)
#define MIB_KIB  1024ULL
#define GUESTS   6
#define URI      "fake:///"
#define BOOT     "6141c3be-386e-4bfb-9e49-6f91bdb0be9d"
#define HEAD     "vmbal state 1\nuri " URI "\nboot " BOOT "\n"
#define UUID     "00112233-4455-6677-8899-aabbccddeeff"

static char dir[] = "/tmp/vmbal-state-XXXXXX", pins[64], shrinks[64], bad[64];
static struct options opt = {
	.uri = URI, .guests = "*", .runtime_dir = dir, .cpu_interval_s = 2, .mem_interval_s = 2
};
static struct virt *virt;
static struct cpu_loop *cpu;
static struct mem_loop *mem;

static bool there(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0;
}

static void start(void)
{
	virt = virt_new(&opt);
	cpu = cpu_loop_new(virt, &opt);
	mem = mem_loop_new(virt, &opt);
}

/* As a SIGKILL does: nothing is settled, nothing restored. */
static void crash(void)
{
	cpu_loop_free(cpu);
	mem_loop_free(mem);
	assert_int_equal(virt_free(virt), 0);
}

static void intervals(unsigned n)
{
	while (n-- > 0) {
		fake_advance(2 * NS_PER_S);
		cpu_loop_tick(cpu);
	}
}

/* Six guests: four pinned to pCPU 0, one to 0 and 1, one that floats; pinned by vmbal then. */
static const uint64_t found[GUESTS] = { 1, 1, 1, 1, 3, 15 };

static void pinned(void)
{
	struct plant_load load = { .work = PLANT_CLOSED, .demand = 0.6 };

	log_init(LOG_PRIO_ERR);
	fake_boot(BOOT);
	fake_host(4, 16 * GIB_KIB, 1);
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
	return cpu_loop_restore(cpu, INT64_MAX);
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
	struct plant_mem_guest rich = { .max_kib = GIB_KIB,
					.start_kib = GIB_KIB,
					.work = { .points = 1, .point = { { 0, 200 << 10 } } },
					.reporting = true };
	struct plant_mem_guest poor = rich;

	(void)state;
	log_init(LOG_PRIO_INFO);
	fake_boot(BOOT);
	fake_host(2, 16 * GIB_KIB, 1);
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
		mem_loop_tick(mem);
		if (i % 2)
			cpu_loop_tick(cpu);
	}
	assert_int_equal(fake_pins(), 0);
	assert_int_equal(fake_heard(" mem: shrink "), 0);
	assert_in_range(fake_heard(" mem: grow guest-0"), 1, 9);
	assert_int_equal(fake_heard("after a crash is not done"), 2); /* of each loop's file */
	assert_int_equal(mkdir(dir, 0700), 0);
	for (unsigned i = 0; i < 20; i++) {
		fake_advance(NS_PER_S);
		mem_loop_tick(mem);
		if (i % 2)
			cpu_loop_tick(cpu);
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
	assert_int_equal(cpu_loop_restore(cpu, 0), (int)before);
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
	fake_host(2, GIB_KIB, 1);
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
		assert_int_equal(m.n, i == 0 || i == 4 ? 0 : i == 2 ? 2 : 1);
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
	struct plant_mem_guest conf = { .max_kib = GIB_KIB,
					.start_kib = GIB_KIB,
					.work = { .points = 1,
						  .point = { { 0, 300.0 * MIB_KIB } } },
					.reporting = true };
	struct plant_mem_truth truth;

	log_init(LOG_PRIO_ERR);
	fake_boot(BOOT);
	fake_host(2, 16 * GIB_KIB, 1);
	fake_guest(1, &load, &conf);
	start();
	for (unsigned k = 0; k < 120 && !there(shrinks); k++) {
		fake_advance(NS_PER_S);
		mem_loop_tick(mem);
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
	mem_loop_tick(mem);
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
	assert_int_equal(mem_loop_restore(mem), 0);
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
	mem_loop_settle(mem);
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
	assert_int_equal(mem_loop_restore(mem), -1);
	assert_int_equal(mem_loop_settle(mem), 1);
	crash();
	start();
	mem_loop_tick(mem);
	assert_int_equal(mem_loop_settle(mem), 1);
	crash();
	assert_true(there(shrinks));
	fake_dead(false);
	fake_advance(NS_PER_S);
	start();
	assert_int_equal(mem_loop_restore(mem), 0);
	plant_mem_truth(fake_mem(), 0, &truth);
	assert_true(truth.target_kib >= truth.actual_kib);
	assert_int_equal(mem_loop_settle(mem), 0);
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
	assert_int_equal(mem_loop_restore(mem), 0);
	assert_int_equal(fake_balloons(), 1);
	end();
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
