/*
 * Which pCPUs guests may have: from files of cgroups, v1 and v2, and from pins that are
 * refused.
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
/* cmocka wants the four std*.h above first */
#include <cmocka.h>

#include "host/cgroup.h"
#include "host/log.h"
#include "host/options.h"
#include "host/virt.h"
#include "lib/cpuset.h"
#include "lib/units.h"
#include "lib/xml.h"
#include "loop/loop.h"
#include "loop/state.h"
#include "policy/cpu.h"
#include "policy/sample.h"
#include "tests/fake/fake.h"

#define INTERVAL_S 2
#define PID        300 /* of the first guest's process; the others follow */

static char dir[] = "/tmp/vmbal-pcpu-XXXXXX", proc[64], cgroups[64];

/* ---- files ---- */

static int begin(void **state)
{
	char command[128];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf %s/*", dir);
	assert_int_equal(system(command), 0);
	fake_proc_root(proc);
	fake_cgroups(cgroups);
	return 0;
}

static void put(const char *root, const char *path, const char *text, size_t len)
{
	char name[512];
	FILE *f;

	snprintf(name, sizeof(name), "%s/%s", root, path);
	for (char *p = strchr(name + 1, '/'); p; p = strchr(p + 1, '/')) {
		*p = '\0';
		mkdir(name, 0755);
		*p = '/';
	}
	f = fopen(name, "we");
	assert_non_null(f);
	assert_int_equal(fwrite(text, 1, len, f), len);
	fclose(f);
}

static void put_text(const char *root, const char *path, const char *text)
{
	put(root, path, text, strlen(text));
}

#define SCOPE  "/machine.slice/machine-qemu\\x2d1\\x2da.scope"
#define LEGACY "/machine/qemu-1-a.libvirt-qemu"

static void groups(void **state)
{
	static const struct {
		const char *cgroup; /* the process's */
		struct {
			const char *path, *content;
		} file[4];
		uint64_t want; /* 0: it is not told */
	} cases[] = {
		/* v2: of the guest's group, and never of one of its threads */
		{ "0::" SCOPE "/libvirt/emulator\n",
		  { { SCOPE "/libvirt/emulator/cpuset.cpus.effective", "1\n" },
		    { SCOPE "/libvirt/cpuset.cpus.effective", "0-1\n" },
		    { "/machine.slice/cpuset.cpus.effective", "0-3\n" } },
		  0x3 },
		{ "0::" SCOPE "/libvirt/vcpu12\n",
		  { { SCOPE "/libvirt/vcpu12/cpuset.cpus.effective", "1\n" },
		    { SCOPE "/libvirt/cpuset.cpus.effective", "0,2\n" } },
		  0x5 },
		/* the controller ends above */
		{ "0::" SCOPE "/libvirt/emulator\n",
		  { { "/machine.slice/cpuset.cpus.effective", "0-3\n" },
		    { "/cpuset.cpus.effective", "0-7\n" } },
		  0xf },
		{ "0::/\n", { { "/cpuset.cpus.effective", "0-7\n" } }, 0xff },
		{ "0::" SCOPE "\n", { { SCOPE "/cpuset.cpus.effective", "4\n" } }, 0x10 },
		/* groups that are called otherwise are no threads */
		{ "0::/a/vcpu\n", { { "/a/vcpu/cpuset.cpus.effective", "1\n" } }, 2 },
		{ "0::/a/vcpu1x\n", { { "/a/vcpu1x/cpuset.cpus.effective", "1\n" } }, 2 },
		{ "0::/a/iothread3\n", { { "/a/cpuset.cpus.effective", "3\n" } }, 8 },
		/* v1, beside any of v2 */
		{ "3:cpuset:" LEGACY "/emulator\n1:cpu:/\n0::" LEGACY "/emulator\n",
		  { { "/cpuset" LEGACY "/emulator/cpuset.effective_cpus", "1\n" },
		    { "/cpuset" LEGACY "/cpuset.effective_cpus", "0-1\n" },
		    { "/cpuset" LEGACY "/cpuset.cpus", "0-2\n" },
		    { LEGACY "/cpuset.cpus.effective", "0-7\n" } },
		  0x3 },
		{ "0::/other\n3:cpuset:" LEGACY "/emulator\n",
		  { { "/other/cpuset.cpus.effective", "0-7\n" },
		    { "/cpuset" LEGACY "/cpuset.cpus", "2\n" } },
		  0x4 },
		{ "4:cpu,cpuset,memory:/m/vcpu0\n",
		  { { "/cpuset/m/cpuset.effective_cpus", "2-3\n" } },
		  0xc },
		/* what is none is not told */
		{ "4:cpusets:/m\n", { { "/cpuset/m/cpuset.cpus", "2\n" } }, 0 },
		{ "4:cpu:/m\n", { { "/cpuset/m/cpuset.cpus", "2\n" } }, 0 },
		{ "0::/../../machine.slice\n", { { "/cpuset.cpus.effective", "0-7\n" } }, 0 },
		{ "0::/a\n", { { "/a/cpuset.cpus", "1\n" } }, 0 },
		{ "0::/a", { { "/a/cpuset.cpus.effective", "1\n" } }, 0 },
		{ "0::a\n", { { "/a/cpuset.cpus.effective", "1\n" } }, 0 },
		{ "0:/a\n", { { "/a/cpuset.cpus.effective", "1\n" } }, 0 },
		{ "", { { "/cpuset.cpus.effective", "1\n" } }, 0 },
		{ "0::/a\n", { { "/a/cpuset.cpus.effective", "\n" } }, 0 },
		{ "0::/a\n", { { "/a/cpuset.cpus.effective", "x\n" } }, 0 },
		{ "0::/a/b\n",
		  { { "/a/b/cpuset.cpus.effective", "" },
		    { "/a/cpuset.cpus.effective", "5\n" } },
		  0x20 },
	};

	for (size_t c = 0; c < sizeof(cases) / sizeof(cases[0]); c++) {
		struct cpuset s = { { 0 } };

		begin(state);
		put_text(proc, "300/cgroup", cases[c].cgroup);
		for (size_t i = 0; i < 4 && cases[c].file[i].path; i++)
			put_text(cgroups, cases[c].file[i].path, cases[c].file[i].content);
		if (cgroup_cpus(300, &s) != (cases[c].want ? 0 : -1) ||
		    s.bits[0] != cases[c].want)
			fail_msg("case %zu: %llx", c, (unsigned long long)s.bits[0]);
	}
	assert_int_equal(cgroup_cpus(301, &(struct cpuset){ { 0 } }), -1);
}

/* ---- guests ---- */

static struct options opt;
static struct virt *virt;
static void *loop;
static unsigned nguests;

/* Two nodes of four pCPUs. */
static const char nodes[] =
	"<capabilities><host><topology><cells>"
	"<cell id='0'><cpus><cpu id='0'/><cpu id='1'/><cpu id='2'/><cpu id='3'/></cpus></cell>"
	"<cell id='1'><cpus><cpu id='4'/><cpu id='5'/><cpu id='6'/><cpu id='7'/></cpus></cell>"
	"</cells></topology></host></capabilities>";

/* Eight pCPUs and n busy guests on them, which the kernel spreads as it likes at first. */
static void host(unsigned n, bool remote, enum grain grain)
{
	struct plant_load load = { .work = PLANT_CLOSED, .demand = 0.9 };

	log_init(LOG_PRIO_NOTICE);
	fake_listen();
	fake_host(8, 64 * KIB_PER_GIB, 1);
	fake_remote(remote);
	fake_capabilities(nodes);
	for (nguests = 0; nguests < n; nguests++)
		fake_guest(1, &load, NULL);
	opt = (struct options){ OPTIONS_TUNABLES, .uri = "fake:///",
				.cpu_interval_s = INTERVAL_S, .grain = grain };
	virt = virt_new(&opt);
	loop = cpu_loop_ops.open(virt, &opt);
}

static void ticks(unsigned n)
{
	while (n-- > 0) {
		fake_advance(INTERVAL_S * NS_PER_S);
		cpu_loop_ops.tick(loop);
	}
}

static void end(void)
{
	for (unsigned i = 0; i < nguests; i++)
		assert_false(fake_adrift(i));
	cpu_loop_ops.close(loop);
	assert_int_equal(virt_free(virt), 0);
	assert_int_equal(fake_offences(), 0);
	fake_deafen();
	fake_end();
}

/* All guests share these pCPUs evenly, and have no others. */
static void even_over(unsigned first, unsigned end_guest, uint64_t pcpus)
{
	unsigned npcpus = (unsigned)__builtin_popcountll(pcpus), on[64] = { 0 };

	for (unsigned i = first; i < end_guest; i++) {
		uint64_t mask = fake_mask_of(i, 0);

		assert_int_equal(__builtin_popcountll(mask), 1);
		assert_true((mask & ~pcpus) == 0);
		on[__builtin_ctzll(mask)]++;
	}
	for (unsigned p = 0; p < 64; p++)
		if (pcpus >> p & 1)
			assert_int_equal(on[p], (end_guest - first) / npcpus);
}

static void all_on(unsigned pcpu)
{
	for (unsigned i = 0; i < nguests; i++)
		fake_mask(i, 0, 1ULL << pcpu);
}

static void confine(unsigned first, unsigned end_guest, uint64_t pcpus, bool v1)
{
	for (unsigned i = first; i < end_guest; i++)
		fake_cpuset(i, pcpus, v1);
}

/* Its process, in a group below one that has these pCPUs. */
static void process(unsigned guest, const char *slice, const char *list)
{
	char path[64], text[256], cmdline[128] = "qemu";
	size_t len = strlen("qemu") + 1;
	char uuid[UUID_LEN] = "";
	FILE *f;

	snprintf(uuid, sizeof(uuid), "%08x", (guest * 2654435761U) ^ 0x5a5a5a5aU);
	len += (size_t)snprintf(cmdline + len, sizeof(cmdline) - len, "-uuid") + 1;
	f = fmemopen(cmdline + len, sizeof(cmdline) - len, "w");
	uuid_print(f, (const unsigned char *)uuid);
	fclose(f);
	len += strlen(cmdline + len) + 1;
	snprintf(path, sizeof(path), "%u/cmdline", PID + guest);
	put(proc, path, cmdline, len);
	snprintf(path, sizeof(path), "%u/task/1/comm", PID + guest);
	put_text(proc, path, "CPU 0/KVM\n");
	snprintf(path, sizeof(path), "%u/cgroup", PID + guest);
	snprintf(text, sizeof(text), "0::/%s/machine-qemu-%u.scope/libvirt/emulator\n", slice,
		 guest);
	put_text(proc, path, text);
	snprintf(path, sizeof(path), "%s/cpuset.cpus.effective", slice);
	put_text(cgroups, path, list);
}

static void processes(unsigned first, unsigned end_guest, const char *slice, const char *list)
{
	put_text(proc, "1/cmdline", "init");
	for (unsigned i = first; i < end_guest; i++)
		process(i, slice, list);
}

/* What the files say is not tried. */
static void cpusets_are_followed(void **state)
{
	(void)state;
	host(8, false, GRAIN_CPU);
	processes(0, 8, "machine.slice", "0-3\n");
	confine(0, 8, 0x0f, false);
	all_on(0);
	ticks(30);
	even_over(0, 8, 0x0f);
	assert_int_equal(fake_heard("cpu: the cpusets of the guests' cgroups leave out pCPUs "
				    "4-7: not used, as with --cpus 0-3"),
			 1);
	assert_int_equal(fake_heard("not used"), 1);
	/* Changed while they run, and no event tells. */
	put_text(cgroups, "machine.slice/cpuset.cpus.effective", "2-5\n");
	confine(0, 8, 0x3c, false);
	ticks(4);
	for (unsigned i = 0; i < 8; i++)
		assert_true((fake_mask_of(i, 0) & ~0x3cULL) == 0);
	ticks(30);
	even_over(0, 8, 0x3c);
	assert_int_equal(fake_heard("leave out pCPUs 0-1,6-7: not used, as with --cpus 2-5"),
			 1);
	put_text(cgroups, "machine.slice/cpuset.cpus.effective", "0-7\n");
	confine(0, 8, 0, false);
	ticks(40);
	even_over(0, 8, 0xff);
	assert_int_equal(fake_heard("leave out none"), 1);
	assert_int_equal(fake_refused(), 0);
	end();
}

/* Each pCPU has its guest when the first half of them is taken from all guests. */
static void the_first_change_is_heard_of_at_once(void **state)
{
	(void)state;
	host(8, false, GRAIN_CPU);
	processes(0, 8, "machine.slice", "0-7\n");
	for (unsigned i = 0; i < 8; i++)
		fake_mask(i, 0, 1ULL << i);
	ticks(10);
	put_text(cgroups, "machine.slice/cpuset.cpus.effective", "0-3\n");
	confine(0, 8, 0x0f, false);
	fake_mask(0, 0, 2); /* an event: one guest is asked again */
	ticks(3);
	for (unsigned i = 0; i < 8; i++)
		assert_true((fake_mask_of(i, 0) & ~0x0fULL) == 0);
	assert_int_equal(fake_heard("leave out pCPUs 4-7: not used"), 1);
	end();
}

/* It is looked at once more just before a pin. */
static void a_cpuset_changes_before_a_pin(void **state)
{
	static struct vcpu_sample sample;
	struct cpuset mask = { { 0x20 } };
	uint64_t was;

	(void)state;
	host(1, false, GRAIN_CPU);
	processes(0, 1, "machine.slice", "0-7\n");
	assert_int_equal(virt_vcpus(virt, &sample), 0);
	assert_int_equal(sample.n, 1);
	put_text(cgroups, "machine.slice/cpuset.cpus.effective", "0-3\n");
	was = fake_mask_of(0, 0);
	assert_int_equal(
		virt_pin(virt, sample.vcpu[0].uuid, sample.vcpu[0].run, 0, &mask, true),
		VIRT_BUSY);
	assert_int_equal(fake_mask_of(0, 0), was);
	mask.bits[0] = 8;
	assert_int_equal(
		virt_pin(virt, sample.vcpu[0].uuid, sample.vcpu[0].run, 0, &mask, true),
		VIRT_DONE);
	virt_vcpus_free(&sample);
	end();
}

/* Guests of two partitions each have their own. */
static void partitions(void **state)
{
	(void)state;
	host(8, false, GRAIN_CPU);
	processes(0, 4, "low.slice", "0-3\n");
	processes(4, 8, "high.slice", "4-7\n");
	confine(0, 4, 0x0f, true);
	confine(4, 8, 0xf0, true);
	ticks(30);
	all_on(0);
	ticks(30);
	even_over(0, 4, 0x0f);
	even_over(4, 8, 0xf0);
	assert_int_equal(fake_refused(), 0);
	assert_int_equal(fake_heard("not used"), 0);
	end();
}

/* What only guests may have that are to be left alone is nobody's. */
static void left_alone_in_a_partition(void **state)
{
	(void)state;
	if (!xml_is_read())
		return;
	host(8, false, GRAIN_CPU);
	processes(0, 4, "low.slice", "0-3\n");
	processes(4, 8, "high.slice", "4-7\n");
	confine(0, 4, 0x0f, false);
	confine(4, 8, 0xf0, false);
	for (unsigned i = 4; i < 8; i++)
		fake_metadata(i, "<policy cpu='off'/>");
	all_on(0);
	ticks(30);
	even_over(0, 4, 0x0f);
	assert_int_equal(fake_heard("leave out pCPUs 4-7: not used"), 1);
	end();
}

/* Where nothing tells, refusals teach, and soon there are none. */
static void refusals_teach(bool v1)
{
	unsigned refused;

	host(8, true, GRAIN_CPU);
	confine(0, 8, 0x0f, v1);
	all_on(0);
	ticks(30); /* a minute */
	even_over(0, 8, 0x0f);
	refused = fake_refused();
	assert_in_range(refused, 4, 2 * 4);
	assert_int_equal(
		fake_heard("cpu: the kernel refuses pins to pCPUs 4-7: not used, tried again "
			   "after 10 minutes; to leave them out for good: --cpus 0-3"),
		1);
	assert_int_equal(fake_heard("not used"), 1);
	assert_int_equal(fake_heard("pinning a vCPU"), 0);
	ticks(260);
	assert_int_equal(fake_refused(), refused); /* not yet again */
	ticks(60);
	assert_in_range(fake_refused(), refused + 1, 2 * refused);
	even_over(0, 8, 0x0f);
	assert_int_equal(fake_heard("not used"), 1); /* the same is not said again */
	confine(0, 8, 0, v1);
	ticks(300);
	even_over(0, 8, 0xff);
	end();
}

/* Named are pCPUs that guests had before: of --cpus, and none that are isolated. */
static void hints_add_no_pcpu(void **state)
{
	struct cpuset cpus = { { 0x3f } };

	(void)state;
	host(8, true, GRAIN_CPU);
	opt.cpus = &cpus;
	confine(0, 8, 0x0f, true);
	all_on(0);
	ticks(30);
	assert_int_equal(fake_heard("refuses pins to pCPUs 4-5: not used"), 1);
	assert_int_equal(fake_heard("for good: --cpus 0-3"), 1);
	end();
	host(8, false, GRAIN_CPU);
	fake_isolated(0x80);
	processes(0, 8, "machine.slice", "0-3,6-7\n");
	confine(0, 8, 0xcf, false);
	all_on(0);
	ticks(30);
	assert_int_equal(fake_heard("leave out pCPUs 4-5: not used, as with --cpus 0-3,6"), 1);
	fake_isolated(0);
	end();
}

/* Of four pCPUs there is time to try two. */
static void what_was_not_tried_is_not_refused(void **state)
{
	(void)state;
	host(8, true, GRAIN_NODE);
	confine(0, 8, 0x7f, true);
	ticks(1);
	for (unsigned i = 0; i < 8; i++)
		fake_mask(i, 0, 0x0f);
	fake_slow(200000000);
	ticks(30);
	fake_slow(0);
	assert_int_equal(fake_heard("refuses pins"), 0); /* 7 never had its turn */
	for (unsigned i = 0; i < 8; i++)
		assert_true(fake_mask_of(i, 0) == 0x0f || fake_mask_of(i, 0) == 0x30);
	end();
}

/* What is offered to be typed is the whole list. */
static void a_long_hint_is_none(void **state)
{
	struct plant_load load = { .work = PLANT_CLOSED, .demand = 0.9 };
	char list[512] = "0";

	(void)state;
	for (int wide = 0; wide < 2; wide++) {
		unsigned n = wide ? 512 : 64;

		log_init(LOG_PRIO_NOTICE);
		fake_listen();
		fake_host(n, 64 * KIB_PER_GIB, 1);
		for (unsigned i = 2, at = 1; i < n && at < sizeof(list) - 5; i += 2)
			at += (unsigned)snprintf(list + at, sizeof(list) - at, ",%u", i);
		fake_guest(1, &load, NULL);
		nguests = 1;
		opt = (struct options){ OPTIONS_TUNABLES, .uri = "fake:///",
					.cpu_interval_s = INTERVAL_S };
		virt = virt_new(&opt);
		loop = cpu_loop_ops.open(virt, &opt);
		processes(0, 1, "machine.slice", list);
		ticks(3);
		assert_int_equal(fake_heard("leave out pCPUs 1,3,"), 1);
		assert_int_equal(fake_heard("as with --cpus 0,2,"), !wide);
		assert_int_equal(fake_heard(",60,62"), !wide);
		end();
	}
}

static void refusals_teach_v1(void **state)
{
	(void)state;
	refusals_teach(true);
}

static void refusals_teach_v2(void **state)
{
	(void)state;
	refusals_teach(false);
}

/* Another map of pCPUs may be of other cpusets. */
static void another_map_is_tried_at_once(void **state)
{
	(void)state;
	host(8, true, GRAIN_CPU);
	confine(0, 8, 0x0f, true);
	all_on(0);
	ticks(30);
	even_over(0, 8, 0x0f);
	confine(0, 8, 0, true);
	ticks(30);
	even_over(0, 8, 0x0f);
	fake_pcpu(7, false);
	ticks(1);
	fake_pcpu(7, true);
	ticks(40);
	even_over(0, 8, 0xff);
	end();
}

/* What one guest was refused, another may have. */
static void guests_may_differ(void **state)
{
	(void)state;
	host(8, true, GRAIN_CPU);
	confine(0, 4, 0x0f, false);
	confine(4, 8, 0xf0, false);
	for (unsigned i = 0; i < 8; i++)
		fake_mask(i, 0, i < 4 ? 0x01 : 0x10);
	ticks(60);
	even_over(0, 4, 0x0f);
	even_over(4, 8, 0xf0);
	assert_int_equal(fake_heard("--cpus"), fake_heard("refuses pins to"));
	end();
}

static enum virt_result pin(const struct vcpu_sample *s, unsigned guest, unsigned pcpu)
{
	struct cpuset mask = { { 1ULL << pcpu } };
	char name[GUEST_NAME_LEN];

	snprintf(name, sizeof(name), "guest-%u", guest);
	for (size_t i = 0; i < s->n; i++)
		if (strcmp(s->name[s->vcpu[i].name], name) == 0)
			return virt_pin(virt, s->vcpu[i].uuid, s->vcpu[i].run, 0, &mask, true);
	return VIRT_GONE;
}

/* Two guests' word is enough for all, as long as no guest is let where another is not. */
static void whose_word_counts(void **state)
{
	static struct vcpu_sample s;

	(void)state;
	host(4, true, GRAIN_CPU);
	confine(0, 3, 0x0f, true);
	assert_int_equal(virt_vcpus(virt, &s), 0);
	assert_int_equal(pin(&s, 0, 5), VIRT_FAILED);
	assert_int_equal(pin(&s, 0, 5), VIRT_BUSY); /* it is known */
	assert_int_equal(pin(&s, 3, 5), VIRT_DONE); /* by one guest only */
	assert_int_equal(pin(&s, 1, 6), VIRT_FAILED);
	assert_int_equal(pin(&s, 2, 6), VIRT_FAILED);
	assert_int_equal(pin(&s, 3, 6), VIRT_DONE); /* guest 0 is not let on 5 */
	virt_vcpus_free(&s);
	end();
	host(4, true, GRAIN_CPU);
	confine(0, 3, 0x0f, true);
	assert_int_equal(virt_vcpus(virt, &s), 0);
	assert_int_equal(pin(&s, 1, 6), VIRT_FAILED);
	assert_int_equal(pin(&s, 2, 6), VIRT_FAILED);
	assert_int_equal(pin(&s, 3, 6), VIRT_BUSY);
	virt_vcpus_free(&s);
	end();
}

/* Of a mask of several pCPUs those that are not refused are taken, and put back again. */
static void wide_masks(void **state)
{
	unsigned low = 0, high = 0;

	(void)state;
	host(8, true, GRAIN_NODE);
	confine(0, 8, 0x3f, true);
	ticks(1);
	for (unsigned i = 0; i < 8; i++)
		fake_mask(i, 0, 0x0f);
	ticks(40);
	for (unsigned i = 0; i < 8; i++) {
		low += fake_mask_of(i, 0) == 0x0f;
		high += fake_mask_of(i, 0) == 0x30;
	}
	assert_int_equal(low + high, 8);
	assert_in_range(high, 2, 3);
	assert_int_equal(fake_heard("cpu: the kernel refuses pins to pCPUs 6-7"), 1);
	assert_int_equal(cpu_loop_ops.restore(loop, INT64_MAX), 0);
	for (unsigned i = 0; i < 8; i++)
		assert_int_equal(fake_mask_of(i, 0), 0x0f);
	end();
}

/* One that was unpinned is to be so again: over what the kernel lets it. */
static void unpinned_again(void **state)
{
	(void)state;
	host(4, true, GRAIN_CPU);
	confine(0, 4, 0x03, true);
	ticks(40);
	assert_true(fake_pins() > 0);
	assert_int_equal(cpu_loop_ops.restore(loop, INT64_MAX), 0);
	for (unsigned i = 0; i < 4; i++)
		assert_true(fake_mask_of(i, 0) == 0x03 || fake_mask_of(i, 0) == 0xff);
	end();
}

/* A guest that is let nowhere is nobody's to place, until it is tried again. */
static void nothing_is_left(void **state)
{
	unsigned calls;

	(void)state;
	host(4, true, GRAIN_CPU);
	all_on(0);
	confine(0, 4, 0x100, true); /* of pCPUs that are offline */
	ticks(100);
	assert_int_equal(fake_pins(), 0);
	assert_in_range(fake_refused(), 7, 16);
	calls = fake_refused();
	ticks(100);
	assert_int_equal(fake_refused(), calls);
	confine(0, 4, 0, true);
	ticks(200);
	for (unsigned i = 1; i < 4; i++)
		assert_int_not_equal(fake_mask_of(i, 0), fake_mask_of(0, 0));
	end();
}

static unsigned calls_of_a_tick(void)
{
	unsigned calls = fake_calls();

	ticks(1);
	return fake_calls() - calls;
}

/* Which pCPUs are online is the kernel's to tell, and the daemon's where it is another's. */
static void who_tells_what_is_online(void **state)
{
	unsigned near, far;

	(void)state;
	host(1, true, GRAIN_CPU);
	ticks(10);
	far = calls_of_a_tick() - 8; /* without the times of each pCPU */
	end();
	host(1, false, GRAIN_CPU);
	ticks(10);
	near = calls_of_a_tick();
	fake_pcpu(7, false);
	assert_in_range(calls_of_a_tick(), near + 1, near + 5); /* all is asked anew */
	assert_int_equal(calls_of_a_tick(), near);
	fake_proc_fails(true);
	ticks(1);
	fake_proc_fails(false);
	assert_int_equal(calls_of_a_tick(), near);
	end();
	assert_int_equal(far, near + 1);
}

/* A daemon that has just started takes seconds for its capabilities: this machine's own tell.
 */
static void only_a_remote_daemon_is_asked_for_them(void **state)
{
	(void)state;
	host(8, false, GRAIN_NODE);
	ticks(4);
	assert_int_equal(fake_capabilities_asked(), 0);
	end();
	host(8, true, GRAIN_NODE);
	ticks(4);
	assert_int_equal(fake_capabilities_asked(), 1);
	end();
}

/* Without the shape there is no node to pin to: it is asked for until it is known. */
static void a_shape_is_asked_for_again(void **state)
{
	(void)state;
	host(8, true, GRAIN_NODE);
	fake_capabilities("<capabilities");
	ticks(3);
	all_on(0);
	ticks(3);
	assert_int_equal(fake_heard("reading the topology"), 1);
	assert_int_equal(fake_pins(), 0);
	fake_capabilities(nodes);
	ticks(20);
	assert_true(fake_pins() > 0);
	for (unsigned i = 0; i < 8; i++) /* as it was, or a node */
		assert_true(fake_mask_of(i, 0) == 1 || fake_mask_of(i, 0) == 0x0f ||
			    fake_mask_of(i, 0) == 0xf0);
	end();
}

/* Four pCPUs that can do a quarter of what the others can, and a guest on them. */
static void unequal_pcpus(void **state)
{
	(void)state;
	host(1, false, GRAIN_NODE);
	for (unsigned i = 4; i < 8; i++)
		fake_capacity(i, 0.25);
	ticks(1);
	fake_mask(0, 0, 0xf0);
	ticks(2);
	cpu_loop_ops.report(loop);
	assert_int_equal(fake_heard("of 4 CPUs"), 1);
	assert_int_equal(fake_heard("of 1 CPUs"), 1);
	assert_int_equal(fake_heard("busy 0.2"), 1); /* nine tenths of the time of one */
	end();
}

/* A crowd on one pCPU of a node: half of it goes to the other node, and all get a whole one. */
static void parts_of_nodes_are_widened(void **state)
{
	unsigned on[2] = { 0, 0 };

	(void)state;
	host(8, false, GRAIN_NODE);
	all_on(0);
	ticks(30);
	for (unsigned i = 0; i < 8; i++) {
		assert_true(fake_mask_of(i, 0) == 0x0f || fake_mask_of(i, 0) == 0xf0);
		on[fake_mask_of(i, 0) == 0xf0]++;
	}
	assert_int_equal(on[0], 4);
	assert_int_equal(on[1], 4);
	for (unsigned i = 0; i < 8; i++) { /* as started anew, by its definition */
		uint64_t first = fake_mask_of(i, 0) & 0x11;

		fake_restart_guest(i);
		fake_mask(i, 0, first);
	}
	ticks(30);
	for (unsigned i = 0; i < 8; i++)
		assert_true(fake_mask_of(i, 0) == 0x0f || fake_mask_of(i, 0) == 0xf0);
	for (unsigned i = 0; i < 8; i++) /* by somebody who means it */
		fake_mask(i, 0, fake_mask_of(i, 0) & 0x11);
	ticks(30);
	for (unsigned i = 0; i < 8; i++)
		assert_true(fake_mask_of(i, 0) == 0x01 || fake_mask_of(i, 0) == 0x10);
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(groups, begin),
		cmocka_unit_test_setup(cpusets_are_followed, begin),
		cmocka_unit_test_setup(the_first_change_is_heard_of_at_once, begin),
		cmocka_unit_test_setup(a_cpuset_changes_before_a_pin, begin),
		cmocka_unit_test_setup(what_was_not_tried_is_not_refused, begin),
		cmocka_unit_test_setup(a_long_hint_is_none, begin),
		cmocka_unit_test_setup(partitions, begin),
		cmocka_unit_test_setup(left_alone_in_a_partition, begin),
		cmocka_unit_test_setup(refusals_teach_v1, begin),
		cmocka_unit_test_setup(hints_add_no_pcpu, begin),
		cmocka_unit_test_setup(refusals_teach_v2, begin),
		cmocka_unit_test_setup(another_map_is_tried_at_once, begin),
		cmocka_unit_test_setup(guests_may_differ, begin),
		cmocka_unit_test_setup(whose_word_counts, begin),
		cmocka_unit_test_setup(wide_masks, begin),
		cmocka_unit_test_setup(parts_of_nodes_are_widened, begin),
		cmocka_unit_test_setup(unpinned_again, begin),
		cmocka_unit_test_setup(nothing_is_left, begin),
		cmocka_unit_test_setup(only_a_remote_daemon_is_asked_for_them, begin),
		cmocka_unit_test_setup(a_shape_is_asked_for_again, begin),
		cmocka_unit_test_setup(unequal_pcpus, begin),
		cmocka_unit_test_setup(who_tells_what_is_online, begin),
	};
	int failed;

	if (!mkdtemp(dir))
		return 1;
	snprintf(proc, sizeof(proc), "%s/proc", dir);
	snprintf(cgroups, sizeof(cgroups), "%s/cgroup", dir);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	begin(NULL);
	rmdir(dir);
	return failed;
}
