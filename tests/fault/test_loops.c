/*
 * The two loops from one tick to the next: which samples are compared, what is remembered of
 * a guest, which pCPUs are used, and what becomes of a refused command and of an unmet shrink.
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
/* cmocka wants the std*.h above first */
#include <cmocka.h>

#include "host/log.h"
#include "host/options.h"
#include "host/virt.h"
#include "lib/cpuset.h"
#include "lib/units.h"
#include "lib/xml.h"
#include "loop/loop.h"
#include "tests/fake/fake.h"

static struct options opt = { OPTIONS_TUNABLES, .uri = "fake:///", .cpu_interval_s = 2,
			      .mem_interval_s = 2 };
static struct virt *virt;
static void *cpu;
static void *mem;

static void begin(unsigned ncpus, uint64_t total_kib)
{
	log_init(LOG_PRIO_DEBUG);
	fake_host(ncpus, total_kib, 1);
	fake_listen();
	virt = virt_new(&opt);
	cpu = cpu_loop_ops.open(virt, &opt);
	mem = mem_loop_ops.open(virt, &opt);
}

static void end(void)
{
	fake_deafen();
	cpu_loop_ops.close(cpu);
	mem_loop_ops.close(mem);
	assert_int_equal(virt_free(virt), 0);
	assert_int_equal(fake_refs(), 0);
	assert_int_equal(fake_offences(), 0);
	fake_end();
}

static void guest(double demand, unsigned work_mib, enum plant_balloon balloon)
{
	struct plant_load load = { .work = PLANT_CLOSED, .demand = demand };
	struct plant_mem_guest conf = { .max_kib = KIB_PER_GIB,
					.start_kib = KIB_PER_GIB,
					.work = { .points = 1,
						  .point = { { 0, work_mib * 1024.0 } } },
					.balloon = balloon,
					.reporting = true };

	fake_guest(1, &load, &conf);
}

static int tick(void)
{
	fake_advance(2 * NS_PER_S);
	return cpu_loop_ops.tick(cpu);
}

static void ticks(unsigned n)
{
	while (n-- > 0)
		tick();
}

/* Seconds of the memory loop. */
static void watch(unsigned n)
{
	while (n-- > 0) {
		fake_advance(NS_PER_S);
		mem_loop_ops.tick(mem);
	}
}

static struct plant_mem_truth truth(size_t g)
{
	struct plant_mem_truth t;

	plant_mem_truth(fake_mem(), g, &t);
	return t;
}

/* ---- CPU ---- */

/* A pair on each of four pCPUs: nothing to do, whatever the counters do. */
static void pairs_begin(void)
{
	begin(4, 32 * KIB_PER_GIB);
	for (unsigned i = 0; i < 8; i++)
		guest(0.4, 100, BALLOON_IDEAL);
	tick();
	for (unsigned i = 0; i < 8; i++)
		fake_mask(i, 0, 1ULL << i % 4);
	ticks(6);
	assert_int_equal(fake_pins(), 0);
}

static void counters_that_go_back_are_no_sample(void **state)
{
	(void)state;
	pairs_begin();
	fake_rewind(0);
	fake_rewind(5);
	ticks(6);
	assert_int_equal(fake_heard("run 9223"), 0);
	assert_int_equal(fake_pins(), 0);
	end();
}

static void a_restarted_guest_is_no_sample(void **state)
{
	struct plant_load idle = { .work = PLANT_CLOSED, .demand = 0.01 };

	(void)state;
	begin(2, 32 * KIB_PER_GIB);
	guest(0.9, 100, BALLOON_IDEAL);
	plant_set_load(fake_cpus(), fake_task(0, 0), &idle);
	ticks(4);
	fake_restart_guest(0); /* from now on busy: its counter is soon beyond the old one */
	fake_listen();
	tick();
	assert_int_equal(fake_heard("run 0.9") + fake_heard("run 0.8"), 0);
	tick();
	assert_int_equal(fake_heard("run 0.9") + fake_heard("run 0.8"), 1);
	end();
}

/* --once ends when those that are to be placed are. */
static void once_waits_for_who_is_to_be_placed(void **state)
{
	unsigned n = 0;

	(void)state;
	opt.place_unpinned = true;
	begin(2, 32 * KIB_PER_GIB);
	for (unsigned i = 0; i < 4; i++)
		guest(0.1, 100, BALLOON_IDEAL);
	while (tick() != 1 && n < 10)
		n++;
	assert_true(n < 10);
	assert_int_equal(fake_pins(), 4);
	end();
	opt.place_unpinned = false;
}

static void pcpu_counters_that_go_back_are_unknown(void **state)
{
	(void)state;
	pairs_begin();
	fake_listen();
	fake_proc_back(NS_PER_S * 9 / 5); /* a little more than was used since */
	ticks(5);
	assert_int_equal(fake_heard("peak load 0."), 5);
	assert_int_equal(fake_pins(), 0);
	end();
}

static void samples_of_one_moment_are_not_compared(void **state)
{
	(void)state;
	pairs_begin();
	assert_int_equal(tick(), 1);
	fake_listen();
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(cpu_loop_ops.tick(cpu), 0);
	assert_int_equal(fake_heard("cpu:"), 0);
	assert_int_equal(tick(), 1);
	end();
}

static void samples_of_two_connections_are_not_compared(void **state)
{
	(void)state;
	pairs_begin();
	assert_int_equal(tick(), 1);
	fake_dead(true);
	assert_int_equal(tick(), -1);
	fake_dead(false);
	assert_int_equal(tick(), 0);
	assert_int_equal(tick(), 1);
	/* The other loop can have noticed first: then no tick of this one fails. */
	fake_dead(true);
	mem_loop_ops.tick(mem);
	fake_dead(false);
	assert_int_equal(tick(), 0);
	assert_int_equal(tick(), 1);
	assert_int_equal(fake_opens(), 3);
	end();
}

/* One odd interval does not outweigh what a vCPU did before. */
static void history_outweighs_an_interval(void **state)
{
	struct plant_load load = { .work = PLANT_CLOSED, .demand = 0.04 };

	(void)state;
	pairs_begin();
	plant_set_load(fake_cpus(), fake_task(7, 0), &load);
	fake_listen();
	tick();
	assert_int_equal(fake_heard("run 0.0"), 1);
	assert_int_equal(fake_heard("demand 0.0"), 0);
	end();
}

/* What is known of a vCPU outlasts the coming and going of others around it. */
static void history_outlasts_others(void **state)
{
	(void)state;
	pairs_begin();
	fake_listen();
	for (unsigned i = 0; i < 6; i++) {
		fake_stop_guest(i % 2);
		tick();
		fake_restart_guest(i % 2);
		fake_mask(i % 2, 0, 1ULL << i % 2);
		tick();
	}
	assert_int_equal(fake_heard("leave guest-7/0"), 12);
	assert_int_equal(fake_heard("leave guest-7/0 on 3: stays: run 0.4") +
				 fake_heard("leave guest-7/0 on 3: stays: run 0.3"),
			 12);
	end();
}

static void isolated_pcpus_are_not_used(void **state)
{
	(void)state;
	begin(4, 32 * KIB_PER_GIB);
	fake_isolated(0x8);
	for (unsigned i = 0; i < 8; i++)
		guest(0.8, 100, BALLOON_IDEAL);
	tick();
	for (unsigned i = 0; i < 7; i++)
		fake_mask(i, 0, 1);
	fake_mask(7, 0, 0x8); /* the administrator's: it stays */
	ticks(20);
	assert_in_range(fake_pins(), 4, 12);
	for (unsigned i = 0; i < 7; i++)
		assert_true(fake_mask_of(i, 0) == 1 || fake_mask_of(i, 0) == 2 ||
			    fake_mask_of(i, 0) == 4);
	assert_int_equal(fake_mask_of(7, 0), 0x8);
	end();
}

/* At the first sample; a pCPU that goes later may come back. */
static void pcpus_that_are_not_there_are_refused(void **state)
{
	struct cpuset cpus = { { 0x30 } };

	(void)state;
	opt.cpus = &cpus;
	begin(4, 32 * KIB_PER_GIB);
	for (unsigned i = 0; i < 8; i++)
		guest(0.8, 100, BALLOON_IDEAL);
	assert_int_equal(tick(), TICK_REFUSED);
	assert_int_equal(fake_heard("'--cpus' '4-5': must name a pCPU that is online, of 0-3"),
			 1);
	end();
	cpuset_add(&cpus, 3);
	begin(4, 32 * KIB_PER_GIB);
	guest(0.8, 100, BALLOON_IDEAL);
	assert_int_equal(tick(), TICK_WAITING);
	fake_pcpu(3, false);
	tick();
	assert_int_equal(tick(), TICK_DECIDED);
	end();
	opt.cpus = NULL;
}

/* Nor does a build without libxml2 know any of a host that is not this machine. */
static void a_grain_that_is_not_known_is_refused(void **state)
{
	static const struct {
		enum grain grain;
		const char *said;
	} asked[] = { { GRAIN_CORE, "'--grain' 'core': must be cpu, or another" },
		      { GRAIN_CACHE, "'--grain' 'cache': must be cpu, or another" },
		      { GRAIN_NODE, "which pCPUs share a node" } };

	(void)state;
	for (size_t i = 0; i < sizeof(asked) / sizeof(*asked); i++) {
		opt.grain = asked[i].grain;
		begin(4, 32 * KIB_PER_GIB);
		fake_remote(true);
		fake_capabilities("<capabilities><host/></capabilities>");
		guest(0.8, 100, BALLOON_IDEAL);
		assert_int_equal(tick(), TICK_REFUSED);
		assert_int_equal(fake_heard(asked[i].said), 1);
		end();
	}
	opt.grain = GRAIN_CPU;
}

/* ---- memory ---- */

static void a_refusal_is_remembered(void **state)
{
	(void)state;
	begin(2, 8 * KIB_PER_GIB);
	guest(0.1, 50, BALLOON_IDEAL);
	fake_refuse(0, VIR_ERR_INTERNAL_ERROR);
	watch(60);
	/* 10 s after the first, 20 s after the second: less often than libvirt is tried. */
	assert_in_range(fake_heard("could not change guest-0"), 2, 3);
	assert_int_equal(fake_heard("setting its memory: simulated failure"), 1);
	fake_refuse(0, 0);
	watch(60);
	assert_true(fake_balloons() > 0);
	end();
}

#define VIRTIO_MEM(current)                                                                    \
	"<domain><devices><memory model='nvdimm'><target><size unit='MiB'>256</size></target>" \
	"</memory><memory model='virtio-mem'><target><size unit='MiB'>1024</size>"             \
	"<current unit='MiB'>" current "</current></target></memory></devices></domain>"

/* A command counts RAM; what libvirt says that a guest has, what is plugged of virtio-mem, too.
 */
static void memory_devices_beside_the_balloon(void **state)
{
	uint64_t ram_kib;

	(void)state;
	if (!xml_is_read())
		return;
	begin(2, 8 * KIB_PER_GIB);
	guest(0.1, 50, BALLOON_IDEAL);
	fake_devices(0, VIRTIO_MEM("384"), 1280 << 10, 384 << 10);
	watch(120);
	ram_kib = truth(0).actual_kib;
	assert_true(ram_kib < 600 << 10);
	assert_in_range(truth(0).free_kib, 128 << 10, 400 << 10);
	fake_devices(0, VIRTIO_MEM("640"), 1280 << 10, 640 << 10);
	watch(600);
	assert_in_range(truth(0).actual_kib, ram_kib - (64 << 10), ram_kib + (128 << 10));
	fake_devices(0, VIRTIO_MEM("0"), 1280 << 10, 0);
	watch(600);
	assert_in_range(truth(0).actual_kib, ram_kib - (128 << 10), ram_kib + (64 << 10));
	assert_int_equal(fake_heard("could not change"), 0);
	end();
}

static void an_unmet_shrink_is_taken_back(void **state)
{
	unsigned balloons;

	(void)state;
	begin(2, 8 * KIB_PER_GIB);
	guest(0.1, 50, BALLOON_SLOW);
	for (unsigned i = 0; i < 60 && truth(0).target_kib + 20480 > truth(0).actual_kib; i++)
		watch(1);
	assert_true(truth(0).target_kib + 20480 <= truth(0).actual_kib);
	balloons = fake_balloons();
	mem_loop_ops.take_back(mem);
	assert_int_equal(fake_balloons(), balloons + 1);
	assert_true(truth(0).target_kib >= truth(0).actual_kib);
	assert_int_equal(fake_heard("mem: hold guest-0"), 1);
	watch(120); /* goes on, and gets there */
	balloons = fake_balloons();
	mem_loop_ops.take_back(mem);
	assert_int_equal(fake_balloons(), balloons);
	end();
}

/* A balloon that stalls is left alone for longer each time. */
static void stalls_are_remembered(void **state)
{
	(void)state;
	begin(2, 8 * KIB_PER_GIB);
	guest(0.1, 50, BALLOON_STUCK);
	watch(300);
	assert_in_range(fake_heard("mem: shrink guest-0"), 2, 6); /* thrice, and back */
	assert_int_equal(truth(0).target_kib, KIB_PER_GIB);
	end();
}

static void unreadable_host_memory_decides_nothing(void **state)
{
	(void)state;
	begin(2, 8 * KIB_PER_GIB);
	guest(0.1, 50, BALLOON_IDEAL);
	fake_proc_fails(true);
	watch(30);
	assert_int_equal(fake_balloons(), 0);
	assert_true(mem_loop_ops.tick(mem) < 0 ||
		    mem_loop_ops.tick(mem) < 0); /* a decision's */
	fake_proc_fails(false);
	watch(30);
	assert_true(fake_balloons() > 0);
	end();
}

/* ---- the report ---- */

/* What SIGUSR1 and the service manager are told, of this moment only. */
static void the_state_is_told(void **state)
{
	(void)state;
	pairs_begin();
	watch(4);
	assert_string_equal(cpu_loop_ops.status(cpu), "balanced");
	assert_string_equal(mem_loop_ops.status(mem), "host ok");
	fake_listen();
	cpu_loop_ops.report(cpu);
	mem_loop_ops.report(mem);
	assert_int_equal(fake_heard("cpu: balanced: imbalance"), 1);
	assert_int_equal(fake_heard("cpu: state of pCPU "), 4);
	assert_int_equal(fake_heard("cpu: state of pCPU 3: load 0."), 1);
	assert_int_equal(fake_heard("cpu: state of guest-"), 8);
	assert_int_equal(fake_heard("mem: host ok: available"), 1);
	assert_int_equal(fake_heard("mem: state of guest-"), 8);

	fake_proc_fails(true);
	watch(1);
	tick();
	assert_string_equal(mem_loop_ops.status(mem), "host memory unknown");
	assert_string_equal(cpu_loop_ops.status(cpu), "taking samples");
	fake_listen();
	cpu_loop_ops.report(cpu);
	mem_loop_ops.report(mem);
	assert_int_equal(fake_heard("cpu: nothing is known now"), 1);
	assert_int_equal(fake_heard("mem: host"), 0);
	fake_proc_fails(false);

	fake_dead(true);
	watch(1);
	assert_string_equal(mem_loop_ops.status(mem), "taking samples");
	fake_listen();
	mem_loop_ops.report(mem);
	assert_int_equal(fake_heard("mem: nothing is known now"), 1);
	end();
}

static void a_tight_host_is_told(void **state)
{
	(void)state;
	opt.host_memory_kib = 3 * KIB_PER_GIB; /* less than the guests hold already */
	begin(4, 32 * KIB_PER_GIB);
	for (unsigned i = 0; i < 4; i++)
		guest(0.1, 900, BALLOON_IDEAL);
	watch(10);
	assert_string_equal(mem_loop_ops.status(mem), "host out of memory (critical)");
	assert_true(fake_heard("mem: host critical: available 0, ") > 0);
	for (unsigned i = 0; i < 4; i++)
		assert_false(truth(i).dead);
	end();
	opt.host_memory_kib = 0;
}

static void a_dry_run_says_what_it_would_do(void **state)
{
	(void)state;
	opt.dry_run = true;
	begin(4, 32 * KIB_PER_GIB);
	for (unsigned i = 0; i < 8; i++)
		guest(0.5, 100, BALLOON_IDEAL);
	for (unsigned i = 0; i < 8; i++)
		fake_mask(i, 0, 1);
	for (unsigned i = 0; i < 40; i++) {
		watch(2);
		cpu_loop_ops.tick(cpu);
	}
	assert_true(fake_heard("cpu: would pin guest-") > 0);
	assert_int_equal(fake_heard("cpu: pin guest-"), 0);
	assert_int_equal(fake_pins() + fake_balloons(), 0);
	mem_loop_ops.take_back(mem);
	end();
	opt.dry_run = false;
}

/* ---- the log ---- */

static void under_journald_a_line_tells_its_priority(void **state)
{
	struct stat st;
	char stream[64];
	bool bad = false;

	(void)state;
	fake_listen();
	assert_int_equal(fstat(STDERR_FILENO, &st), 0);
	snprintf(stream, sizeof(stream), "%llu:%llu", (unsigned long long)st.st_dev,
		 (unsigned long long)st.st_ino);
	setenv("JOURNAL_STREAM", stream, 1);
	log_init(LOG_PRIO_WARNING);
	log_msg(LOG_PRIO_WARNING, "%2000s", "x"); /* cut, its end kept */
	log_msg(LOG_PRIO_NOTICE, "not said");
	log_change(&bad, true, "this", "is bad");
	log_change(&bad, true, "this", "is bad");
	assert_int_equal(fake_heard("<4>"), 2);
	assert_int_equal(fake_heard("\n"), 2);
	assert_int_equal(fake_heard("<4>this: is bad\n"), 1);
	assert_int_equal(fake_heard("not said"), 0);
	setenv("JOURNAL_STREAM", "1:1", 1); /* somebody else's: the terminal is ours */
	fake_listen();
	log_init(LOG_PRIO_WARNING);
	log_msg(LOG_PRIO_WARNING, "said");
	assert_int_equal(fake_heard("<4>"), 0);
	assert_int_equal(fake_heard(" said\n"), 1);
	fake_deafen();
	unsetenv("JOURNAL_STREAM");
	log_init(LOG_PRIO_ERR);
}

/* The daemon goes just as guests are to be helped: they are, as soon as it is back. */
static void a_lost_connection_is_nobodys_refusal(void **state)
{
	struct plant_load load = { .work = PLANT_CLOSED, .demand = 0.1 };
	struct plant_mem_guest conf = { .max_kib = 4 * KIB_PER_GIB,
					.start_kib = KIB_PER_GIB / 2,
					.work = { .points = 3,
						  .point = { { 0, 200 * 1024.0 },
							     { 20, 200 * 1024.0 },
							     { 70, 3000 * 1024.0 } } },
					.reporting = true };

	(void)state;
	for (unsigned at = 20; at < 70; at += 3) {
		begin(4, 64 * KIB_PER_GIB);
		for (unsigned i = 0; i < 4; i++)
			fake_guest(1, &load, &conf);
		watch(at);
		fake_die_at(2); /* the bulk read is answered */
		watch(100 - at);
		for (unsigned i = 0; i < 4; i++)
			assert_false(truth(i).dead);
		fake_die_at(0);
		end();
	}
}

/* The owner takes it out of our hands in mid-shrink, and it cannot be told so. */
static void what_is_not_ours_is_not_pestered(void **state)
{
	(void)state;
	for (int busy = 0; busy < 2; busy++) {
		unsigned calls;

		begin(2, 16 * KIB_PER_GIB);
		guest(0.1, 100, BALLOON_STUCK);
		while (fake_heard(" mem: shrink ") == 0)
			watch(1);
		fake_metadata(0, "<policy mem='off'/>");
		if (busy)
			fake_busy(0, true);
		else
			fake_refuse(0, VIR_ERR_INTERNAL_ERROR);
		watch(1);
		calls = fake_calls();
		watch(600);
		assert_in_range(fake_heard("could not change"), 1, 8);
		assert_in_range(fake_calls() - calls, 600, 640); /* a bulk read each second */
		fake_busy(0, false);
		fake_refuse(0, 0);
		watch(321);
		assert_true(truth(0).target_kib >= truth(0).actual_kib);
		end();
	}
}

/* A daemon that is slow is given as much to do in a tick as it can, and the rest later. */
static void a_slow_daemon_is_not_stuck(void **state)
{
	(void)state;
	begin(8, 64 * KIB_PER_GIB);
	for (unsigned i = 0; i < 40; i++) {
		guest(0.15, 100, BALLOON_IDEAL);
		fake_mask(i, 0, 1);
	}
	for (unsigned i = 0; i < 30; i++) {
		tick();
		watch(1);
	}
	for (unsigned i = 0; i < 40; i++) /* somebody puts them all back, in the midst of all */
		fake_mask(i, 0, 1);
	fake_slow(NS_PER_S / 3);
	for (unsigned i = 0; i < 60; i++) {
		int64_t begun_ns = fake_now_ns();

		cpu_loop_ops.tick(cpu);
		assert_in_range(fake_now_ns() - begun_ns, 0, 28 * NS_PER_S);
		fake_advance(2 * NS_PER_S);
	}
	for (unsigned c = 0; c < 8; c++) {
		unsigned there = 0;

		for (unsigned i = 0; i < 40; i++)
			there += fake_mask_of(i, 0) == 1u << c;
		assert_in_range(there, 3, 7);
	}
	fake_slow(0);
	end();
}

static void nor_is_it_with_balloons(void **state)
{
	int64_t longest_ns = 0;

	(void)state;
	begin(2, 64 * KIB_PER_GIB);
	for (unsigned i = 0; i < 40; i++)
		guest(0.1, 100, BALLOON_IDEAL);
	watch(1);
	fake_slow(NS_PER_S / 3);
	for (unsigned i = 0; i < 40; i++) {
		int64_t begun_ns = fake_now_ns();

		fake_advance(NS_PER_S);
		mem_loop_ops.tick(mem);
		if (fake_now_ns() - begun_ns > longest_ns)
			longest_ns = fake_now_ns() - begun_ns;
	}
	assert_in_range(longest_ns, 5 * NS_PER_S, 14 * NS_PER_S);
	for (unsigned i = 0; i < 40; i++) /* each had its turn */
		assert_true(truth(i).target_kib < KIB_PER_GIB);
	fake_slow(0);
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_lost_connection_is_nobodys_refusal),
		cmocka_unit_test(what_is_not_ours_is_not_pestered),
		cmocka_unit_test(a_slow_daemon_is_not_stuck),
		cmocka_unit_test(nor_is_it_with_balloons),
		cmocka_unit_test(counters_that_go_back_are_no_sample),
		cmocka_unit_test(once_waits_for_who_is_to_be_placed),
		cmocka_unit_test(a_restarted_guest_is_no_sample),
		cmocka_unit_test(pcpu_counters_that_go_back_are_unknown),
		cmocka_unit_test(samples_of_one_moment_are_not_compared),
		cmocka_unit_test(samples_of_two_connections_are_not_compared),
		cmocka_unit_test(history_outweighs_an_interval),
		cmocka_unit_test(history_outlasts_others),
		cmocka_unit_test(isolated_pcpus_are_not_used),
		cmocka_unit_test(pcpus_that_are_not_there_are_refused),
		cmocka_unit_test(a_grain_that_is_not_known_is_refused),
		cmocka_unit_test(a_refusal_is_remembered),
		cmocka_unit_test(memory_devices_beside_the_balloon),
		cmocka_unit_test(an_unmet_shrink_is_taken_back),
		cmocka_unit_test(stalls_are_remembered),
		cmocka_unit_test(unreadable_host_memory_decides_nothing),
		cmocka_unit_test(the_state_is_told),
		cmocka_unit_test(a_tight_host_is_told),
		cmocka_unit_test(a_dry_run_says_what_it_would_do),
		cmocka_unit_test(under_journald_a_line_tells_its_priority),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
