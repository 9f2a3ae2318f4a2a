/*
 * The whole chain, from libvirt call to libvirt call, over a simulated host: both loops as
 * they are in the program, one process, time as we please.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
/* cmocka wants the four above first */
#include <cmocka.h>

#include "host/log.h"
#include "host/options.h"
#include "host/virt.h"
#include "lib/cpuset.h"
#include "lib/units.h"
#include "loop/loop.h"
#include "tests/fake/fake.h"

#define SEED 1

static struct options opt = { OPTIONS_TUNABLES, .uri = "fake:///", .cpu_interval_s = 2,
			      .mem_interval_s = 2 };
static struct virt *virt;
static void *cpu;
static void *mem;

static void begin(unsigned ncpus, uint64_t total_kib)
{
	log_init(LOG_PRIO_ERR);
	fake_host(ncpus, total_kib, SEED);
	virt = virt_new(&opt);
	cpu = cpu_loop_ops.open(virt, &opt);
	mem = mem_loop_ops.open(virt, &opt);
	assert_non_null(virt);
	assert_non_null(cpu);
	assert_non_null(mem);
}

static void end(void)
{
	cpu_loop_ops.close(cpu);
	mem_loop_ops.close(mem);
	assert_int_equal(virt_free(virt), 0);
	assert_int_equal(fake_refs(), 0);
	assert_int_equal(fake_offences(), 0);
	fake_end();
}

/* Two seconds: two watches of the memory loop, one tick of the CPU loop. */
static void interval(void)
{
	for (int i = 0; i < 2; i++) {
		fake_advance(NS_PER_S);
		mem_loop_ops.tick(mem);
	}
	cpu_loop_ops.tick(cpu);
}

static void intervals(unsigned n)
{
	while (n-- > 0)
		interval();
}

static void guests(unsigned n, double demand, unsigned work_mib)
{
	struct plant_load load = { .work = PLANT_CLOSED, .demand = demand };
	struct plant_mem_guest conf = {
		.max_kib = KIB_PER_GIB,
		.start_kib = KIB_PER_GIB,
		.work = { .points = 1, .point = { { 0, work_mib * (double)KIB_PER_MIB } } },
		.reporting = true
	};

	for (unsigned i = 0; i < n; i++)
		fake_guest(1, &load, &conf);
}

static void all_on_first(unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		fake_mask(i, 0, 1);
}

static void balances(void **state)
{
	(void)state;
	begin(4, 32 * KIB_PER_GIB);
	guests(8, 0.9, 200);
	all_on_first(8);
	intervals(10);
	assert_int_equal(fake_pins(), 6);
	intervals(40);
	assert_int_equal(fake_pins(), 6);
	end();
}

/* Calls made by one quiet interval with n guests, half of them unpinned. */
static unsigned quiet_calls(unsigned n)
{
	unsigned before;

	begin(8, 64 * KIB_PER_GIB);
	guests(n, 0.05, 200);
	for (unsigned i = 0; i < n; i += 2)
		fake_mask(i, 0, 1ULL << (i / 2 % 8));
	intervals(100);
	before = fake_calls() - fake_pins() - fake_balloons();
	interval();
	before = fake_calls() - fake_pins() - fake_balloons() - before;
	end();
	return before;
}

static void calls_do_not_grow(void **state)
{
	unsigned few = quiet_calls(2), many = quiet_calls(50);

	(void)state;
	print_message("# a quiet interval: %u calls with 2 guests, %u with 50\n", few, many);
	assert_int_equal(few, many);
}

static void dry_run_changes_nothing(void **state)
{
	(void)state;
	opt.dry_run = true;
	begin(4, 4 * KIB_PER_GIB);
	guests(8, 0.9, 100);
	all_on_first(8);
	intervals(20);
	assert_int_equal(fake_pins(), 0);
	assert_int_equal(fake_balloons(), 0);
	end();
	opt.dry_run = false;
}

/* It is read-only, and thus cannot change anything by mistake. */
static void dry_run_is_read_only(void **state)
{
	(void)state;
	opt.dry_run = true;
	begin(2, 4 * KIB_PER_GIB);
	guests(2, 0.5, 100);
	intervals(2);
	assert_true(fake_readonly());
	assert_int_equal(fake_period(0), 0);
	end();
	opt.dry_run = false;
}

static void statistics_are_turned_on(void **state)
{
	(void)state;
	begin(2, 4 * KIB_PER_GIB);
	guests(2, 0.5, 100);
	intervals(2);
	assert_false(fake_readonly());
	assert_int_equal(fake_period(0), 1);
	fake_restart_guest(1);
	intervals(2);
	assert_int_equal(fake_period(1), 1);
	end();
}

/* Another client's query, over in a moment, is no reason to leave a guest alone. */
static void a_query_holds_nobody_up(void **state)
{
	(void)state;
	begin(4, 32 * KIB_PER_GIB);
	guests(8, 0.9, 200);
	for (unsigned i = 0; i < 8; i++)
		fake_occupied(i, true);
	all_on_first(8);
	intervals(10);
	assert_int_equal(fake_pins(), 6);
	end();
}

/* A growing guest on a large host that is told to act as a small one. */
static uint64_t held_after_growth(uint64_t limit_kib)
{
	struct plant_load load = { .work = PLANT_CLOSED, .demand = 0.1 };
	struct plant_mem_guest conf = { .max_kib = 8 * KIB_PER_GIB,
					.start_kib = KIB_PER_GIB,
					.work = { .points = 2,
						  .point = { { 0, 400.0 * KIB_PER_MIB },
							     { 200, 3000.0 * KIB_PER_MIB } } },
					.reporting = true };
	struct plant_mem_truth truth;

	opt.host_memory_kib = limit_kib;
	begin(2, 32 * KIB_PER_GIB);
	fake_guest(1, &load, &conf);
	intervals(60);
	plant_mem_truth(fake_mem(), 0, &truth);
	end();
	opt.host_memory_kib = 0;
	return truth.actual_kib;
}

static void host_memory_is_limited(void **state)
{
	(void)state;
	assert_true(held_after_growth(0) > 2 * KIB_PER_GIB);
	assert_true(held_after_growth(2 * KIB_PER_GIB) <= 2 * KIB_PER_GIB);
}

static void memory_alone(void **state)
{
	unsigned before;

	(void)state;
	begin(2, 3 * KIB_PER_GIB);
	guests(2, 0.1, 100);
	fake_metadata(0, "<policy mem='off'/>");
	fake_metadata(1, "<policy mem='off'/>");
	intervals(60);
	assert_int_equal(fake_balloons(), 0);
	before = fake_balloons();
	fake_metadata(0, NULL);
	intervals(60);
	assert_true(fake_balloons() > before);
	end();
}

static void others_are_left_alone(void **state)
{
	const char *nobody[] = { "nobody-*", NULL };

	(void)state;
	opt.guests = nobody;
	begin(4, 4 * KIB_PER_GIB);
	guests(8, 0.9, 100);
	all_on_first(8);
	intervals(20);
	assert_int_equal(fake_pins(), 0);
	assert_int_equal(fake_balloons(), 0);
	end();
	opt.guests = NULL;
}

static const struct cpuset others = { { 0xfe } };

/* Matched by some pattern, if there is one that does not exclude, and by none that does. */
static void patterns(void **state)
{
	static const struct {
		const char *patterns[4];
		unsigned moved; /* bit i: guest i */
	} cases[] = {
		{ { NULL }, 0xff },
		{ { "*" }, 0xff },
		{ { "guest-[0-3]" }, 0x0f },
		{ { "guest-0", "guest-[1-3]" }, 0x0f },
		{ { "!guest-[0-3]" }, 0xf0 },
		{ { "!guest-0", "!guest-1" }, 0xfc },
		{ { "!guest-2", "guest-[0-3]" }, 0x0b },
		{ { "guest-[0-3]", "!guest-2" }, 0x0b },
		{ { "guest-[0-3]", "!guest-3", "guest-3" }, 0x07 },
		{ { "!*", "guest-0" }, 0 },
		{ { "?guest-0", "\\!guest-0" }, 0 },
	};

	(void)state;
	for (size_t c = 0; c < sizeof(cases) / sizeof(cases[0]); c++) {
		unsigned moved = 0;

		opt.guests = (const char **)cases[c].patterns;
		begin(8, 4 * KIB_PER_GIB);
		guests(8, 0.9, 100);
		opt.cpus = &others; /* whoever is managed has to leave pCPU 0 */
		all_on_first(8);
		intervals(6);
		for (unsigned i = 0; i < 8; i++)
			moved |= (unsigned)(fake_mask_of(i, 0) != 1) << i;
		if (moved != cases[c].moved)
			print_error("case %zu\n", c);
		assert_int_equal(moved, cases[c].moved);
		opt.cpus = NULL;
		end();
	}
	opt.guests = NULL;
}

static void fence_is_kept(void **state)
{
	(void)state;
	begin(4, 32 * KIB_PER_GIB);
	guests(8, 0.9, 200);
	for (unsigned i = 0; i < 8; i++)
		fake_allowed(i, 0x3);
	all_on_first(8);
	intervals(40);
	assert_int_equal(fake_pins(), 4);
	end(); /* a pin outside the allowed pCPUs is an offence */
}

/* A job holds one guest for 60 s: the others are placed as soon as without it. */
static void a_busy_minute_delays_nobody(void **state)
{
	unsigned busy_pins, first = 0;

	(void)state;
	begin(4, 32 * KIB_PER_GIB);
	guests(8, 0.9, 200);
	fake_busy(0, true);
	all_on_first(8);
	for (unsigned k = 1; k <= 30; k++) {
		unsigned before = fake_pins();

		interval();
		if (fake_pins() > before && first == 0)
			first = k;
	}
	busy_pins = fake_pins();
	assert_in_range(first, 2, 3);
	assert_in_range(busy_pins, 6, 7);
	assert_int_equal(fake_mask_of(0, 0), 1);
	fake_busy(0, false);
	intervals(60);
	assert_in_range(fake_pins(), busy_pins, busy_pins + 1);
	end();
}

/* Three hogs that cannot move, and a fourth that somebody puts beside the first, ever again. */
static void somebody_elses_guest_is_left_alone(void **state)
{
	unsigned pins;

	(void)state;
	begin(4, 32 * KIB_PER_GIB);
	log_init(LOG_PRIO_NOTICE);
	guests(4, 0.9, 200);
	for (unsigned i = 0; i < 3; i++) {
		fake_allowed(i, 1U << i);
		fake_mask(i, 0, 1U << i);
	}
	fake_listen();
	for (unsigned k = 0; k < 60; k++) {
		if (fake_mask_of(3, 0) != 1)
			fake_mask(3, 0, 1);
		interval();
	}
	assert_int_equal(fake_heard("guest-3/0 is left alone on 0: pinned externally"), 1);
	fake_deafen();
	pins = fake_pins();
	assert_in_range(pins, 2, 4);
	intervals(20);
	assert_int_equal(fake_pins(), pins);
	end();
}

/* The daemon lists guests in any order: masks after the same start are the same. */
static void listing_order_does_not_matter(void **state)
{
	uint64_t mask[2][8];

	(void)state;
	for (unsigned k = 0; k < 2; k++) {
		begin(4, 32 * KIB_PER_GIB);
		fake_reverse(k == 1);
		guests(8, 0.9, 200);
		all_on_first(8);
		intervals(10);
		for (unsigned i = 0; i < 8; i++)
			mask[k][i] = fake_mask_of(i, 0);
		end();
	}
	assert_memory_equal(mask[0], mask[1], sizeof(mask[0]));
}

static void restart_and_hotplug(void **state)
{
	(void)state;
	begin(4, 32 * KIB_PER_GIB);
	guests(6, 0.5, 200);
	intervals(10);
	fake_restart_guest(2);
	fake_stop_guest(3);
	intervals(10);
	fake_pcpu(3, false);
	intervals(10);
	fake_pcpu(3, true);
	fake_restart_guest(3);
	intervals(10);
	end(); /* a pin to an offline pCPU is refused by the host: see fake_offences() */
}

/* A daemon that dies and comes back: the loops pick up where they were. */
static void reconnects(void **state)
{
	(void)state;
	begin(4, 32 * KIB_PER_GIB);
	guests(8, 0.9, 200);
	intervals(2);
	fake_dead(true);
	intervals(5);
	fake_dead(false);
	all_on_first(8);
	intervals(10);
	assert_in_range(fake_pins(), 4, 8);
	end();
}

/*
 * Call k of a run fails, for every k: no crash, no leak, no offence, and the host is balanced
 * in the end all the same.
 */
static void run_with_failure(unsigned k, int code)
{
	begin(4, 16 * KIB_PER_GIB);
	guests(6, 0.6, 300);
	all_on_first(6);
	fake_fail_at(k, code);
	intervals(30);
	assert_in_range(fake_pins(), 4, 8);
	end();
}

static void every_call_fails_once(void **state)
{
	static const int codes[] = { VIR_ERR_INTERNAL_ERROR, VIR_ERR_OPERATION_TIMEOUT,
				     VIR_ERR_NO_DOMAIN, VIR_ERR_OPERATION_INVALID };
	unsigned calls;

	(void)state;
	begin(4, 16 * KIB_PER_GIB);
	guests(6, 0.6, 300);
	all_on_first(6);
	intervals(12);
	calls = fake_calls();
	end();
	print_message("# %u calls fail in turn, each in %zu ways\n", calls,
		      sizeof(codes) / sizeof(codes[0]));
	for (unsigned k = 1; k <= calls; k++)
		for (size_t c = 0; c < sizeof(codes) / sizeof(codes[0]); c++)
			run_with_failure(k, codes[c]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(balances),
		cmocka_unit_test(calls_do_not_grow),
		cmocka_unit_test(dry_run_changes_nothing),
		cmocka_unit_test(dry_run_is_read_only),
		cmocka_unit_test(statistics_are_turned_on),
		cmocka_unit_test(a_query_holds_nobody_up),
		cmocka_unit_test(host_memory_is_limited),
		cmocka_unit_test(memory_alone),
		cmocka_unit_test(others_are_left_alone),
		cmocka_unit_test(patterns),
		cmocka_unit_test(fence_is_kept),
		cmocka_unit_test(a_busy_minute_delays_nobody),
		cmocka_unit_test(somebody_elses_guest_is_left_alone),
		cmocka_unit_test(listing_order_does_not_matter),
		cmocka_unit_test(restart_and_hotplug),
		cmocka_unit_test(reconnects),
		cmocka_unit_test(every_call_fails_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
