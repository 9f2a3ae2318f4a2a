/*
 * A build without libxml2: what only XML tells is not guessed, and a guest that may have a
 * policy of its own is left alone.  Made by `make XML=no` only.
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
#include "host/virt.h"
#include "lib/units.h"
#include "loop/state.h"
#include "policy/cpu.h"
#include "policy/cpu_observe.h"
#include "policy/mem.h"
#include "policy/sample.h"
#include "tests/fake/fake.h"

#define STATUS(lck, pin, huge)                                                                 \
	"Name:\tqemu\nVmLck:\t" lck " kB\nVmPin:\t" pin " kB\nHugetlbPages:\t" huge " kB\n"

static char dir[] = "/tmp/vmbal-noxml-XXXXXX";
static struct options opt;
static struct virt *virt;
static struct vcpu_sample cpus;
static struct guest_sample mems;

static int begin(void **state)
{
	(void)state;
	opt = (struct options){ OPTIONS_TUNABLES, .uri = "fake:///", .cpu_interval_s = 2,
				.mem_interval_s = 2 };
	log_init(LOG_PRIO_INFO);
	fake_host(4, 16 * KIB_PER_GIB, 1);
	fake_proc_root(dir);
	fake_listen();
	virt = virt_new(&opt);
	return virt ? 0 : -1;
}

static int end(void **state)
{
	char command[64];

	(void)state;
	fake_deafen();
	virt_vcpus_free(&cpus);
	virt_guests_free(&mems);
	assert_int_equal(virt_free(virt), 0);
	assert_int_equal(fake_refs(), 0);
	fake_end();
	snprintf(command, sizeof(command), "rm -rf %s/*", dir);
	return system(command);
}

static void guests(unsigned n)
{
	struct plant_load load = { .work = PLANT_CLOSED, .demand = 0.3 };
	struct plant_mem_guest conf = { .max_kib = KIB_PER_GIB,
					.start_kib = KIB_PER_GIB,
					.work = { .points = 1,
						  .point = { { 0, 300 << 10 } } } };

	while (n-- > 0)
		fake_guest(1, &load, &conf);
}

static void sample(void)
{
	fake_advance(NS_PER_S);
	assert_int_equal(virt_vcpus(virt, &cpus), 0);
	assert_int_equal(virt_guests(virt, &mems), 0);
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

static bool balanced(unsigned guest)
{
	for (size_t i = 0; i < cpus.n; i++)
		if (memcmp(cpus.vcpu[i].uuid, memory(guest)->uuid, UUID_LEN) == 0)
			return !cpus.vcpu[i].policy.cpu_off;
	return false;
}

static FILE *put(int pid, const char *name)
{
	char path[256];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%d", dir, pid);
	mkdir(path, 0755);
	snprintf(path, sizeof(path), "%s/%d/task", dir, pid);
	mkdir(path, 0755);
	snprintf(path, sizeof(path), "%s/%d/task/%d", dir, pid, pid);
	mkdir(path, 0755);
	snprintf(path, sizeof(path), "%s/%d/%s", dir, pid, name);
	f = fopen(path, "we");
	assert_non_null(f);
	return f;
}

/* The process of a guest, with what /proc/PID/status says; objects: more of its arguments. */
static void process(unsigned guest, const char *status, const char *object)
{
	int pid = 300 + (int)guest;
	char name[64];
	FILE *f = put(pid, "cmdline");

	fprintf(f, "qemu%c-name%cguest=sev-guest%c-object%c%s%c-uuid%c", 0, 0, 0, 0, object, 0,
		0);
	uuid_print(f, memory(guest)->uuid);
	fputc('\0', f);
	fclose(f);
	f = put(pid, "status");
	fputs(status, f);
	fclose(f);
	snprintf(name, sizeof(name), "task/%d/comm", pid);
	f = put(pid, name);
	fputs("CPU 0/KVM\n", f);
	fclose(f);
	fclose(put(1, "cmdline"));
}

static void is(unsigned guest, bool locked, uint64_t huge_kib, bool unproven)
{
	assert_int_equal(memory(guest)->now.kind.locked, locked);
	assert_int_equal(memory(guest)->now.kind.huge_kib, huge_kib);
	assert_int_equal(memory(guest)->now.unproven, unproven);
}

/* ---- guests' own policy ---- */

static void metadata_are_left_alone_unread(void **state)
{
	static const char said[] = "guest-1: it carries metadata of vmbal's";

	(void)state;
	guests(2);
	fake_metadata(1, "<policy weight='2'/>");
	for (int i = 0; i < 5; i++)
		sample();
	assert_true(balanced(0));
	assert_int_equal(memory(0)->now.state, GUEST_RUNNING);
	assert_false(balanced(1));
	assert_int_equal(memory(1)->now.state, GUEST_UNMANAGED);
	fake_metadata(1, "<policy weight='3'/>");
	virt_refresh(virt);
	sample();
	sample();
	assert_false(balanced(1));
	assert_int_equal(fake_heard(said), 1);

	fake_metadata(1, NULL);
	sample();
	sample();
	assert_true(balanced(1));
	assert_int_equal(memory(1)->now.state, GUEST_RUNNING);
	assert_int_equal(fake_heard("guest-1: back to normal"), 1);
}

/* ---- kinds of memory ---- */

static void the_kernel_tells_what_memory_is(void **state)
{
	(void)state;
	guests(8);
	sample();
	for (unsigned i = 0; i < 8; i++)
		is(i, false, 0, true);
	process(0, STATUS("0", "0", "0"), "memory-backend-ram");
	process(1, STATUS("1050000", "0", "0"), "memory-backend-ram");
	process(2, STATUS("0", "1050000", "0"), "memory-backend-ram");
	process(3, STATUS("0", "0", "1048576"), "memory-backend-file");
	process(4, STATUS("0", "0", "0"), "{\"qom-type\":\"sev-guest\",\"id\":\"lsec0\"}");
	process(5, STATUS("0", "132", "0"), "memory-backend-ram"); /* rings, or a vGPU */
	process(6, "Name:\tqemu\nState:\tZ\n", "memory-backend-ram");
	for (int i = 0; i < 12; i++)
		sample();
	is(0, false, 0, false);
	is(1, true, 0, false);
	is(2, true, 0, false);
	is(3, false, 1048576, false);
	is(4, true, 0, false);
	is(5, false, 0, true);
	is(6, false, 0, true);
	is(7, false, 0, true); /* it is not to be found */
	/* A device that is given to it later pins its memory, and no event tells. */
	process(0, STATUS("0", "1050000", "0"), "memory-backend-ram");
	sample();
	is(0, true, 0, false);
}

static void another_host_s_kernel_is_not_asked(void **state)
{
	(void)state;
	fake_remote(true);
	guests(1);
	sample();
	process(0, STATUS("0", "0", "0"), "memory-backend-ram");
	for (int i = 0; i < 12; i++)
		sample();
	is(0, false, 0, true);
}

/* ---- the shape of a remote host ---- */

static void a_remote_host_is_flat(void **state)
{
	(void)state;
	fake_remote(true);
	guests(2);
	fake_nodes(1, "0");
	for (int i = 0; i < 3; i++)
		sample();
	assert_true(balanced(0));
	assert_false(balanced(1)); /* nobody knows which pCPUs are its node's */
	assert_int_equal(fake_heard("guest-1: it is bound to memory nodes"), 1);
	assert_int_equal(fake_heard("without libxml2: cores, caches and nodes are unknown"), 1);
}

/* Waiting would not make it known: the CPU loop refuses such a grain. */
static void so_it_is_at_any_grain(void **state)
{
	(void)state;
	fake_remote(true);
	opt.grain = GRAIN_NODE;
	guests(1);
	sample();
	assert_false(cpu_knows_grain(&cpus, GRAIN_NODE));
	assert_int_equal(fake_heard("without libxml2: cores, caches and nodes are unknown"), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(metadata_are_left_alone_unread, begin, end),
		cmocka_unit_test_setup_teardown(the_kernel_tells_what_memory_is, begin, end),
		cmocka_unit_test_setup_teardown(another_host_s_kernel_is_not_asked, begin, end),
		cmocka_unit_test_setup_teardown(a_remote_host_is_flat, begin, end),
		cmocka_unit_test_setup_teardown(so_it_is_at_any_grain, begin, end),
	};
	int failed;

	if (!mkdtemp(dir))
		return 1;
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	return rmdir(dir) ? 1 : failed;
}
