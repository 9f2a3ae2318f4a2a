/*
 * The libvirt layer call by call, over a simulated host: what it notices of restarts, resets,
 * refusals, events and lost connections, and what it never asks twice.
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
#include "host/options.h"
#include "host/proc.h"
#include "host/virt.h"
#include "lib/cpuset.h"
#include "lib/units.h"
#include "lib/xml.h"
#include "policy/mem.h"
#include "policy/sample.h"
#include "tests/fake/fake.h"

static struct options opt = { OPTIONS_TUNABLES, .uri = "fake:///", .cpu_interval_s = 2,
			      .mem_interval_s = 2 };
static unsigned ncpus = 4;
static struct virt *virt;
static struct vcpu_sample cpus;
static struct guest_sample mems;

static void begin(unsigned n)
{
	struct plant_load load = { .work = PLANT_CLOSED, .demand = 0.3 };
	struct plant_mem_guest conf = { .max_kib = KIB_PER_GIB,
					.start_kib = KIB_PER_GIB,
					.work = { .points = 1, .point = { { 0, 300 << 10 } } },
					.reporting = true };

	log_init(LOG_PRIO_INFO);
	fake_host(ncpus, 16 * KIB_PER_GIB, 1);
	fake_listen();
	for (unsigned i = 0; i < n; i++)
		fake_guest(2, &load, &conf);
	virt = virt_new(&opt);
	assert_non_null(virt);
}

static void end(void)
{
	fake_deafen();
	virt_vcpus_free(&cpus);
	virt_guests_free(&mems);
	assert_int_equal(virt_free(virt), 0);
	assert_int_equal(fake_refs(), 0);
	assert_int_equal(fake_offences(), 0);
	fake_end();
}

static void sample(void)
{
	fake_advance(NS_PER_S);
	assert_int_equal(virt_vcpus(virt, &cpus), 0);
	assert_int_equal(virt_guests(virt, &mems), 0);
}

/* vCPU number of a guest by its name, as sampled last; NULL: not there. */
static const struct vcpu_count *vcpu(unsigned guest, unsigned number)
{
	char name[GUEST_NAME_LEN];

	snprintf(name, sizeof(name), "guest-%u", guest);
	for (size_t i = 0; i < cpus.n; i++)
		if (cpus.vcpu[i].number == number &&
		    strcmp(cpus.name[cpus.vcpu[i].name], name) == 0)
			return &cpus.vcpu[i];
	return NULL;
}

static const struct guest_count *memory(unsigned guest)
{
	char name[GUEST_NAME_LEN];

	snprintf(name, sizeof(name), "guest-%u", guest);
	for (size_t i = 0; i < mems.n; i++)
		if (strcmp(mems.guest[i].name, name) == 0)
			return &mems.guest[i];
	return NULL;
}

static uint64_t mask(unsigned guest, unsigned number)
{
	return cpus.set[vcpu(guest, number)->mask].bits[0];
}

static enum virt_result pin(unsigned guest, unsigned number, uint64_t bits)
{
	struct cpuset set = { { bits } };

	return virt_pin(virt, vcpu(guest, number)->uuid, vcpu(guest, number)->run, number, &set,
			true);
}

/* ---- what changes between samples ---- */

static void restarts_and_resets(void **state)
{
	uint64_t cpu_boot, mem_boot;

	(void)state;
	begin(3);
	sample();
	cpu_boot = vcpu(1, 0)->boot_id;
	mem_boot = memory(1)->now.boot_id;
	sample();
	assert_int_equal(vcpu(1, 0)->boot_id, cpu_boot);
	assert_int_equal(memory(1)->now.boot_id, mem_boot);
	assert_int_not_equal(vcpu(2, 0)->boot_id, cpu_boot);

	fake_restart_guest(1);
	sample();
	assert_int_not_equal(vcpu(1, 0)->boot_id, cpu_boot);
	assert_int_not_equal(memory(1)->now.boot_id, mem_boot);
	mem_boot = memory(1)->now.boot_id;
	cpu_boot = vcpu(0, 0)->boot_id;
	fake_reboot(1);
	sample();
	assert_int_not_equal(memory(1)->now.boot_id, mem_boot);
	assert_int_equal(vcpu(0, 0)->boot_id, cpu_boot);
	end();
}

static void states(void **state)
{
	static const struct {
		int libvirts;
		enum guest_state ours;
	} cases[] = {
		{ VIR_DOMAIN_PAUSED, GUEST_PAUSED },   { VIR_DOMAIN_PMSUSPENDED, GUEST_PAUSED },
		{ VIR_DOMAIN_SHUTDOWN, GUEST_BUSY },   { VIR_DOMAIN_CRASHED, GUEST_BUSY },
		{ VIR_DOMAIN_NOSTATE, GUEST_BUSY },    { 99, GUEST_BUSY },
		{ VIR_DOMAIN_BLOCKED, GUEST_RUNNING }, { VIR_DOMAIN_RUNNING, GUEST_RUNNING },
	};

	(void)state;
	begin(2);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		fake_state(1, cases[i].libvirts);
		sample();
		assert_int_equal(memory(0)->now.state, GUEST_RUNNING);
		assert_int_equal(memory(1)->now.state, cases[i].ours);
	}
	end();
}

/* What a newer daemon may tell, and what none should. */
static void odd_figures_are_passed_over(void **state)
{
	uint64_t usable;

	(void)state;
	begin(2);
	sample();
	usable = memory(1)->now.usable_kib;
	fake_odd(true);
	sample();
	assert_int_equal(cpus.n, 4);
	assert_true(vcpu(0, 1)->run_ns > 1 && vcpu(1, 0)->run_ns > 1);
	assert_int_equal(mems.n, 2);
	assert_true(memory(1)->now.usable_kib > usable / 2);
	assert_int_equal(memory(1)->now.swap_out_kib, 0);
	assert_int_equal(memory(1)->now.caches_kib, 0);
	end();
}

static void others_pins(void **state)
{
	(void)state;
	begin(12);
	sample();
	assert_int_equal(mask(7, 1), 0xf);
	fake_mask(7, 1, 0x2);
	sample();
	assert_int_equal(mask(7, 1), 0x2);
	/* More events than are kept: the one that was lost counts all the same. */
	for (unsigned i = 0; i < 300; i++)
		fake_mask(3, 0, 1 + i % 2);
	fake_mask(7, 1, 0x4);
	sample();
	assert_int_equal(mask(7, 1), 0x4);
	end();
}

static void a_fence_moves(void **state)
{
	(void)state;
	begin(2);
	sample();
	fake_allowed(0, 0x3); /* no event tells */
	assert_int_equal(pin(0, 0, 0x8), VIRT_BUSY);
	assert_int_equal(fake_pins(), 0);
	for (unsigned i = 0; i < 3; i++)
		sample();
	assert_int_equal(cpus.set[vcpu(0, 0)->allowed].bits[0], 0x3);
	fake_allowed(0, 0); /* transient: none */
	for (unsigned i = 0; i < 3; i++)
		sample();
	assert_int_equal(cpus.set[vcpu(0, 0)->allowed].bits[0] & 0xf, 0xf);
	end();
}

static void a_new_definition_is_told(void **state)
{
	(void)state;
	begin(12);
	sample();
	for (unsigned i = 0; i < 12; i++) {
		fake_allowed(i, 0x6);
		fake_defined(i);
	}
	sample();
	for (unsigned i = 0; i < 12; i++)
		assert_int_equal(cpus.set[vcpu(i, 1)->allowed].bits[0], 0x6);
	end();
}

static void gone_guests_are_forgotten(void **state)
{
	(void)state;
	begin(4);
	sample();
	assert_int_equal(fake_refs(), 4);
	fake_stop_guest(1);
	fake_stop_guest(2);
	assert_int_equal(pin(1, 0, 1), VIRT_GONE);
	sample();
	assert_int_equal(fake_refs(), 2);
	assert_null(vcpu(1, 0));
	assert_null(memory(2));
	assert_int_equal(cpus.n, 4);
	assert_int_equal(mems.n, 2);
	end();
}

/* Masks that nobody has any more are not kept. */
static void masks_do_not_pile_up(void **state)
{
	(void)state;
	ncpus = 12;
	begin(2);
	for (unsigned i = 0; i < 2000; i++) {
		fake_mask(0, 0, 1 + i % 0xfff);
		fake_mask(1, 1, 1 + (i * 7) % 0xfff);
		sample();
		assert_true(cpus.nsets < 80);
	}
	end();
	ncpus = 4;
}

/* An unpinned vCPU's mask tells the pCPUs that were online when it was read. */
static void pcpus_come_and_go(void **state)
{
	(void)state;
	begin(12);
	sample();
	fake_pcpu(3, false);
	fake_deaf(true);
	for (unsigned i = 0; i < 12; i++)
		fake_mask(i, 0, 0x7);
	sample();
	assert_int_equal(cpus.online.bits[0], 0x7);
	assert_int_equal(cpus.npcpus, 3);
	for (unsigned i = 0; i < 12; i++)
		assert_int_equal(mask(i, 0), 0x7);
	end();
}

static void quotas(void **state)
{
	static const struct {
		double each, all, result;
	} cases[] = {
		{ 0, 0, 0 },       { 0.5, 0, 0.5 }, { 0, 1.2, 1.2 },
		{ 0.5, 1.2, 0.5 }, { 2, 1.2, 1.2 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		begin(1);
		fake_quota(0, cases[i].each);
		fake_quota_all(0, cases[i].all);
		sample();
		assert_true(vcpu(0, 1)->quota > cases[i].result - 1e-6 &&
			    vcpu(0, 1)->quota < cases[i].result + 1e-6);
		end();
	}
}

/* Who is not ours to command has to be booked all the same. */
static void memory_of_those_left_alone(void **state)
{
	static const char *ours[] = { "guest-0", NULL };
	static const char huge[] =
		"<domain><memory unit='KiB'>524288</memory><memoryBacking><hugepages/>"
		"</memoryBacking></domain>";

	(void)state;
	if (!xml_is_read())
		return;
	opt.guests = ours;
	begin(2);
	fake_definition(1, huge);
	sample();
	assert_int_equal(mems.guest[0].now.kind.huge_kib, 0);
	assert_int_equal(mems.guest[1].now.state, GUEST_UNMANAGED);
	assert_int_equal(mems.guest[1].now.kind.huge_kib, 524288);
	end();
	opt.guests = NULL;
}

/* What is as large as libvirt's figure for none is none. */
static void hard_limits(void **state)
{
	(void)state;
	begin(2);
	fake_hard_limit(0, 300 * KIB_PER_MIB);
	sample();
	assert_int_equal(mems.guest[0].now.limit_kib, 300 * KIB_PER_MIB);
	assert_int_equal(mems.guest[1].now.limit_kib, 0);
	fake_hard_limit(0, VIR_DOMAIN_MEMORY_PARAM_UNLIMITED);
	virt_refresh(virt);
	sample();
	assert_int_equal(mems.guest[0].now.limit_kib, 0);
	end();
}

/* ---- whose figures ---- */

static void this_machine_is_read_by_proc(void **state)
{
	(void)state;
	begin(1);
	fake_isolated(0x8);
	fake_node_fails(true);
	sample();
	assert_int_equal(mems.host.total_kib, 16 * KIB_PER_GIB);
	assert_true(mems.host.available_kib > KIB_PER_GIB);
	assert_true(mems.host.pressure >= 0);
	assert_true(cpus.pcpu[0].busy_ns + cpus.pcpu[0].idle_ns > 0);
	assert_int_equal(cpus.isolated.bits[0], 0x8);
	fake_proc_fails(true);
	assert_int_equal(virt_vcpus(virt, &cpus), -1);
	assert_int_equal(virt_guests(virt, &mems), 0);
	assert_int_equal(mems.host.total_kib, 0);
	assert_int_equal(virt_guests(virt, &mems), 0);
	assert_int_equal(fake_heard("/proc/stat: cannot be read"), 1);
	assert_int_equal(fake_heard("no figures: nothing is decided"), 1);
	fake_proc_fails(false);
	sample();
	assert_int_equal(fake_heard("back to normal"), 2);
	end();
}

static void another_is_read_through_libvirt(void **state)
{
	(void)state;
	begin(1);
	fake_remote(true);
	fake_isolated(0x8);
	fake_proc_fails(true);
	sample();
	assert_int_equal(mems.host.total_kib, 16 * KIB_PER_GIB);
	assert_true(mems.host.available_kib > 14 * KIB_PER_GIB); /* free, buffers and cached */
	assert_true(mems.host.available_kib < 16 * KIB_PER_GIB);
	assert_true(mems.host.pressure < 0);
	assert_true(cpus.pcpu[3].busy_ns + cpus.pcpu[3].idle_ns > NS_PER_S / 2);
	assert_int_equal(cpuset_count(&cpus.isolated), 0);
	fake_node_fails(true);
	assert_int_equal(virt_vcpus(virt, &cpus), -1);
	assert_int_equal(virt_guests(virt, &mems), 0);
	assert_int_equal(mems.host.total_kib, 0);
	assert_int_equal(fake_heard("reading pCPU times: simulated failure"), 1);
	end();
}

/* ---- refusals ---- */

#define PIN_CALL 6 /* after its control state, backup and job, its masks and allowed pCPUs */

static void a_timeout_blocks(void **state)
{
	unsigned calls;

	(void)state;
	begin(2);
	sample();
	fake_fail_at(PIN_CALL, VIR_ERR_OPERATION_TIMEOUT);
	assert_int_equal(pin(0, 0, 1), VIRT_BUSY);
	calls = fake_calls();
	assert_int_equal(pin(0, 0, 1), VIRT_BUSY);
	assert_int_equal(virt_set_memory(virt, vcpu(0, 0)->uuid, KIB_PER_GIB / 2), VIRT_BUSY);
	assert_int_equal(fake_calls(), calls);
	sample();
	assert_true(vcpu(0, 0)->held && !vcpu(1, 0)->held);
	assert_int_equal(memory(0)->now.state, GUEST_BUSY);
	assert_int_equal(memory(1)->now.state, GUEST_RUNNING);
	fake_advance(4 * NS_PER_S); /* 5 s since */
	fake_fail_at(PIN_CALL, VIR_ERR_OPERATION_TIMEOUT);
	assert_int_equal(pin(0, 0, 1), VIRT_BUSY);
	fake_advance(6 * NS_PER_S); /* twice as long the second time */
	calls = fake_calls();
	assert_int_equal(pin(0, 0, 1), VIRT_BUSY);
	assert_int_equal(fake_calls(), calls);
	fake_advance(4 * NS_PER_S);
	assert_int_equal(pin(0, 0, 1), VIRT_DONE);
	assert_int_equal(fake_heard("simulated failure"), 0);
	sample();
	assert_false(vcpu(0, 0)->held);
	end();
}

static void a_backup_blocks_nothing(void **state)
{
	unsigned calls;

	(void)state;
	begin(1);
	sample();
	fake_backup(0, true);
	calls = fake_calls();
	assert_int_equal(pin(0, 0, 1), VIRT_DONE);
	assert_int_equal(fake_calls() - calls, PIN_CALL - 1); /* its job is not asked for */
	sample();
	assert_false(vcpu(0, 0)->held);
	assert_int_equal(memory(0)->now.state, GUEST_RUNNING);
	end();
}

static void a_job_blocks(void **state)
{
	(void)state;
	begin(1);
	sample();
	fake_busy(0, true);
	assert_int_equal(pin(0, 0, 1), VIRT_BUSY);
	fake_busy(0, false);
	sample();
	assert_true(vcpu(0, 0)->held);
	assert_int_equal(memory(0)->now.state, GUEST_BUSY);
	/* Twice as long each time, but not for so long that its end is missed. */
	fake_busy(0, true);
	for (unsigned wait_s = 5, i = 0; i < 10; i++) {
		fake_advance(wait_s * NS_PER_S);
		assert_int_equal(pin(0, 0, 1), VIRT_BUSY);
		wait_s = wait_s < 20 ? 2 * wait_s : 20;
	}
	fake_busy(0, false);
	fake_advance(21 * NS_PER_S);
	assert_int_equal(pin(0, 0, 1), VIRT_DONE);
	/* A call that times out held up everybody: up to 320 s. */
	fake_refuse(0, VIR_ERR_OPERATION_TIMEOUT);
	for (unsigned wait_s = 5, i = 0; i < 10; i++) {
		unsigned calls = fake_calls();

		assert_int_equal(pin(0, 0, 2), VIRT_BUSY);
		assert_true(fake_calls() > calls);
		fake_advance((wait_s - 1) * NS_PER_S);
		calls = fake_calls();
		assert_int_equal(pin(0, 0, 2), VIRT_BUSY);
		assert_int_equal(fake_calls(), calls);
		fake_advance(NS_PER_S);
		wait_s = wait_s < 160 ? 2 * wait_s : 320;
	}
	fake_refuse(0, 0);
	assert_int_equal(pin(0, 0, 2), VIRT_DONE);
	end();
}

static void a_failure_is_said_once(void **state)
{
	(void)state;
	begin(2);
	sample();
	fake_refuse(0, VIR_ERR_INTERNAL_ERROR);
	for (unsigned i = 0; i < 5; i++) {
		assert_int_equal(pin(0, 0, 1), VIRT_FAILED);
		assert_int_equal(virt_set_memory(virt, vcpu(1, 0)->uuid, KIB_PER_GIB),
				 VIRT_DONE);
		fake_advance(400 * NS_PER_S);
	}
	assert_int_equal(fake_heard("guest-0: pinning a vCPU: simulated failure"), 1);
	fake_refuse(0, VIR_ERR_NO_DOMAIN);
	assert_int_equal(pin(0, 0, 1), VIRT_GONE);
	fake_refuse(0, 0);
	assert_int_equal(pin(0, 0, 1), VIRT_DONE);
	fake_refuse(0, VIR_ERR_INTERNAL_ERROR);
	assert_int_equal(virt_set_memory(virt, vcpu(0, 0)->uuid, KIB_PER_GIB), VIRT_FAILED);
	assert_int_equal(fake_heard("guest-0: setting its memory: simulated failure"), 1);
	end();
}

/* Who cannot be pinned may be given memory, and the other way round. */
static void a_refused_pin_is_only_that(void **state)
{
	unsigned tries = 0;

	(void)state;
	begin(2);
	sample();
	fake_stays(0, true);
	for (unsigned i = 0; i < 100; i++) { /* 20 minutes */
		if (!vcpu(0, 0)->held) {     /* of its two vCPUs both are tried */
			tries += pin(0, 0, 1) == VIRT_FAILED;
			assert_int_equal(pin(0, 1, 1), VIRT_FAILED);
		}
		assert_int_equal(virt_set_memory(virt, memory(0)->uuid, KIB_PER_GIB),
				 VIRT_DONE);
		fake_advance(11 * NS_PER_S);
		sample();
		assert_int_equal(memory(0)->now.state, GUEST_RUNNING);
	}
	assert_in_range(tries, 7, 10);
	assert_int_equal(fake_heard("guest-0: pinning a vCPU: simulated failure"), 1);
	fake_stays(0, false);
	fake_advance(321 * NS_PER_S);
	sample();
	assert_false(vcpu(0, 0)->held);
	assert_int_equal(pin(0, 0, 1), VIRT_DONE);
	fake_refuse(0, VIR_ERR_INTERNAL_ERROR);
	assert_int_equal(virt_set_memory(virt, memory(0)->uuid, KIB_PER_GIB), VIRT_FAILED);
	fake_refuse(0, 0);
	sample();
	assert_int_equal(pin(0, 0, 2), VIRT_DONE);
	end();
}

/* The next run of a guest is not pinned for what the last one did. */
static void a_pin_is_of_one_run(void **state)
{
	struct cpuset set = { { 1 } };
	unsigned calls, run;

	(void)state;
	begin(1);
	sample();
	run = vcpu(0, 0)->run;
	fake_restart_guest(0);
	fake_advance(NS_PER_S);
	assert_int_equal(virt_guests(virt, &mems), 0); /* the other loop has seen it */
	calls = fake_pins();
	assert_int_equal(virt_pin(virt, mems.guest[0].uuid, run, 0, &set, true), VIRT_GONE);
	assert_int_equal(fake_pins(), calls);
	sample();
	assert_int_equal(pin(0, 0, 1), VIRT_DONE);
	end();
}

/* Statistics that could not be turned on are tried again. */
static void a_period_is_set_in_the_end(void **state)
{
	(void)state;
	begin(1);
	fake_refuse(0, VIR_ERR_INTERNAL_ERROR);
	for (unsigned i = 0; i < 100; i++)
		sample();
	assert_int_equal(fake_period(0), 0);
	assert_int_equal(fake_heard("guest-0: turning balloon statistics on: simulated"), 1);
	fake_refuse(0, 0);
	fake_advance(321 * NS_PER_S);
	sample();
	assert_int_equal(fake_period(0), 1);
	end();
}

/* A daemon that takes its time is asked about a few guests in each tick. */
static void a_slow_daemon_is_asked_in_parts(void **state)
{
	unsigned ticks = 0;

	(void)state;
	begin(20);
	fake_slow(2 * NS_PER_S);
	do {
		int64_t begun_ns = proc_now_ns();

		assert_int_equal(virt_vcpus(virt, &cpus), 0);
		assert_in_range(proc_now_ns() - begun_ns, 0, 40 * NS_PER_S);
		begun_ns = proc_now_ns();
		assert_int_equal(virt_guests(virt, &mems), 0);
		assert_in_range(proc_now_ns() - begun_ns, 0, 40 * NS_PER_S);
		assert_in_range(++ticks, 1, 40);
	} while (cpus.n < 40);
	assert_in_range(ticks, 3, 40);
	fake_slow(0);
	end();
}

/* ---- the connection ---- */

/* Whichever call finds it dead: all that came from it is given back before it is closed. */
static void it_dies_at_any_call(void **state)
{
	(void)state;
	for (unsigned k = 1; k <= 40; k++) {
		begin(3);
		sample();
		virt_refresh(virt);
		fake_die_at(k);
		for (unsigned i = 0; i < 12; i++) {
			fake_advance(NS_PER_S);
			virt_guests(virt, &mems);
			virt_vcpus(virt, &cpus);
		}
		assert_int_equal(fake_opens(), 2);
		assert_int_equal(fake_heard("simulated failure"), 1);
		fake_die_at(0);
		end();
	}
}

/* A daemon that dies of each question is left in peace, and spoken of once. */
static void a_dying_daemon_backs_off(void **state)
{
	(void)state;
	begin(1);
	sample();
	for (unsigned s = 0; s < 600; s++) {
		fake_die_at(1 + (s > 0) * 8);
		fake_advance(NS_PER_S);
		virt_guests(virt, &mems);
	}
	assert_in_range(fake_opens(), 100, 310); /* each 2 s, since that is the interval */
	assert_int_equal(fake_heard("simulated failure"), 1);
	assert_int_equal(fake_heard("connected to"), 1);
	fake_die_at(0);
	fake_advance(2 * NS_PER_S);
	sample();
	assert_int_equal(fake_heard("connected to"), 2);
	end();
}

static void a_dead_connection_is_opened_anew(void **state)
{
	unsigned epoch, calls;

	(void)state;
	begin(2);
	sample();
	epoch = cpus.epoch;
	assert_int_equal(fake_opens(), 1);
	fake_dead(true);
	assert_int_equal(virt_guests(virt, &mems), -1);
	assert_int_equal(fake_refs(), 0); /* closed */
	fake_advance(NS_PER_S);
	calls = fake_calls();
	for (unsigned i = 0; i < 20; i++) { /* 2 s */
		assert_int_equal(virt_guests(virt, &mems), -1);
		assert_int_equal(virt_vcpus(virt, &cpus), -1);
		assert_int_equal(virt_pin(virt, cpus.vcpu[0].uuid, cpus.vcpu[0].run, 0,
					  &cpus.online, true),
				 VIRT_LOST);
		fake_advance(NS_PER_S / 10);
	}
	assert_in_range(fake_calls() - calls, 2, 3);
	assert_int_equal(fake_opens(), 1);
	assert_int_equal(fake_heard("fake:///: simulated failure"), 1);
	fake_dead(false);
	fake_advance(NS_PER_S);
	sample();
	assert_int_equal(fake_opens(), 2);
	assert_int_equal(fake_heard("connected to fake:///"), 2);
	assert_int_not_equal(cpus.epoch, epoch);
	assert_int_equal(mems.epoch, cpus.epoch);
	assert_int_equal(cpus.n, 4);
	/* The events of the new connection are heard, too. */
	fake_mask(1, 1, 0x2);
	sample();
	assert_int_equal(mask(1, 1), 0x2);
	end();
}

/* 1, 2, 4 s, up to the interval of the loop that has the shorter one, or 10 s. */
static void attempts_become_rarer(void **state)
{
	unsigned calls;

	(void)state;
	opt.cpu_interval_s = 60;
	opt.mem_interval_s = 8;
	begin(1);
	sample();
	fake_dead(true);
	assert_int_equal(virt_guests(virt, &mems), -1);
	calls = fake_calls();
	for (unsigned s = 0; s < 40; s++) {
		fake_advance(NS_PER_S);
		assert_int_equal(virt_guests(virt, &mems), -1);
	}
	assert_in_range(fake_calls() - calls, 6, 8);
	fake_dead(false);
	fake_advance(8 * NS_PER_S);
	assert_int_equal(virt_guests(virt, &mems), 0);
	opt.cpu_interval_s = opt.mem_interval_s = 3600; /* 10 s, since memory is watched */
	fake_dead(true);
	for (unsigned s = 0; s < 600; s++) {
		virt_guests(virt, &mems);
		fake_advance(NS_PER_S);
	}
	fake_dead(false);
	fake_advance(9 * NS_PER_S);
	assert_int_equal(virt_guests(virt, &mems), 0);
	opt.cpu_interval_s = opt.mem_interval_s = 2;
	end();
}

/* Each kind of events in turn cannot be had at first: it is asked for until it can. */
static void events_are_asked_for_again(void **state)
{
	(void)state;
	if (!xml_is_read())
		return;
	for (unsigned kind = 0; kind < 4; kind++) {
		unsigned calls;

		begin(1);
		fake_advance(NS_PER_S);
		fake_fail_at(3 + kind, VIR_ERR_INTERNAL_ERROR); /* after open, map */
		assert_int_equal(virt_vcpus(virt, &cpus), 0);
		assert_int_equal(fake_heard("libvirt's events: simulated failure"), 1);
		fake_mask(0, 1, 0x2);
		fake_metadata(0, "<policy mem='off'/>");
		sample();
		assert_int_equal(fake_heard("libvirt's events: back to normal"), 1);
		assert_int_equal(mask(0, 1), 0x2); /* whether or not its event was missed */
		assert_int_equal(memory(0)->now.state, GUEST_UNMANAGED);
		fake_mask(0, 1, 0x4);
		fake_metadata(0, NULL);
		sample();
		assert_int_equal(mask(0, 1), 0x4);
		assert_int_equal(memory(0)->now.state, GUEST_RUNNING);
		calls = fake_calls();
		assert_int_equal(virt_guests(virt, &mems), 0);
		assert_int_equal(fake_calls(), calls + 1);
		end();
	}
}

/* A call that fails on a connection that is alive costs one tick and is said once. */
static void a_failed_read_is_said_once(void **state)
{
	(void)state;
	begin(1);
	sample();
	for (unsigned i = 0; i < 3; i++) {
		fake_fail_at(1, VIR_ERR_INTERNAL_ERROR);
		assert_int_equal(virt_guests(virt, &mems), -1);
	}
	assert_int_equal(fake_heard("reading domain statistics: simulated failure"), 1);
	sample();
	assert_int_equal(fake_heard("reading domain statistics: back to normal"), 1);
	fake_pcpu(1, false); /* the kernel tells: then the daemon is asked */
	fake_fail_at(1, VIR_ERR_INTERNAL_ERROR);
	assert_int_equal(virt_vcpus(virt, &cpus), -1);
	assert_int_equal(fake_heard("reading the map of pCPUs: simulated failure"), 1);
	assert_int_equal(fake_opens(), 1);
	end();
}

/* A guest whose definition cannot be read may have asked to be left alone. */
static void an_unread_guest_is_left_alone(void **state)
{
	(void)state;
	if (!xml_is_read())
		return;
	begin(1);
	fake_fail_at(12, VIR_ERR_INTERNAL_ERROR); /* its metadata */
	fake_advance(NS_PER_S);
	assert_int_equal(virt_vcpus(virt, &cpus), 0);
	assert_int_equal(fake_heard("guest-0: its definition cannot be read"), 1);
	assert_int_equal(cpus.n, 0);
	sample();
	assert_int_equal(cpus.n, 0); /* not asked again so soon */
	fake_advance(5 * NS_PER_S);
	sample();
	assert_int_equal(cpus.n, 2);
	assert_int_equal(fake_heard("guest-0: back to normal"), 1);
	end();
	begin(1);
	fake_fail_at(14, VIR_ERR_OPERATION_INVALID); /* as if it had just ended */
	fake_advance(NS_PER_S);
	assert_int_equal(virt_vcpus(virt, &cpus), 0);
	assert_int_equal(cpus.n, 0);
	end();
	begin(1);
	fake_fail_at(10, VIR_ERR_INTERNAL_ERROR);
	assert_int_equal(virt_guests(virt, &mems), 0);
	assert_int_equal(fake_heard("guest-0: its definition cannot be read"), 1);
	assert_int_equal(memory(0)->now.state, GUEST_BUSY);
	fake_advance(5 * NS_PER_S);
	sample();
	assert_int_equal(memory(0)->now.state, GUEST_RUNNING);
	end();
}

/* Whose masks cannot be read may still ask to be left alone, and the other way round. */
static void one_question_does_not_wait_for_another(void **state)
{
	(void)state;
	if (!xml_is_read())
		return;
	begin(1);
	sample();
	fake_questions_fail(true, false);
	virt_refresh(virt);
	for (unsigned i = 0; i < 400; i++) {
		sample();
		assert_int_equal(cpus.n, 0);
	}
	fake_metadata(0, "<policy mem='off'/>");
	sample();
	assert_int_equal(memory(0)->now.state, GUEST_UNMANAGED);
	fake_questions_fail(false, true);
	virt_refresh(virt); /* SIGHUP asks at once */
	for (unsigned i = 0; i < 400; i++) {
		sample();
		assert_int_equal(cpus.n, 2);
	}
	assert_int_equal(fake_heard("guest-0: its masks cannot be read"), 1);
	assert_int_equal(fake_heard("guest-0: its definition cannot be read"), 1);
	fake_questions_fail(false, false);
	fake_metadata(0, "<policy cpu='off'/>"); /* an event, too */
	sample();
	assert_true(cpus.vcpu[0].policy.cpu_off && cpus.vcpu[1].policy.cpu_off);
	fake_metadata(0, "<policy/>");
	fake_questions_fail(true, false);
	for (unsigned i = 0; i < 400; i++)
		sample();
	fake_questions_fail(false, false);
	virt_refresh(virt);
	sample();
	assert_int_equal(cpus.n, 2);
	end();
}

/* What is wrong in its metadata is said, and is as if it was not there. */
static void wrong_metadata_are_said(void **state)
{
	(void)state;
	if (!xml_is_read())
		return;
	begin(2);
	fake_metadata(0, "<policy cpu='maybe'/>");
	fake_metadata(1, "<policy mem='off' min='1G'/>");
	sample();
	sample();
	assert_int_equal(fake_heard("guest-0: its metadata are not followed: cpu='maybe'"), 1);
	assert_int_equal(memory(0)->now.state, GUEST_RUNNING);
	assert_int_equal(memory(1)->now.state, GUEST_UNMANAGED);
	fake_metadata(0, "<policy min='&#10;&lt;3&gt;forged'/>"); /* a line is a line */
	sample();
	assert_int_equal(fake_heard("\n<3>forged"), 0);
	assert_int_equal(fake_heard(" <3>forged"), 1);
	fake_metadata(1, "<policy min='700M'/>");
	sample();
	assert_int_equal(memory(1)->now.policy.min_kib, 700 << 10);
	fake_metadata(1, "<!DOCTYPE p [<!ENTITY a 'off'>]><policy mem='&a;'/>");
	sample();
	assert_int_equal(memory(1)->now.policy.min_kib, 700 << 10);
	assert_int_equal(memory(1)->now.state, GUEST_RUNNING);
	end();
}

/* What a hot-plugged device does to the guest's memory is known with the next sample. */
static void devices_come_and_go(void **state)
{
	static const char usb[] = "<domain><devices><hostdev type='usb'/></devices></domain>";
	static const char pci[] = "<domain><devices><hostdev type='pci'/></devices></domain>";

	(void)state;
	if (!xml_is_read())
		return;
	begin(1);
	sample();
	assert_false(memory(0)->now.kind.locked);
	fake_device(0, pci, true);
	sample();
	assert_true(memory(0)->now.kind.locked);
	fake_device(0, usb, false);
	sample();
	assert_false(memory(0)->now.kind.locked);
	end();
}

static void long_names_end_at_a_character(void **state)
{
	char name[161] = "";

	(void)state;
	for (int i = 0; i < 80; i++)
		strcat(name, "\xc3\xa9");
	begin(1);
	fake_rename(0, name);
	sample();
	assert_int_equal(mems.n, 1);
	assert_int_equal(strlen(mems.guest[0].name), 62);
	assert_int_equal(strncmp(mems.guest[0].name, name, 62), 0);
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(restarts_and_resets),
		cmocka_unit_test(states),
		cmocka_unit_test(odd_figures_are_passed_over),
		cmocka_unit_test(others_pins),
		cmocka_unit_test(a_fence_moves),
		cmocka_unit_test(a_new_definition_is_told),
		cmocka_unit_test(gone_guests_are_forgotten),
		cmocka_unit_test(masks_do_not_pile_up),
		cmocka_unit_test(pcpus_come_and_go),
		cmocka_unit_test(quotas),
		cmocka_unit_test(hard_limits),
		cmocka_unit_test(memory_of_those_left_alone),
		cmocka_unit_test(this_machine_is_read_by_proc),
		cmocka_unit_test(another_is_read_through_libvirt),
		cmocka_unit_test(a_timeout_blocks),
		cmocka_unit_test(a_backup_blocks_nothing),
		cmocka_unit_test(a_job_blocks),
		cmocka_unit_test(a_failure_is_said_once),
		cmocka_unit_test(a_refused_pin_is_only_that),
		cmocka_unit_test(a_pin_is_of_one_run),
		cmocka_unit_test(a_period_is_set_in_the_end),
		cmocka_unit_test(a_slow_daemon_is_asked_in_parts),
		cmocka_unit_test(it_dies_at_any_call),
		cmocka_unit_test(a_dying_daemon_backs_off),
		cmocka_unit_test(a_dead_connection_is_opened_anew),
		cmocka_unit_test(attempts_become_rarer),
		cmocka_unit_test(events_are_asked_for_again),
		cmocka_unit_test(a_failed_read_is_said_once),
		cmocka_unit_test(an_unread_guest_is_left_alone),
		cmocka_unit_test(one_question_does_not_wait_for_another),
		cmocka_unit_test(wrong_metadata_are_said),
		cmocka_unit_test(devices_come_and_go),
		cmocka_unit_test(long_names_end_at_a_character),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
