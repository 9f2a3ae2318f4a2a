/*
 * test_node.c - which NUMA node a guest belongs to: two nodes of two pCPUs.
 */
#include "vmbal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define N 8

static struct vcpu vcpu[N];
static struct bin bin[4];
static struct cpuset all = { { 0xf } }, first = { { 0x3 } };
static struct cpu_host host;
static double work[N * 16];

static int set_up(void **state)
{
	(void)state;
	memset(vcpu, 0, sizeof(vcpu));
	for (int b = 0; b < 4; b++)
		bin[b] = (struct bin){ .capacity = 1, .core = -1, .cache = -1, .node = b / 2 };
	host = (struct cpu_host){ .bin = bin, .nbins = 4, .vcpu = vcpu };
	return 0;
}

/* One more vCPU of a guest, wanting d, in bin at. */
static struct vcpu *add(unsigned char guest, double d, int at)
{
	struct vcpu *v = &vcpu[host.n++];

	v->uuid[0] = guest;
	v->demand = d;
	v->bin = at;
	v->allowed = &all;
	return v;
}

static void plan(void)
{
	assert_true(node_work_size(host.n) <= sizeof(work));
	node_plan(&host, work);
}

static void without_nodes_any_will_do(void **state)
{
	(void)state;
	add(1, 0.9, 0);
	for (int b = 0; b < 4; b++)
		bin[b].node = 0;
	plan();
	assert_int_equal(vcpu[0].node, -1);
	bin[0].node = -1;
	plan();
	assert_int_equal(vcpu[0].node, -1);
}

static void a_split_guest_is_gathered_where_most_of_it_is(void **state)
{
	(void)state;
	add(1, 0.2, 3);
	add(1, 0.6, 0);
	plan();
	assert_int_equal(vcpu[0].node, 0);
	assert_int_equal(vcpu[0].why, VCPU_NODE);
	assert_int_equal(vcpu[1].why, VCPU_STAYS);
}

static void who_is_held_stays_where_it_is(void **state)
{
	(void)state;
	add(1, 0.2, 3)->why = VCPU_STUCK;
	add(1, 0.6, 0);
	plan();
	assert_int_equal(vcpu[0].node, 1);
	assert_int_equal(vcpu[0].why, VCPU_STUCK);
	assert_int_equal(vcpu[1].node, 0);
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
	assert_int_equal(vcpu[0].node, 1);
	assert_int_equal(vcpu[2].node, 0);
	vcpu[0].why = VCPU_STUCK;
	vcpu[1].why = VCPU_STAYS;
	plan();
	assert_int_equal(vcpu[0].node, 0);
	assert_int_equal(vcpu[1].node, 0);
	assert_int_equal(vcpu[2].node, 1);
	vcpu[0].why = VCPU_STAYS;
	vcpu[0].allowed = &first;
	vcpu[2].why = vcpu[3].why = VCPU_STAYS;
	plan();
	assert_int_equal(vcpu[1].node, 0);
	assert_int_equal(vcpu[2].node, 1);
}

static void what_fits_no_node_counts_where_it_is(void **state)
{
	(void)state;
	add(1, 0.9, 0);
	add(1, 0.9, 1);
	add(1, 0.9, 1);
	add(2, 0.5, 0);
	plan();
	assert_int_equal(vcpu[0].node, -1);
	assert_int_equal(vcpu[3].node, 1);
	assert_int_equal(vcpu[3].why, VCPU_NODE);
}

static void a_skew_must_last(void **state)
{
	(void)state;
	add(1, 0.3, 0);
	add(2, 0.3, 1);
	for (int k = 1; k < 10; k++) {
		plan();
		assert_int_equal(vcpu[0].node, 0);
		assert_int_equal(vcpu[1].node, 0);
	}
	plan();
	assert_int_equal(vcpu[0].node + vcpu[1].node, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(without_nodes_any_will_do, set_up),
		cmocka_unit_test_setup(a_split_guest_is_gathered_where_most_of_it_is, set_up),
		cmocka_unit_test_setup(who_is_held_stays_where_it_is, set_up),
		cmocka_unit_test_setup(its_guest_does_not_cross, set_up),
		cmocka_unit_test_setup(what_fits_no_node_counts_where_it_is, set_up),
		cmocka_unit_test_setup(a_skew_must_last, set_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
