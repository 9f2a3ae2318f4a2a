/*
 * test_node.c - which NUMA node a guest belongs to: two nodes of two pCPUs.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "lib/cpuset.h"
#include "policy/cpu.h"
#include "policy/node.h"
#include "policy/sample.h"

#define N 8

static struct vcpu vcpu[N];
static struct bin bin[12];
static struct cpuset all, first = { { 0x3 } }, lower = { { 0x33 } };
static struct cpu_host host;
static double work[N * 20];

static int set_up(void **state)
{
	(void)state;
	memset(vcpu, 0, sizeof(vcpu));
	for (int b = 0; b < 4; b++)
		bin[b] = (struct bin){
			.now.capacity = 1, .now.core = -1, .now.cache = -1, .now.node = b / 2
		};
	all.bits[0] = 0xf;
	host = (struct cpu_host){ .bin = bin, .nbins = 4, .vcpu = vcpu };
	return 0;
}

/* One more vCPU of a guest, wanting d, in bin at. */
static struct vcpu *add(unsigned char guest, double d, int at)
{
	struct vcpu *v = &vcpu[host.n++];

	v->uuid[0] = guest;
	v->plan.demand = d;
	v->now.bin = at;
	v->now.allowed = &all;
	return v;
}

static void plan(void)
{
	assert_true(node_work_size(host.n) <= sizeof(work));
	node_plan(&cpu_tunables_default, &host, work);
}

static void without_nodes_any_will_do(void **state)
{
	(void)state;
	add(1, 0.9, 0);
	for (int b = 0; b < 4; b++)
		bin[b].now.node = 0;
	plan();
	assert_int_equal(vcpu[0].plan.nodes, NODE_ANY);
	bin[0].now.node = -1;
	plan();
	assert_int_equal(vcpu[0].plan.nodes, NODE_ANY);
}

static void a_split_guest_is_gathered_where_most_of_it_is(void **state)
{
	(void)state;
	add(1, 0.2, 3);
	add(1, 0.6, 0);
	plan();
	assert_int_equal(vcpu[0].plan.nodes, 1);
	assert_int_equal(vcpu[0].plan.why, VCPU_NODE);
	assert_int_equal(vcpu[1].plan.why, VCPU_STAYS);
}

static void who_is_held_stays_where_it_is(void **state)
{
	(void)state;
	add(1, 0.2, 3)->plan.why = VCPU_HELD;
	add(1, 0.6, 0);
	plan();
	assert_int_equal(vcpu[0].plan.nodes, 2);
	assert_int_equal(vcpu[0].plan.why, VCPU_HELD);
	assert_int_equal(vcpu[1].plan.nodes, 1);
}

/* An overloaded node: the largest guest crosses, but for what holds it. */
static void its_guest_does_not_cross(void **state)
{
	(void)state;
	add(1, 0.9, 0);
	add(1, 0.9, 1);
	add(2, 0.88, 0);
	add(2, 0.88, 1);
	plan();
	assert_int_equal(vcpu[0].plan.nodes, 2);
	assert_int_equal(vcpu[2].plan.nodes, 1);
	vcpu[0].plan.why = VCPU_HELD;
	vcpu[1].plan.why = VCPU_STAYS;
	plan();
	assert_int_equal(vcpu[0].plan.nodes, 1);
	assert_int_equal(vcpu[1].plan.nodes, 1);
	assert_int_equal(vcpu[2].plan.nodes, 2);
	vcpu[0].plan.why = VCPU_STAYS;
	vcpu[0].now.allowed = &first;
	vcpu[2].plan.why = vcpu[3].plan.why = VCPU_STAYS;
	plan();
	assert_int_equal(vcpu[1].plan.nodes, 1);
	assert_int_equal(vcpu[2].plan.nodes, 2);
}

/* Three nodes of two cores of two threads, and one busy vCPU more than there are cores. */
static void no_core_idles_in_a_third_node(void **state)
{
	(void)state;
	for (int b = 0; b < 12; b++)
		bin[b] = (struct bin){
			.now.capacity = 1, .now.core = b / 2, .now.cache = -1, .now.node = b / 4
		};
	host.nbins = 12;
	all.bits[0] = 0xfff;
	for (int i = 0; i < 6; i++)
		add(i < 3 ? 1 : 2, 0.9, i < 3 ? i : 4 + i - 3);
	add(3, 0.9, 8);
	plan();
	assert_true((vcpu[0].plan.nodes == NODE_ANY) != (vcpu[3].plan.nodes == NODE_ANY));
	assert_true(vcpu[0].plan.nodes == NODE_ANY || vcpu[0].plan.nodes == 1);
	assert_true(vcpu[3].plan.nodes == NODE_ANY || vcpu[3].plan.nodes == 2);
	assert_int_equal(vcpu[6].plan.nodes, 4);
}

static void what_fits_no_node_counts_where_it_is(void **state)
{
	(void)state;
	add(1, 0.9, 0);
	add(1, 0.9, 1);
	add(1, 0.9, 1);
	add(2, 0.5, 0);
	plan();
	assert_int_equal(vcpu[0].plan.nodes, NODE_ANY);
	assert_int_equal(vcpu[3].plan.nodes, 2);
	assert_int_equal(vcpu[3].plan.why, VCPU_NODE);
}

static void a_skew_must_last(void **state)
{
	(void)state;
	add(1, 0.3, 0);
	add(2, 0.3, 1);
	for (int k = 1; k < 10; k++) {
		plan();
		assert_int_equal(vcpu[0].plan.nodes, 1);
		assert_int_equal(vcpu[1].plan.nodes, 1);
	}
	plan();
	assert_int_equal(vcpu[0].plan.nodes + vcpu[1].plan.nodes, 3);
}

/* Two nodes of two cores of two threads: b and b + 4. */
static void threads(void)
{
	for (int b = 0; b < 8; b++)
		bin[b] = (struct bin){ .now.capacity = 1,
				       .now.core = b % 4,
				       .now.cache = -1,
				       .now.node = b % 4 / 2 };
	host.nbins = 8;
	all.bits[0] = 0xff;
}

static void a_node_holds_a_busy_one_for_each_core(void **state)
{
	(void)state;
	threads();
	add(1, 0.9, 0);
	add(1, 0.9, 1);
	add(1, 0.9, 4);
	plan();
	assert_int_equal(vcpu[0].plan.nodes, NODE_ANY); /* three on two cores while two idle */
	vcpu[2].plan.demand = 0.3;
	plan();
	assert_int_equal(vcpu[0].plan.nodes, 1);
	assert_int_equal(vcpu[2].plan.nodes, 1);
}

/* Then it is no reason for others to leave. */
static void what_fits_no_nodes_cores_is_freed_first(void **state)
{
	(void)state;
	threads();
	add(1, 0.51, 0);
	add(1, 0.51, 1);
	add(1, 0.51, 4);
	add(2, 0.51, 5);
	plan();
	assert_int_equal(vcpu[0].plan.nodes, NODE_ANY);
	assert_int_equal(vcpu[3].plan.nodes, 1);
}

static void what_is_fenced_there_fills_a_node(void **state)
{
	(void)state;
	threads();
	for (int i = 0; i < 5; i++)
		add(1, 0.51, i % 2)->now.allowed = &lower;
	add(2, 0.51, 4);
	plan();
	assert_int_equal(vcpu[5].plan.nodes, 2);
}

static void more_light_ones_than_pcpus_fit_no_node(void **state)
{
	(void)state;
	for (int i = 0; i < 3; i++)
		add(1, 0.2, i % 2);
	plan();
	assert_int_equal(vcpu[0].plan.nodes, NODE_ANY);
}

static void another_goes_where_cores_idle(void **state)
{
	(void)state;
	threads();
	add(1, 0.9, 0);
	add(1, 0.9, 1);
	add(2, 0.6, 4);
	plan();
	assert_int_equal(vcpu[0].plan.nodes, 1);
	assert_int_equal(vcpu[1].plan.nodes, 1);
	assert_int_equal(vcpu[2].plan.nodes, 2);
	assert_int_equal(vcpu[2].plan.why, VCPU_NODE);
}

/* Whose memory is known to be there stays; who may run there only, the more so. */
static void those_with_memory_there_go_last(void **state)
{
	(void)state;
	threads();
	add(1, 0.9, 0);
	add(1, 0.9, 1);
	add(2, 0.6, 4)->now.memory.nodes = 1;
	plan();
	assert_int_equal(vcpu[0].plan.nodes, 2);
	assert_int_equal(vcpu[2].plan.nodes, 1);
	vcpu[0].plan.why = vcpu[1].plan.why = VCPU_STAYS;
	vcpu[0].now.allowed = vcpu[1].now.allowed = &lower;
	plan();
	assert_int_equal(vcpu[0].plan.nodes, 1);
	assert_int_equal(vcpu[2].plan.nodes, 2);
	vcpu[2].plan.why = VCPU_STAYS;
	vcpu[2].now.allowed = &lower;
	plan();
	assert_int_equal(vcpu[2].plan.nodes, 1);
}

/* As many busy ones as cores in all: without an idle core nobody need share less. */
static void where_no_core_idles_guests_stay(void **state)
{
	(void)state;
	threads();
	for (int i = 0; i < 3; i++)
		add(1, 0.9, i % 2);
	add(2, 0.9, 2);
	add(2, 0.9, 3);
	plan();
	assert_int_equal(vcpu[0].plan.nodes, 1);
	assert_int_equal(vcpu[3].plan.nodes, 2);
}

static void a_guest_that_was_split_is_gathered_late(void **state)
{
	(void)state;
	threads();
	add(1, 0.9, 0);
	add(1, 0.9, 1);
	add(1, 0.45, 2);
	plan();
	assert_int_equal(vcpu[0].plan.nodes, NODE_ANY);
	vcpu[2].plan.demand = 0.35;
	plan();
	assert_int_equal(vcpu[2].plan.nodes, 1);
	vcpu[2].plan.demand = 0.45;
	vcpu[2].now.bin = 4;
	plan();
	assert_int_equal(vcpu[2].plan.nodes, 1);
}

static void a_guest_is_where_its_memory_is(void **state)
{
	(void)state;
	add(1, 0.3, 0)->now.memory.nodes = 2;
	add(1, 0.3, 1)->now.memory.nodes = 2;
	plan();
	assert_int_equal(vcpu[0].plan.nodes, 2);
	assert_int_equal(vcpu[1].plan.why, VCPU_NODE);
}

static void each_cell_is_where_its_memory_is(void **state)
{
	(void)state;
	for (int i = 0; i < 4; i++) {
		struct vcpu *v = add(1, 0.3, 0);

		v->now.memory.cell = i % 2;
		v->now.memory.nodes = i % 2 ? 2 : 1;
	}
	plan();
	for (int i = 0; i < 4; i++)
		assert_int_equal(vcpu[i].plan.nodes, i % 2 ? 2 : 1);
}

/* Without a policy, too, a cell is whole in a node; the two need not be in the same. */
static void a_cell_is_whole(void **state)
{
	(void)state;
	add(1, 0.2, 0);
	add(1, 0.2, 2);
	add(1, 0.2, 2);
	vcpu[1].now.memory.cell = vcpu[2].now.memory.cell = 1;
	plan();
	assert_int_equal(vcpu[0].plan.nodes, 1);
	assert_int_equal(vcpu[1].plan.nodes, 2);
	assert_int_equal(vcpu[2].plan.nodes, 2);
}

/* All nodes of it are as near, as long as they have cores for it. */
static void interleaved_memory_is_in_several_nodes(void **state)
{
	(void)state;
	for (int i = 0; i < 2; i++)
		add(1, 0.3, i)->now.memory =
			(struct vcpu_memory){ .nodes = 2, .interleaved = true };
	plan();
	assert_int_equal(vcpu[0].plan.nodes, 2);
	for (int i = 0; i < 2; i++)
		vcpu[i].now.memory.nodes = 3;
	plan();
	assert_int_equal(vcpu[0].plan.nodes, 3);
	for (int i = 0; i < 2; i++) {
		vcpu[i].plan.demand = 0.9;
		vcpu[i].now.memory.nodes = 2;
	}
	plan();
	assert_int_equal(vcpu[0].plan.nodes, 2);
	assert_int_equal(vcpu[1].plan.nodes, 2);
	add(1, 0.9, 0)->now.memory = vcpu[0].now.memory;
	add(1, 0.2, 0)->now.memory = vcpu[0].now.memory;
	vcpu[2].now.bin = 2;
	plan();
	assert_int_equal(vcpu[2].plan.nodes, 2);
	assert_int_equal(vcpu[0].plan.nodes, 2);
	assert_int_equal(vcpu[1].plan.nodes, ~(uint64_t)2); /* there no core is left */
	assert_int_equal(vcpu[3].plan.nodes, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(without_nodes_any_will_do, set_up),
		cmocka_unit_test_setup(a_split_guest_is_gathered_where_most_of_it_is, set_up),
		cmocka_unit_test_setup(who_is_held_stays_where_it_is, set_up),
		cmocka_unit_test_setup(its_guest_does_not_cross, set_up),
		cmocka_unit_test_setup(no_core_idles_in_a_third_node, set_up),
		cmocka_unit_test_setup(what_fits_no_node_counts_where_it_is, set_up),
		cmocka_unit_test_setup(a_skew_must_last, set_up),
		cmocka_unit_test_setup(a_node_holds_a_busy_one_for_each_core, set_up),
		cmocka_unit_test_setup(what_fits_no_nodes_cores_is_freed_first, set_up),
		cmocka_unit_test_setup(what_is_fenced_there_fills_a_node, set_up),
		cmocka_unit_test_setup(more_light_ones_than_pcpus_fit_no_node, set_up),
		cmocka_unit_test_setup(another_goes_where_cores_idle, set_up),
		cmocka_unit_test_setup(those_with_memory_there_go_last, set_up),
		cmocka_unit_test_setup(where_no_core_idles_guests_stay, set_up),
		cmocka_unit_test_setup(a_guest_that_was_split_is_gathered_late, set_up),
		cmocka_unit_test_setup(a_guest_is_where_its_memory_is, set_up),
		cmocka_unit_test_setup(each_cell_is_where_its_memory_is, set_up),
		cmocka_unit_test_setup(a_cell_is_whole, set_up),
		cmocka_unit_test_setup(interleaved_memory_is_in_several_nodes, set_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
