/*
 * host/qemu.c over a directory that is made to look like /proc.
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
#include "host/qemu.h"
#include "host/virt.h"
#include "loop/loop.h"
#include "loop/state.h"
#include "policy/sample.h"
#include "tests/fake/fake.h"

#define UUID       "00112233-4455-6677-8899-aabbccddeeff"
#define OTHER      "ffeeddcc-bbaa-9988-7766-554433221100"
#define QEMU(uuid) "qemu\0-name\0guest=a,debug-threads=on\0-uuid\0" uuid "\0-smp\0001\0"

static char dir[] = "/tmp/vmbal-qemu-XXXXXX";
static unsigned char uuid[UUID_LEN];
static struct qemus all;

static void run(const char *fmt, ...)
{
	char command[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(command, sizeof(command), fmt, ap);
	va_end(ap);
	assert_int_equal(system(command), 0);
}

/* A file of a process or of one of its threads. */
static void put(int pid, const char *name, const char *text, size_t len)
{
	char path[256];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%d/%s", dir, pid, name);
	for (char *slash = strchr(path + sizeof(dir), '/'); slash;
	     slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		mkdir(path, 0755);
		*slash = '/';
	}
	f = fopen(path, "we");
	assert_non_null(f);
	assert_int_equal(fwrite(text, 1, len, f), len);
	fclose(f);
}

#define cmdline(pid, args) put(pid, "cmdline", args, sizeof(args) - 1)

static void thread(int pid, int id, const char *comm)
{
	char name[64];

	snprintf(name, sizeof(name), "task/%d/comm", id);
	put(pid, name, comm, strlen(comm));
}

/* A /proc with a first process and one of no guest. */
static int begin(void **state)
{
	(void)state;
	run("rm -rf %s/*", dir);
	fake_proc_root(dir);
	cmdline(1, "/sbin/init\0");
	cmdline(20, "bash\0");
	thread(20, 20, "bash\n");
	run("touch %s/uptime %s/self", dir, dir);
	return 0;
}

static void guest(int pid)
{
	cmdline(pid, QEMU(UUID));
	thread(pid, pid, "qemu-system-x86\n");
	thread(pid, pid + 1, "IO mon_iothread\n");
	thread(pid, pid + 2, "CPU 0/KVM\n");
}

static pid_t found(void)
{
	assert_int_equal(qemus_read(&all), 0);
	return qemu_pid(&all, uuid);
}

static void by_uuid(void **state)
{
	(void)state;
	assert_int_equal(found(), 0);
	guest(300);
	cmdline(400, QEMU(OTHER));
	thread(400, 400, "CPU 0/TCG\n");
	assert_int_equal(found(), 300);
	assert_true(qemu_is(300, uuid));
	run("rm -r %s/300", dir);
	assert_false(qemu_is(300, uuid));
	assert_int_equal(found(), 0);
	cmdline(300, QEMU(OTHER)); /* the pid is used again */
	assert_false(qemu_is(300, uuid));
	cmdline(300, QEMU(UUID)); /* one thread runs all vCPUs */
	thread(300, 300, "ALL CPUs/TCG\n");
	assert_int_equal(found(), 300);
}

/* What has a guest's arguments is not its process for that. */
static void impostors(void **state)
{
	(void)state;
	cmdline(200, "sh\0start\0-uuid\0" UUID "\0");
	thread(200, 200, "sh\n");
	assert_int_equal(found(), 0);
	guest(300);
	assert_int_equal(found(), 300);
	guest(500);
	assert_int_equal(found(), 0);
}

static void odd_arguments(void **state)
{
	static const struct {
		const char *args;
		size_t len;
	} odd[] = {
#define ODD(args) { args, sizeof(args) - 1 }
		ODD(""),
		ODD("\0"),
		ODD("-uuid"),
		ODD("qemu\0-uuid\0"),
		ODD("qemu\0-uuid\0\0" UUID "\0"),
		ODD("qemu\0-uuid " UUID "\0"),
		ODD("qemu\0--uuid\0" UUID "\0"),
		ODD("qemu\0-uuid\0" UUID "0\0"),
		ODD("qemu\0-uuid\00000112233\0"),
	};
	static char large[5 << 20];

	(void)state;
	thread(300, 300, "CPU 0/KVM\n");
	for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
		put(300, "cmdline", odd[i].args, odd[i].len);
		assert_int_equal(found(), 0);
	}
	cmdline(300, "-uuid\0" UUID); /* cut short by nobody: arguments need not end in NUL */
	assert_int_equal(found(), 300);
	memset(large, 'x', sizeof(large));
	memcpy(large + 100000, "\0-uuid\0" UUID, sizeof("\0-uuid\0" UUID));
	put(300, "cmdline", large, sizeof(large));
	assert_int_equal(found(), 300);
	memset(large, 'x', sizeof(large)); /* no program was started with so many */
	memcpy(large + sizeof(large) - 100, "\0-uuid\0" UUID, sizeof("\0-uuid\0" UUID));
	put(300, "cmdline", large, sizeof(large));
	assert_int_equal(found(), 0);
}

/* hidepid: no process of another user is to be seen, or none of their files. */
static void hidden(void **state)
{
	(void)state;
	guest(300);
	run("rm -r %s/1", dir);
	assert_int_equal(found(), 300); /* our own */
	run("rm -r %s/300", dir);
	assert_int_equal(found(), QEMU_HIDDEN);
	run("mkdir %s/1", dir);
	assert_int_equal(found(), QEMU_HIDDEN);
	fake_proc_root("/nonexistent");
	assert_int_equal(qemus_read(&all), -1);
}

/* ---- run delay ---- */

static void schedstat(int pid, int id, const char *fmt, ...)
{
	char name[64], text[128];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	snprintf(name, sizeof(name), "task/%d/schedstat", id);
	put(pid, name, text, strlen(text));
}

static void waits_of_threads(void **state)
{
	static const char *const untold[] = { "0 0 0\n", "", "x 1 2\n", "5\n", "5 y\n" };
	struct vcpu_count c[4];

	(void)state;
	memset(c, 0, sizeof(c));
	c[0].number = 1;
	c[1].number = 0;
	c[2].number = 10;
	c[3].number = 7; /* has no thread */
	for (int i = 0; i < 4; i++)
		c[i].wait_ns = UINT64_MAX;
	guest(300); /* vCPU 0 is thread 302 */
	schedstat(300, 300, "1 2 3\n");
	schedstat(300, 301, "4 5 6\n");
	schedstat(300, 302, "100 200 3\n");
	thread(300, 303, "CPU 1/TCG\n");
	schedstat(300, 303, "300 18446744073709551614 3\n");
	thread(300, 304, "CPU 10/KVM\n");
	schedstat(300, 304, "1 0 1\n");
	thread(300, 305, "CPU 7\n"); /* not how QEMU names one */
	schedstat(300, 305, "9 9 9\n");
	thread(300, 306, "CPU 7/HVF\n");
	schedstat(300, 306, "9 9 9\n");
	qemu_waits(300, c, 4);
	assert_int_equal(c[0].wait_ns, UINT64_MAX - 1);
	assert_int_equal(c[1].wait_ns, 200);
	assert_int_equal(c[2].wait_ns, 0);
	assert_int_equal(c[3].wait_ns, UINT64_MAX);
	for (size_t i = 0; i < sizeof(untold) / sizeof(untold[0]); i++) {
		c[1].wait_ns = UINT64_MAX;
		schedstat(300, 302, "%s", untold[i]);
		qemu_waits(300, c, 4);
		assert_int_equal(c[1].wait_ns, UINT64_MAX);
	}
	qemu_waits(999, c, 4); /* it has ended */
}

/* ---- a whole host, all of whose guests begin on the first pCPU ---- */

#define GUESTS 8
#define HEAVY  0.36
#define LIGHT  0.09

static struct options opt = { OPTIONS_TUNABLES, .uri = "fake:///", .cpu_interval_s = 2 };
static struct virt *virt;
static void *loop;
static int run_of[GUESTS]; /* a guest's process is another after a restart */

static int pid_of(unsigned i)
{
	return 1000 + (int)i * 10 + run_of[i] * 100;
}

static void host_begin(void)
{
	fake_host(2, 1, 1);
	for (unsigned i = 0; i < GUESTS; i++)
		fake_guest(1,
			   &(struct plant_load){ .work = PLANT_CLOSED,
						 .demand = i % 2 ? LIGHT : HEAVY },
			   NULL);
	virt = virt_new(&opt);
	loop = cpu_loop_ops.open(virt, &opt);
	for (unsigned i = 0; i < GUESTS; i++)
		fake_mask(i, 0, 1);
	memset(run_of, 0, sizeof(run_of));
}

static void host_end(void)
{
	cpu_loop_ops.close(loop);
	assert_int_equal(virt_free(virt), 0);
	assert_int_equal(fake_offences(), 0);
	fake_end();
}

static void process_begin(unsigned i)
{
	static const char name[] = "qemu\0-uuid";
	const unsigned char *u = fake_uuid(i);
	char args[128];
	FILE *f = fmemopen(args, sizeof(args), "w");

	fwrite(name, 1, sizeof(name), f);
	uuid_print(f, u);
	fputc('\0', f);
	fflush(f);
	put(pid_of(i), "cmdline", args, (size_t)ftell(f));
	fclose(f);
	thread(pid_of(i), pid_of(i), "qemu-system-x86\n");
	thread(pid_of(i), pid_of(i) + 1, "CPU 0/TCG\n");
}

static void ticks(unsigned n, bool told)
{
	while (n-- > 0) {
		fake_advance(2000000000ULL);
		for (unsigned i = 0; told && i < GUESTS; i++)
			schedstat(
				pid_of(i), pid_of(i) + 1, "%llu %llu 1\n",
				(unsigned long long)plant_time_ns(fake_cpus(), fake_task(i, 0)),
				(unsigned long long)plant_delay_ns(fake_cpus(),
								   fake_task(i, 0)));
		cpu_loop_ops.tick(loop);
	}
}

/* The masks at the end, a bit per guest: those on the second pCPU. */
static unsigned on_second(void)
{
	unsigned bits = 0;

	for (unsigned i = 0; i < GUESTS; i++)
		bits |= (unsigned)(fake_mask_of(i, 0) == 2) << i;
	return bits;
}

/* What libvirt does not tell is read where it would be: not a pin is another. */
static void withheld(void **state)
{
	unsigned with, pins;

	(void)state;
	host_begin();
	ticks(20, false);
	with = on_second();
	pins = fake_pins();
	assert_int_equal(__builtin_popcount(with & 0x55), 2);
	host_end();
	fake_listen();
	log_init(LOG_PRIO_INFO);
	host_begin();
	fake_no_delay(true);
	for (unsigned i = 0; i < GUESTS; i++)
		process_begin(i);
	ticks(20, true);
	assert_int_equal(on_second(), with);
	assert_int_equal(fake_pins(), pins);
	assert_int_equal(fake_heard("this is read from /proc"), 1);
	assert_int_equal(fake_heard("look alike"), 0);
	fake_deafen();
	host_end();
}

/* What the next sample says that a guest waited. */
static uint64_t wait_of(unsigned i)
{
	struct vcpu_sample s = { 0 };
	uint64_t wait_ns = 0;

	assert_int_equal(virt_vcpus(virt, &s), 0);
	assert_int_equal(s.n, GUESTS);
	for (size_t k = 0; k < s.n; k++)
		if (memcmp(s.vcpu[k].uuid, fake_uuid(i), UUID_LEN) == 0)
			wait_ns = s.vcpu[k].wait_ns;
	virt_vcpus_free(&s);
	return wait_ns;
}

/* A guest's next run is another process, and its last one's pid may be another guest's. */
static void restarted(void **state)
{
	(void)state;
	host_begin();
	fake_no_delay(true);
	for (unsigned i = 0; i < GUESTS; i++)
		process_begin(i);
	ticks(5, true);
	assert_int_equal(wait_of(3), plant_delay_ns(fake_cpus(), fake_task(3, 0)));
	fake_restart_guest(3);
	run("cp %s/%d/cmdline %s/%d/cmdline", dir, pid_of(4), dir, pid_of(3));
	run("rm -r %s/%d", dir, pid_of(4));
	assert_int_equal(wait_of(3), UINT64_MAX);
	assert_true(wait_of(4) < UINT64_MAX);
	run_of[3]++;
	process_begin(3);
	ticks(5, true); /* looked for again after 5 s */
	assert_true(wait_of(3) > 0);
	assert_int_equal(wait_of(3), plant_delay_ns(fake_cpus(), fake_task(3, 0)));
	host_end();
}

/* Where nobody tells, that is said once, and why. */
static void untold(void **state)
{
	static const struct {
		bool remote, hidden, empty;
		const char *why;
	} cases[] = {
		{ .why = "its process is not in /proc" },
		{ .hidden = true, .why = "/proc hides its process (hidepid)" },
		{ .remote = true, .why = "the host is another machine" },
		{ .empty = true, .why = "its threads in /proc do not" },
	};

	(void)state;
	log_init(LOG_PRIO_INFO);
	for (size_t k = 0; k < sizeof(cases) / sizeof(cases[0]); k++) {
		fake_listen();
		host_begin();
		fake_no_delay(true);
		fake_remote(cases[k].remote);
		if (cases[k].hidden)
			run("rm -r %s/1", dir);
		for (unsigned i = 0; i < GUESTS && (cases[k].remote || cases[k].empty); i++)
			process_begin(i);
		ticks(2, false);
		assert_int_equal(fake_heard("look alike"), 0); /* it may be about to end */
		ticks(30, false);
		assert_int_equal(fake_heard("look alike"), 1);
		assert_int_equal(fake_heard(cases[k].why), 1);
		fake_deafen();
		host_end();
		begin(NULL);
	}
}

/* A guest that starts when others are long given up is found at once. */
static void late(void **state)
{
	(void)state;
	log_init(LOG_PRIO_ERR);
	host_begin();
	fake_no_delay(true);
	ticks(200, false);
	fake_restart_guest(0);
	for (unsigned i = 0; i < GUESTS; i++)
		process_begin(i);
	ticks(1, true);
	assert_int_equal(wait_of(0), plant_delay_ns(fake_cpus(), fake_task(0, 0)));
	assert_int_equal(wait_of(1), UINT64_MAX);
	ticks(160, true); /* these are asked for again after at most 320 s */
	assert_true(wait_of(1) < UINT64_MAX);
	host_end();
}

/* Where no XML is read these counters decide whether its balloon is of use. */
static void kinds_of_memory(void **state)
{
	static const struct {
		const char *status;
		int result;
		bool locked;
		uint64_t huge_kib;
	} cases[] = {
		{ "VmLck:\t0 kB\nVmPin:\t0 kB\nHugetlbPages:\t0 kB\n", 0, false, 0 },
		{ "VmLck:\t2097152 kB\nVmPin:\t0 kB\nHugetlbPages:\t0 kB\n", 0, true, 0 },
		{ "VmLck:\t0 kB\nVmPin:\t65536 kB\nHugetlbPages:\t0 kB\n", 0, true, 0 },
		{ "VmLck:\t0 kB\nVmPin:\t65535 kB\nHugetlbPages:\t0 kB\n", -1, false, 0 },
		{ "VmLck:\t4 kB\nVmPin:\t0 kB\nHugetlbPages:\t2048 kB\n", 0, true, 2048 },
		{ "VmLck:\t0 kB\nVmPin:\t0 kB\n", -1, false, 0 },
		{ "", -1, false, 0 },
	};

	(void)state;
	guest(300);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		bool locked = false;
		uint64_t huge_kib = 0;

		put(300, "status", cases[i].status, strlen(cases[i].status));
		assert_int_equal(qemu_memory_kind(300, &locked, &huge_kib), cases[i].result);
		assert_int_equal(locked, cases[i].locked);
		assert_int_equal(huge_kib, cases[i].huge_kib);
	}
}

/* Encrypted memory is pinned, and no counter shows it; a name is no object. */
static void encrypted_memory(void **state)
{
	static const char ordinary[] = "VmLck:\t0 kB\nVmPin:\t0 kB\nHugetlbPages:\t0 kB\n";
	bool locked = true;
	uint64_t huge_kib = 1;

	(void)state;
	put(300, "status", ordinary, sizeof(ordinary) - 1);
	assert_int_equal(qemu_memory_kind(300, &locked, &huge_kib), -1); /* no arguments */
	assert_true(locked && huge_kib);
	cmdline(300, "qemu\0-name\0sev-guest\0-object\0memory-backend-ram,id=pc.ram\0");
	assert_int_equal(qemu_memory_kind(300, &locked, &huge_kib), 0);
	assert_false(locked || huge_kib);
	cmdline(300, "qemu\0-object\0{\"qom-type\":\"sev-snp-guest\",\"id\":\"lsec0\"}\0");
	assert_int_equal(qemu_memory_kind(300, &locked, &huge_kib), 0);
	assert_true(locked && !huge_kib);
	cmdline(300, "qemu\0-object\0tdx-guest,id=lsec0");
	locked = false;
	assert_int_equal(qemu_memory_kind(300, &locked, &huge_kib), 0);
	assert_true(locked);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(by_uuid, begin),
		cmocka_unit_test_setup(impostors, begin),
		cmocka_unit_test_setup(odd_arguments, begin),
		cmocka_unit_test_setup(hidden, begin),
		cmocka_unit_test_setup(waits_of_threads, begin),
		cmocka_unit_test_setup(withheld, begin),
		cmocka_unit_test_setup(restarted, begin),
		cmocka_unit_test_setup(untold, begin),
		cmocka_unit_test_setup(late, begin),
		cmocka_unit_test_setup(kinds_of_memory, begin),
		cmocka_unit_test_setup(encrypted_memory, begin),
	};
	int failed;

	if (!mkdtemp(dir) || uuid_parse(UUID, uuid) < 0)
		return 1;
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	free(all.qemu);
	run("rm -rf %s", dir);
	return failed;
}
