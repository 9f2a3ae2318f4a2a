/*
 * From a bulk reply and the table of guests to a sample: a pure step, so that no daemon, not
 * even a simulated one, stands behind it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
/* cmocka wants the four above first */
#include <cmocka.h>

#include "host/virt.h"
#include "host/virt_guests.h"
#include "policy/mem.h"
#include "policy/sample.h"
#include "tests/fake/fake.h"

#define GUESTS 3
#define VCPUS  2
#define NOW_NS 1000000000LL

static virTypedParameter params[GUESTS][16];
static virDomainStatsRecord record[GUESTS];
static struct domain dom[GUESTS];
static struct cpuset set[2];
static unsigned mask[VCPUS], allowed[VCPUS];
static struct vcpu_memory near[VCPUS];
static struct guest_table table;
static struct vcpu_sample cpus;
static struct guest_sample mems;

static void tell(unsigned guest, const char *field, int type, unsigned long long value)
{
	virTypedParameter *p = &params[guest][record[guest].nparams++];

	snprintf(p->field, sizeof(p->field), "%s", field);
	p->type = type;
	p->value.ul = value;
}

/* Running guests of two vCPUs, all known: masks 0-3, allowed 0-7; told in no good order. */
static void begin(void)
{
	memset(params, 0, sizeof(params));
	memset(record, 0, sizeof(record));
	memset(dom, 0, sizeof(dom));
	set[0] = (struct cpuset){ { 0x0f } };
	set[1] = (struct cpuset){ { 0xff } };
	for (unsigned k = 0; k < VCPUS; k++)
		allowed[k] = 1;
	table = (struct guest_table){
		.dom = dom, .ndom = GUESTS, .set = set, .nsets = 2, .set_cap = 2
	};
	for (unsigned i = 0; i < GUESTS; i++) {
		struct domain *d = &dom[i];

		d->uuid[0] = (unsigned char)(i + 1);
		d->id = 10 + i;
		d->boot_id = 20 + i;
		snprintf(d->name, sizeof(d->name), "guest-%u", i);
		d->managed = d->policy_read = d->masks.done = true;
		d->npins = VCPUS;
		d->mask = mask;
		d->allowed = allowed;
		d->near = near;
		d->record = &record[i];
		record[i].params = params[i];
		tell(i, "state.state", VIR_TYPED_PARAM_INT, VIR_DOMAIN_RUNNING);
		tell(i, "vcpu.maximum", VIR_TYPED_PARAM_UINT, VCPUS);
		tell(i, "vcpu.1.delay", VIR_TYPED_PARAM_ULLONG, 100 * i + 11);
		tell(i, "vcpu.1.time", VIR_TYPED_PARAM_ULLONG, 100 * i + 10);
		tell(i, "vcpu.0.time", VIR_TYPED_PARAM_ULLONG, 100 * i);
		tell(i, "balloon.current", VIR_TYPED_PARAM_ULLONG, 1000 + i);
		tell(i, "balloon.maximum", VIR_TYPED_PARAM_ULLONG, 2000);
	}
}

static void sample(void)
{
	assert_int_equal(sample_vcpus(&table, NOW_NS, &cpus), 0);
	assert_int_equal(sample_guests(&table, NOW_NS, &mems), 0);
	assert_int_equal(fake_calls(), 0);
}

static void end(void)
{
	virt_vcpus_free(&cpus);
	virt_guests_free(&mems);
}

static void figures_come_by_guest_and_number(void **state)
{
	(void)state;
	begin();
	sample();
	assert_int_equal(cpus.n, GUESTS * VCPUS);
	assert_int_equal(mems.n, GUESTS);
	for (unsigned i = 0; i < GUESTS; i++) {
		const struct vcpu_count *c = &cpus.vcpu[VCPUS * i];

		assert_memory_equal(c[0].uuid, dom[i].uuid, UUID_LEN);
		assert_int_equal(c[0].number, 0);
		assert_int_equal(c[1].number, 1);
		assert_int_equal(c[0].run_ns, 100 * i);
		assert_true(c[0].wait_ns == UINT64_MAX);
		assert_int_equal(c[1].run_ns, 100 * i + 10);
		assert_int_equal(c[1].wait_ns, 100 * i + 11);
		assert_int_equal(c[1].run, 10 + i);
		assert_int_equal(c[1].boot_id, 20 + i);
		assert_string_equal(cpus.name[c[1].name], dom[i].name);
		assert_string_equal(mems.guest[i].name, dom[i].name);
		assert_int_equal(mems.guest[i].now.actual_kib, 1000 + i);
		assert_true(mems.guest[i].now.usable_kib == KIB_UNKNOWN);
	}
	end();
}

static void who_is_not_known_is_left_alone(void **state)
{
	(void)state;
	begin();
	dom[0].masks.done = false;  /* where it may run is not known */
	dom[1].policy_read = false; /* it may want to be left alone */
	dom[2].record = NULL;       /* the reply says nothing of it */
	sample();
	assert_int_equal(cpus.n, 0);
	assert_int_equal(mems.n, 2);
	assert_int_equal(mems.guest[0].now.state, GUEST_RUNNING);
	assert_int_equal(mems.guest[1].now.state, GUEST_BUSY);
	end();
}

static void what_its_owner_wants_is_passed_on(void **state)
{
	(void)state;
	begin();
	dom[0].wants.cpu_off = dom[1].wants.mem_off = true;
	dom[2].wants.min_kib = 77;
	dom[2].managed = false;
	sample();
	assert_int_equal(cpus.n, 2 * VCPUS);
	assert_true(cpus.vcpu[0].policy.cpu_off);
	assert_false(cpus.vcpu[VCPUS].policy.cpu_off);
	assert_int_equal(mems.guest[0].now.state, GUEST_RUNNING);
	assert_int_equal(mems.guest[1].now.state, GUEST_UNMANAGED);
	assert_int_equal(mems.guest[2].now.state, GUEST_UNMANAGED);
	assert_int_equal(mems.guest[2].now.policy.min_kib, 77);
	end();
}

/* Of 2000 KiB 600 are in other devices, 400 of these in virtio-mem, of which 300 are plugged. */
static void what_no_balloon_takes_is_not_its_maximum(void **state)
{
	(void)state;
	begin();
	dom[1].kind = (struct memory_kind){
		.dimm_kib = 100, .other_kib = 600, .virtio_mem_kib = 300, .virtio_mem = true
	};
	dom[2].kind.other_kib = 2000; /* it cannot be so */
	sample();
	assert_int_equal(mems.guest[0].now.max_kib, 2000);
	assert_int_equal(mems.guest[1].now.max_kib, 1700);
	assert_int_equal(mems.guest[1].now.actual_kib, 1001);
	assert_int_equal(mems.guest[1].now.kind.dimm_kib, 100);
	assert_int_equal(mems.guest[2].now.max_kib, 2000);
	end();
}

static void a_failure_blocks_until_its_time(void **state)
{
	(void)state;
	begin();
	dom[0].pins.until_ns = NOW_NS + 1;
	dom[1].job.until_ns = NOW_NS + 1;
	dom[2].pins.until_ns = dom[2].job.until_ns = NOW_NS;
	sample();
	assert_true(cpus.vcpu[0].held && cpus.vcpu[2].held && !cpus.vcpu[4].held);
	assert_int_equal(mems.guest[0].now.state, GUEST_RUNNING);
	assert_int_equal(mems.guest[1].now.state, GUEST_BUSY);
	assert_int_equal(mems.guest[2].now.state, GUEST_RUNNING);
	end();
}

/* Only of those that it may have at all; the table itself stays as it is. */
static void allowed_pcpus_are_narrowed_for_the_sample_alone(void **state)
{
	(void)state;
	begin();
	dom[0].cpuset = (struct cpuset){ { 0x3c } };
	dom[1].refused = (struct cpuset){ { 0x01 } };
	sample();
	assert_int_equal(cpus.set[cpus.vcpu[0].allowed].bits[0], 0x3c);
	assert_int_equal(cpus.set[cpus.vcpu[2].allowed].bits[0], 0xfe);
	assert_int_equal(cpus.set[cpus.vcpu[4].allowed].bits[0], 0xff);
	assert_int_equal(cpus.set[cpus.vcpu[0].mask].bits[0], 0x0f);
	assert_int_equal(cpus.nsets, 4);
	assert_int_equal(table.nsets, 2);
	end();
}

/* What a guest or a daemon may tell, and none should. */
static void odd_figures_do_no_harm(void **state)
{
	(void)state;
	begin();
	tell(0, "vcpu.7.time", VIR_TYPED_PARAM_ULLONG, 1); /* more than its masks tell of */
	tell(1, "balloon.current", VIR_TYPED_PARAM_ULLONG, 9999); /* beyond its maximum */
	tell(2, "balloon.usable", VIR_TYPED_PARAM_LLONG, (unsigned long long)-5);
	sample();
	assert_int_equal(cpus.n, GUESTS * VCPUS);
	assert_int_equal(mems.guest[1].now.actual_kib, 2000);
	assert_int_equal(mems.guest[2].now.usable_kib, 0);
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(figures_come_by_guest_and_number),
		cmocka_unit_test(who_is_not_known_is_left_alone),
		cmocka_unit_test(what_its_owner_wants_is_passed_on),
		cmocka_unit_test(what_no_balloon_takes_is_not_its_maximum),
		cmocka_unit_test(a_failure_blocks_until_its_time),
		cmocka_unit_test(allowed_pcpus_are_narrowed_for_the_sample_alone),
		cmocka_unit_test(odd_figures_do_no_harm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
