/*
 * Each allocation of a run fails in turn, alone and with all that follow for a while: no
 * crash, no leak, no offence, it is said, and the host is balanced in the end all the same.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
/* cmocka wants the four above first */
#include <cmocka.h>

#include "host/log.h"
#include "host/metadata.h"
#include "host/options.h"
#include "host/shape.h"
#include "host/virt.h"
#include "lib/units.h"
#include "loop/loop.h"
#include "policy/cpu.h"
#include "policy/sample.h"
#include "tests/fake/fake.h"

#define GUESTS 4
#define TICKS  24

static struct options opt = { OPTIONS_TUNABLES, .uri = "fake:///", .grain = GRAIN_NODE,
			      .cpu_interval_s = 1, .mem_interval_s = 1 };

static const char nodes[] =
	"<capabilities><host><topology><cells>"
	"<cell id='0'><cpus><cpu id='0' siblings='0'/><cpu id='1' siblings='1'/></cpus></cell>"
	"<cell id='1'><cpus><cpu id='2' siblings='2'/><cpu id='3' siblings='3'/></cpus></cell>"
	"</cells></topology></host></capabilities>";

static void host_begin(void)
{
	struct plant_load load = { .work = PLANT_CLOSED, .demand = 0.9 };
	struct plant_mem_guest conf = { .max_kib = KIB_PER_GIB,
					.start_kib = KIB_PER_GIB,
					.work = { .points = 1, .point = { { 0, 300 << 10 } } },
					.reporting = true };

	fake_host(4, 16 * KIB_PER_GIB, 1);
	fake_capabilities(nodes);
	for (unsigned i = 0; i < GUESTS; i++) {
		fake_guest(1, &load, &conf);
		fake_mask(i, 0, 1);
	}
	/* These two are to be left alone, however little memory there is to read so. */
	fake_metadata(2, "<policy cpu='off' mem='on' weight='2' min='400M'/>");
	fake_metadata(3, "<policy mem='off'/>");
}

static void judge(void)
{
	for (unsigned i = 0; i < GUESTS; i++) {
		struct plant_mem_truth truth;

		plant_mem_truth(fake_mem(), i, &truth);
		assert_false(truth.dead);
		assert_true(i != 3 || truth.target_kib == KIB_PER_GIB);
		/* A node, or as it was: never one pCPU for want of the topology. */
		assert_true(fake_mask_of(i, 0) == 0x3 || fake_mask_of(i, 0) == 0xc ||
			    fake_mask_of(i, 0) == 1);
	}
	assert_int_equal(fake_mask_of(2, 0), 1);
}

/* Returns how many allocations were made. */
static unsigned run(unsigned k, bool all_after)
{
	unsigned before = fake_allocations();
	void *cpu;
	void *mem;
	struct virt *virt;

	host_begin();
	virt = virt_new(&opt);
	cpu = cpu_loop_ops.open(virt, &opt);
	mem = mem_loop_ops.open(virt, &opt);
	assert_true(virt && cpu && mem);
	fake_starve_at(k, all_after);
	for (unsigned i = 0; i < (all_after ? 2 * TICKS : TICKS); i++) {
		if (all_after && i == TICKS / 2) /* then who could not be read is asked again */
			fake_starve_at(0, false);
		fake_advance(NS_PER_S);
		mem_loop_ops.tick(mem);
		cpu_loop_ops.tick(cpu);
		judge();
	}
	assert_true(fake_balloons() > 0);
	assert_in_range(fake_pins(), 1, 6); /* some to the other node */
	fake_starve_at(0, false);
	cpu_loop_ops.close(cpu);
	mem_loop_ops.close(mem);
	assert_int_equal(virt_free(virt), 0);
	assert_int_equal(fake_refs(), 0);
	assert_int_equal(fake_offences(), 0);
	fake_end();
	return fake_allocations() - before;
}

static void none_fails(void **state)
{
	(void)state;
	fake_listen();
	run(0, false);
	assert_int_equal(fake_heard("memory"), 0);
	fake_deafen();
}

static void each_fails_once(void **state)
{
	unsigned n, said = 0;

	(void)state;
	fake_listen();
	n = run(0, false);
	for (unsigned k = 1; k <= n; k++) {
		fake_listen();
		run(k, false);
		said += fake_heard("out of memory") || fake_heard("cannot be read") ||
			fake_heard("are unknown");
		assert_int_equal(fake_heard("parser error"), 0);
	}
	fake_deafen();
	print_message("# %u allocations fail in turn; %u times it is said\n", n, said);
	assert_true(said > n / 2);
}

static void all_fail_for_a_while(void **state)
{
	unsigned n;

	(void)state;
	fake_listen();
	n = run(0, false);
	for (unsigned k = 1; k <= n; k += 3) {
		fake_listen();
		run(k, true);
		/* At most twice in a tick, and nobody else speaks of it. */
		assert_true(fake_heard("out of memory") <= 2 * TICKS);
		assert_true(fake_heard("cannot be read") <= 2 * GUESTS);
	}
	fake_deafen();
}

/* XML that was read in part is not read. */
static void all_of_it_or_nothing(void **state)
{
	static const char kind[] =
		"<domain><memory unit='KiB'>5000</memory><memoryBacking><hugepages>"
		"<page size='2048' unit='KiB' nodeset='1'/></hugepages></memoryBacking><cpu><numa>"
		"<cell id='0' memory='2000'/><cell id='1' memory='1000'/></numa></cpu><devices>"
		"<disk/><hostdev type='pci'/><memory model='dimm'><source>"
		"<pagesize unit='KiB'>2048</pagesize></source><target><size unit='KiB'>2000</size>"
		"</target></memory></devices></domain>";
	struct memory_kind memory;
	static const char policy[] = "<policy min='1G' cpu='off'/>";
	static struct topology whole, t;
	unsigned n = fake_allocations();

	(void)state;
	assert_int_equal(topology_parse(nodes, &whole), 0);
	assert_int_equal(memory_kind_parse(kind, &memory), 0);
	n = fake_allocations() - n; /* of both: more than of each */
	for (unsigned k = 1; k <= n; k++) {
		struct guest_policy p = { 0 };
		char error[128];

		fake_starve_at(k, false);
		if (topology_parse(nodes, &t) == 0)
			assert_memory_equal(&t, &whole, sizeof(t));
		fake_starve_at(k, false);
		if (memory_kind_parse(kind, &memory) == 0)
			assert_true(memory.locked && memory.huge_kib == 3000 &&
				    memory.dimm_kib == 2000);
		fake_starve_at(k, false);
		if (metadata_parse(policy, &p, error, sizeof(error)) == 0)
			assert_true(p.cpu_off && p.min_kib == 1 << 20);
		else
			assert_string_equal(error, "");
		fake_starve_at(0, false);
	}
}

/* More guests than ever, no memory for them, and then the end: it speaks of those it knew. */
static void an_end_without_memory(void **state)
{
	struct plant_load load = { .work = PLANT_CLOSED, .demand = 0.1 };
	struct plant_mem_guest conf = { .max_kib = KIB_PER_GIB,
					.start_kib = KIB_PER_GIB,
					.work = { .points = 1, .point = { { 0, 300 << 10 } } },
					.balloon = BALLOON_STUCK,
					.reporting = true };

	void *mem;
	struct virt *virt;

	(void)state;
	host_begin();
	virt = virt_new(&opt);
	mem = mem_loop_ops.open(virt, &opt);
	for (unsigned i = 0; i < TICKS; i++) {
		fake_advance(NS_PER_S);
		mem_loop_ops.tick(mem);
	}
	for (unsigned i = 0; i < 60; i++)
		fake_guest(1, &load, &conf);
	for (unsigned k = 1; k <= 4; k++) {
		fake_starve_at(k, true);
		fake_advance(NS_PER_S);
		mem_loop_ops.tick(mem);
		mem_loop_ops.report(mem);
	}
	mem_loop_ops.take_back(mem);
	fake_starve_at(0, false);
	mem_loop_ops.close(mem);
	assert_int_equal(virt_free(virt), 0);
	assert_int_equal(fake_refs(), 0);
	fake_end();
}

static void nothing_begins_without(void **state)
{
	(void)state;
	fake_host(2, KIB_PER_GIB, 1);
	fake_starve_at(1, true);
	assert_null(virt_new(&opt));
	assert_null(cpu_loop_ops.open(NULL, &opt));
	assert_null(mem_loop_ops.open(NULL, &opt));
	fake_starve_at(0, false);
	fake_end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(none_fails),
		cmocka_unit_test(each_fails_once),
		cmocka_unit_test(all_fail_for_a_while),
		cmocka_unit_test(all_of_it_or_nothing),
		cmocka_unit_test(an_end_without_memory),
		cmocka_unit_test(nothing_begins_without),
	};

	log_init(LOG_PRIO_INFO);
	fake_xml();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
