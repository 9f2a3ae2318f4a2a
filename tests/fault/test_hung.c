/*
 * Guests whose QEMU hangs: the others are watched on, one line tells of it, and all is as
 * before when they wake.  Time is simulated; the threads that are left in calls are real ones.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
/* cmocka wants the std*.h above first */
#include <cmocka.h>

#include "host/log.h"
#include "host/options.h"
#include "host/proc.h"
#include "host/virt.h"
#include "lib/units.h"
#include "loop/loop.h"
#include "tests/fake/fake.h"

#define INTERVAL_S 2
#define GUESTS     6

static struct options opt = { OPTIONS_TUNABLES, .uri = "fake:///", .overcommit = 1,
			      .cpu_interval_s = INTERVAL_S, .mem_interval_s = INTERVAL_S };
static uint64_t start_kib = 512 << 10;
static struct virt *virt;
static void *cpu;
static void *mem;
static struct guest_sample mems;
static struct vcpu_sample cpus;

/* Idle guests, the last of which grows by 20 MiB/s from second 30 on for half a minute. */
static void begin(unsigned guests)
{
	struct plant_load load = { .work = PLANT_CLOSED, .demand = 0.3 };

	log_init(LOG_PRIO_INFO);
	fake_host(4, 16 * KIB_PER_GIB, 1);
	fake_listen();
	for (unsigned i = 0; i < guests; i++) {
		struct plant_mem_guest conf = { .max_kib = 2 * KIB_PER_GIB,
						.start_kib = start_kib,
						.work = { .points = 1,
							  .point = { { 0, 200 << 10 } } },
						.reporting = true };

		if (i + 1 == guests) {
			conf.work.points = 2;
			conf.work.point[0].at_s = 30;
			conf.work.point[1].at_s = 60;
			conf.work.point[1].kib = 800 << 10;
		}
		fake_guest(1, &load, &conf);
	}
	virt = virt_new(&opt);
	cpu = cpu_loop_ops.open(virt, &opt);
	mem = mem_loop_ops.open(virt, &opt);
}

static double now_s(void)
{
	return (double)(proc_now_ns() - NS_PER_S) / NS_PER_S;
}

/* Both loops, each at its deadlines: a tick that waits makes the next ones late. */
static void run_until(double end_s)
{
	static unsigned seconds;

	while (now_s() < end_s) {
		fake_advance((uint64_t)NS_PER_S);
		mem_loop_ops.tick(mem);
		if (++seconds % INTERVAL_S == 0)
			cpu_loop_ops.tick(cpu);
	}
}

static void release(unsigned guest)
{
	fake_hang(guest, HANG_NOT);
	for (unsigned i = 0; i < 5000 && fake_waiting(); i++)
		usleep(1000);
}

static void end(void)
{
	for (unsigned i = 0; i < GUESTS; i++)
		fake_hang(i, HANG_NOT);
	for (unsigned i = 0; i < 5000 && fake_waiting(); i++)
		usleep(1000);
	usleep(100000); /* until those threads have nothing to do */
	fake_deafen();
	cpu_loop_ops.close(cpu);
	mem_loop_ops.close(mem);
	virt_guests_free(&mems);
	virt_vcpus_free(&cpus);
	assert_int_equal(virt_free(virt), 0);
	assert_int_equal(fake_refs(), 0);
	assert_int_equal(fake_offences(), 0);
	fake_end();
}

static const struct guest_count *sampled(unsigned guest)
{
	assert_int_equal(virt_guests(virt, &mems), 0);
	for (size_t i = 0; i < mems.n; i++)
		if (memcmp(mems.guest[i].uuid, fake_uuid(guest), UUID_LEN) == 0)
			return &mems.guest[i];
	return NULL;
}

static bool sampled_vcpu(unsigned guest)
{
	assert_int_equal(virt_vcpus(virt, &cpus), 0);
	for (size_t i = 0; i < cpus.n; i++)
		if (memcmp(cpus.vcpu[i].uuid, fake_uuid(guest), UUID_LEN) == 0)
			return true;
	return false;
}

static struct plant_mem_truth truth(unsigned guest)
{
	struct plant_mem_truth t;

	plant_mem_truth(fake_mem(), guest, &t);
	return t;
}

/* Since the n guests from 0 on hang: the last one grows, and has what it needs. */
static void others_are_rescued(unsigned n)
{
	double since_s = now_s();
	char text[64];

	run_until(since_s + 2 * INTERVAL_S);
	for (unsigned i = 0; i < GUESTS; i++) {
		snprintf(text, sizeof(text),
			 "guest-%u: hung: its QEMU has not answered for 0.5 s", i);
		assert_int_equal(fake_heard(text), i < n);
	}
	assert_true(sampled_vcpu(GUESTS - 1));
	run_until(62);
	assert_false(truth(GUESTS - 1).dead);
	assert_true(truth(GUESTS - 1).actual_kib > 800 << 10);
	for (unsigned i = 0; i < GUESTS; i++) {
		assert_int_equal(sampled(i)->now.state, i < n ? GUEST_HUNG : GUEST_RUNNING);
		assert_true(sampled(i)->now.actual_kib > 0);
		assert_int_equal(sampled_vcpu(i), i >= n);
	}
	assert_int_equal(fake_heard(": hung: "), n);
	assert_int_equal(fake_waiting(), n);
}

static void all_is_as_before(unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		fake_hang(i, HANG_NOT);
	release(0);
	run_until(now_s() + 2 * INTERVAL_S);
	for (unsigned i = 0; i < GUESTS; i++) {
		assert_int_equal(sampled(i)->now.state, GUEST_RUNNING);
		assert_true(sampled_vcpu(i));
	}
	assert_int_equal(fake_heard("its QEMU answers again"), n);
}

static void one_hangs(void **state)
{
	(void)state;
	begin(GUESTS);
	run_until(28);
	fake_hang(0, HANG_NOW);
	others_are_rescued(1);
	all_is_as_before(1);
	end();
}

/* How many guests the file of metrics says this of. */
static unsigned unresponsive(int yes)
{
	FILE *f = fopen(opt.metrics, "r");
	char line[256], end[8];
	unsigned n = 0;

	assert_non_null(f);
	snprintf(end, sizeof(end), "} %d\n", yes);
	while (fgets(line, sizeof(line), f))
		n += strncmp(line, "vmbal_guest_hung{", 17) == 0 && strstr(line, end);
	fclose(f);
	return n;
}

static void state_and_metrics_tell(void **state)
{
	(void)state;
	opt.metrics = "/tmp/vmbal-test-hung.prom";
	begin(GUESTS);
	run_until(10);
	assert_int_equal(unresponsive(0), GUESTS);
	fake_hang(0, HANG_NOW);
	run_until(16);
	assert_int_equal(unresponsive(1), 1);
	assert_int_equal(unresponsive(0), GUESTS - 1);
	assert_int_equal(fake_heard("mem: state of guest-0: hung"), 0);
	mem_loop_ops.report(mem);
	assert_int_equal(fake_heard("mem: state of guest-0: hung"), 1);
	release(0);
	run_until(22);
	assert_int_equal(unresponsive(0), GUESTS);
	unlink(opt.metrics);
	opt.metrics = NULL;
	end();
}

static void one_hangs_in_anothers_call(void **state)
{
	(void)state;
	begin(GUESTS);
	run_until(28);
	fake_hang(0, HANG_ELSEWHERE);
	run_until(34);
	assert_int_equal(fake_waiting(), 0);
	assert_int_equal(fake_heard("guest-0: hung: "), 1);
	assert_int_equal(sampled(0)->now.state, GUEST_HUNG);
	assert_int_equal(sampled(1)->now.state, GUEST_RUNNING);
	release(0);
	run_until(now_s() + 2 * INTERVAL_S);
	assert_int_equal(sampled(0)->now.state, GUEST_RUNNING);
	assert_int_equal(fake_heard(": hung: "), 1);
	end();
}

static void cpu_ticks(unsigned n)
{
	while (n-- > 0) {
		fake_advance(INTERVAL_S * NS_PER_S);
		cpu_loop_ops.tick(cpu);
	}
}

/* The call that was left with the first one.  Where the memory loop runs, it would notice. */
static void one_hangs_where_a_left_call_goes_on(void **state)
{
	(void)state;
	begin(GUESTS);
	cpu_ticks(4);
	fake_hang(0, HANG_NOW);
	cpu_ticks(3);
	assert_int_equal(fake_heard("guest-0: hung: "), 1);
	fake_hang(1, HANG_NOW);
	fake_hang(0, HANG_NOT);
	usleep(100000); /* until it has gone on */
	cpu_ticks(3);
	assert_int_equal(fake_waiting(), 1);
	assert_int_equal(fake_heard("guest-1: hung: "), 1);
	assert_true(sampled_vcpu(0));
	assert_false(sampled_vcpu(1));
	release(1);
	cpu_ticks(3);
	assert_true(sampled_vcpu(1));
	end();
}

static void three_hang_at_once(void **state)
{
	(void)state;
	begin(GUESTS);
	run_until(28);
	for (unsigned i = 0; i < 3; i++)
		fake_hang(i, HANG_NOW);
	others_are_rescued(3);
	all_is_as_before(3);
	end();
}

/* A client with five requests open is not heard any more: the fourth call is the last. */
static void more_are_waited_for(void **state)
{
	(void)state;
	begin(GUESTS);
	run_until(28);
	for (unsigned i = 0; i < 5; i++)
		fake_hang(i, HANG_NOW);
	run_until(40);
	assert_int_equal(fake_waiting(), 4);
	assert_int_equal(fake_heard("libvirt: too many calls wait for guests that hang"), 1);
	for (unsigned i = 0; i < 4; i++)
		fake_hang(i, HANG_NOT);
	for (unsigned i = 0; i < 5000 && fake_waiting() > 1; i++)
		usleep(1000);
	usleep(100000);
	run_until(now_s() + 2 * INTERVAL_S);
	assert_int_equal(sampled(0)->now.state, GUEST_RUNNING);
	assert_int_equal(sampled(4)->now.state, GUEST_HUNG);
	assert_int_equal(sampled(5)->now.state, GUEST_RUNNING);
	end();
}

/* What it was told is carried out when it wakes, and known until then. */
static void one_hangs_in_a_command(void **state)
{
	uint64_t kib = 600 << 10;

	(void)state;
	begin(GUESTS);
	run_until(10);
	fake_hang(1, HANG_IN_MEMORY);
	assert_int_equal(virt_set_memory(virt, fake_uuid(1), kib), VIRT_HUNG);
	assert_int_equal(virt_set_memory(virt, fake_uuid(1), kib), VIRT_BUSY);
	assert_int_equal(fake_heard("guest-1: hung: "), 1);
	run_until(now_s() + 2 * INTERVAL_S);
	assert_int_equal(sampled(1)->now.state, GUEST_HUNG);
	assert_int_equal(sampled(1)->now.actual_kib, 512 << 10);
	assert_int_equal(sampled(2)->now.state, GUEST_RUNNING);
	release(1);
	run_until(now_s() + 2 * INTERVAL_S);
	assert_int_equal(sampled(1)->now.state, GUEST_RUNNING);
	assert_int_equal(truth(1).target_kib, kib);
	end();
}

/* So that a shrink which nobody may have seen done is watched, and known as not taken back. */
static void one_hangs_in_a_shrink_of_the_loop(void **state)
{
	(void)state;
	start_kib = KIB_PER_GIB;
	begin(GUESTS);
	start_kib = 512 << 10;
	fake_hang(1, HANG_IN_MEMORY);
	for (unsigned s = 0; s < 60 && !fake_heard("guest-1: hung: "); s++)
		run_until(now_s() + 1);
	assert_int_equal(fake_heard("mem: could not change guest-1"), 1);
	run_until(now_s() + INTERVAL_S);
	assert_int_equal(mem_loop_ops.take_back(mem), 1);
	release(1);
	run_until(now_s() + 2 * INTERVAL_S);
	assert_int_equal(mem_loop_ops.take_back(mem), 0);
	end();
}

static void pin_one(unsigned guest, uint64_t bits, enum virt_result expected)
{
	struct cpuset set = { { bits } };

	assert_int_equal(virt_pin(virt, fake_uuid(guest), virt_run(virt, fake_uuid(guest)), 0,
				  &set, true),
			 expected);
}

static void one_hangs_in_a_pin(void **state)
{
	(void)state;
	begin(GUESTS);
	run_until(10);
	fake_hang(2, HANG_IN_PIN);
	pin_one(2, fake_mask_of(2, 0) == 1 ? 2 : 1, VIRT_HUNG);
	assert_int_equal(fake_heard("guest-2: hung: "), 1);
	run_until(now_s() + 2 * INTERVAL_S);
	assert_int_equal(sampled(2)->now.state, GUEST_HUNG);
	assert_true(sampled_vcpu(1));
	release(2);
	run_until(now_s() + 2 * INTERVAL_S);
	assert_int_equal(sampled(2)->now.state, GUEST_RUNNING);
	assert_true(sampled_vcpu(2));
	end();
}

/* No sample of it was ever taken, and what it may use counts all the same. */
static void one_hangs_from_the_start(void **state)
{
	(void)state;
	begin(GUESTS);
	fake_hang(3, HANG_NOW);
	run_until(6);
	assert_int_equal(sampled(3)->now.state, GUEST_HUNG);
	assert_int_equal(sampled(3)->now.max_kib, 2 * KIB_PER_GIB);
	assert_int_equal(sampled(3)->now.actual_kib, 512 << 10);
	assert_true(sampled_vcpu(2) && !sampled_vcpu(3));
	end();
}

/* Who ends while it hangs is gone, and who starts meanwhile is seen. */
static void guests_come_and_go_meanwhile(void **state)
{
	struct plant_load load = { .work = PLANT_CLOSED, .demand = 0.3 };
	struct plant_mem_guest conf = { .max_kib = KIB_PER_GIB,
					.start_kib = KIB_PER_GIB,
					.work = { .points = 1,
						  .point = { { 0, 200 << 10 } } } };

	(void)state;
	begin(GUESTS - 1);
	run_until(10);
	fake_hang(0, HANG_NOW);
	run_until(16);
	fake_guest(1, &load, &conf);
	run_until(20);
	assert_int_equal(sampled(GUESTS - 1)->now.state, GUEST_RUNNING);
	assert_true(sampled_vcpu(GUESTS - 1));
	fake_stop_guest(0);
	assert_null(sampled(0));
	assert_int_equal(fake_heard("answers again"), 0);
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_hangs),
		cmocka_unit_test(state_and_metrics_tell),
		cmocka_unit_test(one_hangs_in_anothers_call),
		cmocka_unit_test(one_hangs_where_a_left_call_goes_on),
		cmocka_unit_test(three_hang_at_once),
		cmocka_unit_test(more_are_waited_for),
		cmocka_unit_test(one_hangs_in_a_command),
		cmocka_unit_test(one_hangs_in_a_shrink_of_the_loop),
		cmocka_unit_test(one_hangs_in_a_pin),
		cmocka_unit_test(one_hangs_from_the_start),
		cmocka_unit_test(guests_come_and_go_meanwhile),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
