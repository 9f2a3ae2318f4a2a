/*
 * What host/ reads that somebody else wrote: lists of pCPUs, capabilities; and what follows
 * from them for the CPU loop: grain, scope, quota, nodes.
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
#include "lib/cpuset.h"
#include "lib/number.h"
#include "lib/units.h"
#include "lib/xml.h"
#include "loop/loop.h"
#include "policy/cpu.h"
#include "policy/sample.h"
#include "tests/fake/fake.h"

/* Two nodes of two cores of two threads; a last-level cache per node. */
static const char two_nodes[] =
	"<capabilities><host><topology><cells num='2'>"
	"<cell id='0'><memory unit='KiB'>1</memory><cpus num='4'>"
	"<cpu id='0' socket_id='0' core_id='0' siblings='0,4'/>"
	"<cpu id='1' socket_id='0' core_id='1' siblings='1,5'/>"
	"<cpu id='4' socket_id='0' core_id='0' siblings='0,4'/>"
	"<cpu id='5' socket_id='0' core_id='1' siblings='1,5'/></cpus></cell>"
	"<cell id='1'><cpus num='4'>"
	"<cpu id='2' socket_id='1' core_id='0' siblings='2,6'/>"
	"<cpu id='3' socket_id='1' core_id='1' siblings='3,7'/>"
	"<cpu id='6' socket_id='1' core_id='0' siblings='2,6'/>"
	"<cpu id='7' socket_id='1' core_id='1' siblings='3,7'/></cpus></cell>"
	"</cells></topology><cache>"
	"<bank id='0' level='2' type='both' size='1' unit='MiB' cpus='0'/>"
	"<bank id='0' level='3' type='both' size='8' unit='MiB' cpus='0-1,4-5'/>"
	"<bank id='1' level='3' type='both' size='8' unit='MiB' cpus='2-3,6-7'/>"
	"</cache></host></capabilities>";

static void lists_of_pcpus(void **state)
{
	static const char *const bad[] = { "",
					   ",",
					   "1,",
					   ",1",
					   "1-",
					   "-1",
					   "3-1",
					   "4096",
					   "0-4096",
					   "1,,2",
					   "x",
					   "1 2",
					   " 1",
					   "1 ",
					   "0x1",
					   "1-2-3",
					   "99999999999999999999",
					   "+1" };
	struct cpuset s = { { 7 } }, was = s;
	char text[64], small[24];

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(cpuset_parse(bad[i], &s), -1);
		assert_memory_equal(&s, &was, sizeof(s));
	}
	assert_int_equal(cpuset_parse("4095,0-2,2,9", &s), 0);
	assert_string_equal(cpuset_text(&s, text, sizeof(text)), "0-2,9,4095");
	assert_int_equal(cpuset_count(&s), 5);
	assert_int_equal(cpuset_first(&s), 0);
	assert_int_equal(cpuset_parse("0,2,4,6,8,10,12,14,16", &s), 0);
	assert_string_equal(cpuset_text(&s, small, sizeof(small)), "0,2,4,6,8,...");
}

static void capabilities(void **state)
{
	static struct topology t;

	(void)state;
	assert_int_equal(topology_parse(two_nodes, &t), 0);
	assert_true(topology_has_nodes(&t));
	assert_int_equal(t.core[4], t.core[0]);
	assert_int_not_equal(t.core[5], t.core[0]);
	assert_int_equal(t.cache[5], t.cache[0]);
	assert_int_not_equal(t.cache[0], t.cache[2]);
	assert_int_equal(t.node[6], 1);
	assert_int_equal(t.node[8], -1);

	assert_int_equal(topology_parse("<capabilities><host/></capabilities>", &t), 0);
	assert_false(topology_has_nodes(&t));
	assert_int_equal(t.core[0], -1);
	assert_int_equal(topology_parse("", &t), -1);
	assert_int_equal(topology_parse("<host", &t), -1);
	assert_int_equal(topology_parse("<guest/>", &t), -1);
}

/* n busy guests on the two nodes, all pinned to pCPU 0; returns the masks they end with. */
static void run(struct options *opt, unsigned n, const char *nodes, double quota,
		uint64_t *mask)
{
	struct plant_load load = { .work = PLANT_CLOSED, .demand = 0.9 };
	struct virt *virt;
	void *loop;

	log_init(LOG_PRIO_ERR);
	fake_host(8, 64 * KIB_PER_GIB, 1);
	fake_capabilities(two_nodes);
	for (unsigned i = 0; i < n; i++) {
		fake_guest(1, &load, NULL);
		fake_nodes(i, nodes);
		fake_quota(i, quota);
	}
	virt = virt_new(opt);
	loop = cpu_loop_ops.open(virt, opt);
	for (unsigned i = 0; i < n; i++)
		fake_mask(i, 0, 1);
	for (unsigned k = 0; k < 30; k++) {
		fake_advance(2 * NS_PER_S);
		cpu_loop_ops.tick(loop);
	}
	for (unsigned i = 0; i < n; i++)
		mask[i] = fake_mask_of(i, 0);
	cpu_loop_ops.close(loop);
	assert_int_equal(virt_free(virt), 0);
	assert_int_equal(fake_offences(), 0);
	fake_end();
}

static void grain(void **state)
{
	static const struct {
		enum grain grain;
		uint64_t bins[8]; /* the masks of the bins, in any order */
	} cases[] = {
		{ GRAIN_CPU, { 1, 2, 4, 8, 16, 32, 64, 128 } },
		{ GRAIN_CORE, { 0x11, 0x22, 0x44, 0x88 } },
		{ GRAIN_CACHE, { 0x33, 0xcc } },
		{ GRAIN_NODE, { 0x33, 0xcc } },
	};
	uint64_t mask[16];

	(void)state;
	for (size_t c = 0; c < sizeof(cases) / sizeof(cases[0]); c++) {
		struct options opt = { OPTIONS_TUNABLES, .uri = "fake:///", .cpu_interval_s = 2,
				       .grain = cases[c].grain };

		unsigned used[8] = { 0 };

		run(&opt, 16, "", 0, mask);
		for (unsigned i = 0; i < 16; i++) {
			bool found = mask[i] == 1; /* as it was: in the first bin already */

			for (unsigned b = 0; b < 8 && cases[c].bins[b]; b++)
				if (mask[i] == cases[c].bins[b]) {
					found = true;
					used[b]++;
				}
			assert_true(found);
		}
		for (unsigned b = 1; b < 8 && cases[c].bins[b]; b++)
			assert_true(used[b] > 0);
	}
}

static void scope(void **state)
{
	struct cpuset cpus;
	struct options opt = { OPTIONS_TUNABLES, .uri = "fake:///", .cpu_interval_s = 2,
			       .cpus = &cpus };
	uint64_t mask[6];

	(void)state;
	assert_int_equal(cpuset_parse("2-4", &cpus), 0);
	run(&opt, 6, "", 0, mask);
	for (unsigned i = 0; i < 6; i++)
		assert_true(mask[i] && !(mask[i] & ~0x1cULL));
}

static void strict_nodes(void **state)
{
	struct options opt = { OPTIONS_TUNABLES, .uri = "fake:///", .cpu_interval_s = 2 };
	uint64_t mask[8];

	(void)state;
	run(&opt, 8, "1", 0, mask);
	for (unsigned i = 0; i < 8; i++)
		assert_true(mask[i] && !(mask[i] & ~0xccULL));
}

/* A guest, all of it on pCPU 0, or in its node 0 where bins are wide. */
struct numa_guest {
	unsigned vcpus;
	int mode; /* of its memory, by virDomainNumatuneMemMode */
	const char *nodes, *xml;
	enum grain grain;
	double demand; /* of a vCPU; 0: a busy one */
};

/* Runs it; returns how many of its vCPUs end in node 1. */
static unsigned in_node_1(struct numa_guest g, uint64_t *mask)
{
	struct options opt = { OPTIONS_TUNABLES, .uri = "fake:///", .cpu_interval_s = 2,
			       .grain = g.grain };
	struct plant_load load = { .work = PLANT_CLOSED,
				   .demand = g.demand > 0 ? g.demand : 0.9 };
	unsigned there = 0;
	struct virt *virt;
	void *loop;

	log_init(LOG_PRIO_ERR);
	fake_host(8, 64 * KIB_PER_GIB, 1);
	fake_capabilities(two_nodes);
	fake_guest(g.vcpus, &load, NULL);
	fake_nodes(0, g.nodes);
	fake_memory_mode(0, g.mode);
	fake_definition(0, g.xml);
	virt = virt_new(&opt);
	loop = cpu_loop_ops.open(virt, &opt);
	for (unsigned k = 0; k < g.vcpus; k++)
		fake_mask(0, k, g.grain == GRAIN_CPU ? 1 : 0x33);
	for (unsigned k = 0; k < 30; k++) {
		fake_advance(2 * NS_PER_S);
		cpu_loop_ops.tick(loop);
	}
	for (unsigned k = 0; k < g.vcpus; k++) {
		mask[k] = fake_mask_of(0, k);
		there += (mask[k] & 0xcc) != 0;
	}
	cpu_loop_ops.close(loop);
	assert_int_equal(virt_free(virt), 0);
	assert_int_equal(fake_offences(), 0);
	fake_end();
	return there;
}

/* Pinned to nodes, or to caches, a busy vCPU has a core of its own as well. */
static void wide_bins_have_cores(void **state)
{
	uint64_t mask[4];

	(void)state;
	assert_int_equal(in_node_1((struct numa_guest){ 4, 0, "", NULL, GRAIN_NODE, 0 }, mask),
			 2);
	assert_int_equal(in_node_1((struct numa_guest){ 4, 0, "", NULL, GRAIN_CACHE, 0 }, mask),
			 2);
	assert_int_equal(in_node_1((struct numa_guest){ 2, 0, "", NULL, GRAIN_NODE, 0 }, mask),
			 0);
}

/* What each mode makes of memory in node 1, for 2 busy vCPUs and for more than its cores. */
static void memory_modes(void **state)
{
	static const struct {
		int mode;
		const char *nodes;
		unsigned of_2, of_4;
	} cases[] = {
		{ VIR_DOMAIN_NUMATUNE_MEM_STRICT, "1", 2, 4 },
		{ 3 /* restrictive */, "1", 2, 4 },
		{ VIR_DOMAIN_NUMATUNE_MEM_PREFERRED, "1", 2, 2 },
		{ VIR_DOMAIN_NUMATUNE_MEM_INTERLEAVE, "1", 2, 2 },
		{ VIR_DOMAIN_NUMATUNE_MEM_STRICT, "0", 0, 0 },
		{ VIR_DOMAIN_NUMATUNE_MEM_PREFERRED, "0", 0, 2 },
		{ VIR_DOMAIN_NUMATUNE_MEM_STRICT, "7", 0, 2 }, /* has no pCPUs: equally far */
		{ 4 /* to come */, "1", 0, 2 },
		{ VIR_DOMAIN_NUMATUNE_MEM_STRICT, "", 0, 2 },
	};
	uint64_t mask[4];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct numa_guest g = { 2, cases[i].mode, cases[i].nodes, NULL, 0, 0 };

		assert_int_equal(in_node_1(g, mask), cases[i].of_2);
		g.vcpus = 4;
		assert_int_equal(in_node_1(g, mask), cases[i].of_4);
	}
}

/* Light vCPUs are kept whole in a node, but where their memory is alike in both. */
static void interleaved_memory_is_in_both(void **state)
{
	struct numa_guest g = { 4, VIR_DOMAIN_NUMATUNE_MEM_INTERLEAVE, "0-1", NULL, 0, 0.4 };
	uint64_t mask[4];

	(void)state;
	assert_int_equal(in_node_1(g, mask), 2);
	g.mode = VIR_DOMAIN_NUMATUNE_MEM_PREFERRED;
	assert_int_equal(in_node_1(g, mask), 0);
}

#define CELLS                                                                                  \
	"<cpu><numa><cell id='0' cpus='0,2' memory='1'/><cell id='1' cpus='1,3'/></numa></cpu>"

/* Vcpus of a cell with a policy of its own follow that; others, that of the guest. */
static void cells_have_their_own(void **state)
{
	static const struct {
		const char *xml;
		bool in_1[4];
	} cases[] = {
		{ "<domain>" CELLS
		  "<numatune><memnode cellid='0' mode='preferred' nodeset='1'/>"
		  "<memnode cellid='1' mode='strict' nodeset='0'/></numatune></domain>",
		  { true, false, true, false } },
		{ "<domain>" CELLS "<numatune><memnode cellid='1' mode='strict' nodeset='0'/>"
		  "</numatune></domain>",
		  { true, false, true, false } },
		{ "<domain>" CELLS
		  "<numatune><memnode cellid='0' nodeset='0'/></numatune></domain>",
		  { false, true, false, true } },
	};
	uint64_t mask[4];

	(void)state;
	for (size_t i = 0; xml_is_read() && i < sizeof(cases) / sizeof(cases[0]); i++) {
		in_node_1((struct numa_guest){ 4, VIR_DOMAIN_NUMATUNE_MEM_STRICT, "1",
					       cases[i].xml, 0, 0 },
			  mask);
		for (int k = 0; k < 4; k++)
			assert_int_equal((mask[k] & 0xcc) != 0, cases[i].in_1[k]);
	}
}

static void cells_of_a_definition(void **state)
{
	struct vcpu_cell c[4];

	(void)state;
	assert_int_equal(cells_parse("<domain/>", c, 4), 0);
	assert_int_equal(c[0].cell, -1);
	assert_int_equal(c[0].mode, MEMORY_GUESTS);
	assert_int_equal(
		cells_parse("<domain><cpu><numa><cell id='2' cpus='1-9'/><cell id='3'/>"
			    "<cell id='x' cpus='0'/></numa></cpu><numatune>"
			    "<memnode cellid='2' mode='interleave' nodeset='0,3'/>"
			    "<memnode cellid='2' nodeset='what'/></numatune></domain>",
			    c, 4),
		0);
	assert_int_equal(c[0].cell, -1);
	assert_int_equal(c[1].cell, 2);
	assert_int_equal(c[3].mode, MEMORY_INTERLEAVE);
	assert_int_equal(c[3].nodes.bits[0], 9);
	assert_int_equal(cells_parse("<domain", c, 4), -1);
}

static void memory_kinds(void **state)
{
	static const struct {
		const char *xml;
		bool locked;
	} cases[] = {
		{ "<domain/>", false },
		{ "<domain><memoryBacking><locked/></memoryBacking></domain>", true },
		{ "<domain><launchSecurity type='sev'/></domain>", true },
#define DEVICES(xml) "<domain><devices>\n" xml "</devices></domain>"
		{ DEVICES("<disk/><hostdev mode='subsystem' type='pci'/>"), true },
		{ DEVICES("<hostdev mode='subsystem' type='mdev' model='vfio-ccw'/>"), true },
		{ DEVICES("<disk/> <interface type='hostdev'/>"), true },
		{ DEVICES("<interface type='vdpa'/>"), true },
		{ DEVICES("<disk type='vhostvdpa'/>"), true },
		{ DEVICES("<disk type='nvme'/>"), true },
		{ DEVICES("<disk type='file'><source/><backingStore type='file'><format/>"
			  "<backingStore type='nvme'/></backingStore></disk>"),
		  true },
		{ DEVICES("<disk type='file'><mirror type='nvme'/></disk>"), true },
		/* the host's, but QEMU copies for them, and what only looks like one */
		{ DEVICES("<hostdev mode='subsystem' type='usb'><source><address type='pci'/>"
			  "</source></hostdev>"),
		  false },
		{ DEVICES("<hostdev mode='subsystem' type='scsi'/>"), false },
		{ DEVICES("<hostdev mode='subsystem' type='scsi_host'/>"), false },
		{ DEVICES("<controller type='pci'/><interface type='network'/>"), false },
		{ "<domain><metadata><hostdev type='pci'/></metadata></domain>", false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct memory_kind kind;

		assert_int_equal(memory_kind_parse(cases[i].xml, &kind), 0);
		assert_int_equal(kind.locked, cases[i].locked);
		assert_int_equal(kind.huge_kib, 0);
	}
}

/* Of a guest's cells and memory devices, those in pages larger than the host's own. */
static void hugepages(void **state)
{
#define MEMORY(kib, backing, rest)                                                             \
	"<domain><memory unit='KiB'>" #kib "</memory><memoryBacking>" backing                  \
	"</memoryBacking>" rest "</domain>"
#define TWO_CELLS                                                                              \
	"<cpu><numa><cell id='0' cpus='0' memory='1000' unit='KiB'/>"                          \
	"<cell id='1' cpus='1' memory='3' unit='MiB'/></numa></cpu>"
#define DEVICE(model, source, target)                                                          \
	"<memory model='" model "'><source>" source "</source><target>" target                 \
	"</target></memory>"
#define DEVICES_OF(xml) "<devices><disk/>" xml "</devices>"
	static const struct {
		const char *xml;
		uint64_t huge_kib;
	} cases[] = {
		{ MEMORY(4072, "", TWO_CELLS), 0 },
		{ MEMORY(4072, "<hugepages/>", ""), 4072 },
		{ MEMORY(4072, "<hugepages/>", TWO_CELLS), 4072 },
		{ "<domain><memoryBacking><hugepages/></memoryBacking></domain>",
		  SIZE_MAX_KIB },
		/* some cells */
		{ MEMORY(4072,
			 "<hugepages><page size='2048' unit='KiB' nodeset='1'/></hugepages>",
			 TWO_CELLS),
		  3072 },
		{ MEMORY(4072, "<hugepages><page size='2' unit='MiB' nodeset='0'/></hugepages>",
			 ""),
		  4072 },
		{ MEMORY(4072,
			 "<hugepages><page size='2048' unit='KiB' nodeset='3'/></hugepages>",
			 TWO_CELLS),
		  0 },
		{ MEMORY(4072, "<hugepages><page size='1' unit='GiB'/></hugepages>", TWO_CELLS),
		  4072 },
		/* the host's own page is not huge */
		{ MEMORY(4072, "<hugepages><page size='4' unit='KiB'/></hugepages>", TWO_CELLS),
		  0 },
		{ MEMORY(4072,
			 "<hugepages><page size='4' unit='KiB' nodeset='0'/>"
			 "<page size='2048' unit='KiB'/></hugepages>",
			 TWO_CELLS),
		  3072 },
		{ MEMORY(4072,
			 "<hugepages><page size='2048' unit='KiB'/>"
			 "<page size='4' unit='KiB' nodeset='1'/></hugepages>",
			 TWO_CELLS),
		  1000 },
		/* memory devices */
		{ MEMORY(5000, "",
			 DEVICES_OF(DEVICE("dimm", "<pagesize unit='KiB'>2048</pagesize>",
					   "<size unit='KiB'>500</size>"))),
		  500 },
		{ MEMORY(5000, "<hugepages/>",
			 DEVICES_OF(DEVICE("dimm", "<pagesize unit='KiB'>4</pagesize>",
					   "<size unit='KiB'>500</size>"))),
		  4500 },
		{ MEMORY(5572,
			 "<hugepages><page size='2048' unit='KiB' nodeset='1'/></hugepages>",
			 TWO_CELLS DEVICES_OF(DEVICE("dimm", "",
						     "<size unit='KiB'>500</size>"
						     "<node>1</node>")
						      DEVICE("dimm", "",
							     "<size unit='KiB'>1000</size>"
							     "<node>0</node>"))),
		  3572 },
		{ MEMORY(9000, "",
			 DEVICES_OF(DEVICE("virtio-mem", "<pagesize unit='KiB'>2048</pagesize>",
					   "<size unit='KiB'>8000</size>"
					   "<current unit='KiB'>600</current>"))),
		  600 }, /* no more of it is in its maximum */
		{ MEMORY(9000, "<hugepages/>",
			 DEVICES_OF(DEVICE("nvdimm", "<path>/dev/dax</path>",
					   "<size unit='KiB'>8000</size>"))),
		  1000 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct memory_kind kind;

		assert_int_equal(memory_kind_parse(cases[i].xml, &kind), 0);
		assert_int_equal(kind.huge_kib, cases[i].huge_kib);
		assert_false(kind.locked);
	}
}

#define MEM_DEVICE(model, rest)                                                                \
	"<memory model='" model "'><target><size unit='MiB'>512</size>" rest                   \
	"</target></memory>"

/* Which of its devices a guest's balloon counts: libvirt's page on them has these five. */
static void memory_devices(void **state)
{
	static const struct {
		const char *xml;
		uint64_t dimm_mib, other_mib, virtio_mem_mib;
	} cases[] = {
		{ DEVICES(""), 0, 0, 0 },
		{ DEVICES(MEM_DEVICE("dimm", "")), 512, 0, 0 },
		{ DEVICES(MEM_DEVICE("dimm", "<node>0</node>") MEM_DEVICE("dimm", "")), 1024, 0,
		  0 },
		{ DEVICES(MEM_DEVICE("nvdimm", "<label><size unit='KiB'>128</size></label>")),
		  0, 512, 0 },
		{ DEVICES(MEM_DEVICE("virtio-pmem", "")), 0, 512, 0 },
		{ DEVICES(MEM_DEVICE("sgx-epc", "")), 0, 512, 0 },
		{ DEVICES(MEM_DEVICE("of tomorrow", "")), 0, 512, 0 },
		{ DEVICES(MEM_DEVICE("virtio-mem", "<requested unit='MiB'>384</requested>"
						   "<current unit='MiB'>256</current>")
				  MEM_DEVICE("dimm", "")),
		  512, 512, 256 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct memory_kind kind;

		assert_int_equal(memory_kind_parse(cases[i].xml, &kind), 0);
		assert_int_equal(kind.dimm_kib, cases[i].dimm_mib << 10);
		assert_int_equal(kind.other_kib, cases[i].other_mib << 10);
		assert_int_equal(kind.virtio_mem_kib, cases[i].virtio_mem_mib << 10);
		assert_int_equal(kind.virtio_mem, cases[i].virtio_mem_mib > 0);
	}
}

static void sizes(void **state)
{
	static const struct {
		const char *text;
		uint64_t kib;
	} good[] = { { "512", 512 << 10 },  { "0.5G", 512 << 10 }, { "4GiB", 4 << 20 },
		     { "300000K", 300000 }, { "1T", 1 << 30 },     { "512.", 512 << 10 } };
	static const char *const bad[] = { "",   "G",   ".",   "1 G", "-1",
					   "+1", "1e3", "1GB", "0x1", "nan" };
	uint64_t kib = 7;

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_int_equal(size_parse(good[i].text, 1, 1ULL << 40, &kib), 0);
		assert_int_equal(kib, good[i].kib);
	}
	kib = 7;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(size_parse(bad[i], 0, 1ULL << 40, &kib), -1);
	assert_int_equal(size_parse("99999999999999999999T", 0, 1ULL << 40, &kib), -1);
	assert_int_equal(size_parse("1", 2048, 4096, &kib), -1);
	assert_int_equal(kib, 7);
}

static void metadata(void **state)
{
	static const struct {
		const char *xml, *error;
	} bad[] = {
		{ "", "" },
		{ "<policy", "" },
		{ "<!DOCTYPE p [<!ENTITY a '1G'>]><policy min='&a;'/>", "" },
		{ "<policy min='x'/>", "min='x' must be a size" },
		{ "<policy max='0'/>", "max='0' must be a size" },
		{ "<policy weight='0'/>", "weight='0' must be a number" },
		{ "<policy weight='-1'/>", "weight='-1' must be a number" },
		{ "<policy cpu='no'/>", "cpu='no' must be on or off" },
		{ "<policy colour='red'/>",
		  "colour='red' is none of min max startup weight cpu mem" },
		{ "<policy min='2G' max='1G'/>", "min is greater than max" },
	};
	struct guest_policy p = { .min_kib = 7 };
	char error[128];

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(metadata_parse(bad[i].xml, &p, error, sizeof(error)), -1);
		assert_non_null(strstr(error, bad[i].error));
		assert_int_equal(error[0] == '\0', bad[i].error[0] == '\0');
		assert_int_equal(p.min_kib, 7);
	}
	assert_int_equal(
		metadata_parse("<v:policy xmlns:v='" METADATA_URI "' min='512MiB' "
			       "max='2G' startup='1G' weight='2.5' cpu='off' mem='on'/>",
			       &p, error, sizeof(error)),
		0);
	assert_int_equal(p.min_kib, 512 << 10);
	assert_int_equal(p.max_kib, 2 << 20);
	assert_int_equal(p.startup_kib, 1 << 20);
	assert_true(p.weight > 2.49 && p.weight < 2.51);
	assert_true(p.cpu_off && !p.mem_off);
}

/* Two busy guests on one pCPU that say they are to be left alone. */
static void two_left_alone(struct virt **virt, void **loop)
{
	static const struct options opt = { OPTIONS_TUNABLES, .uri = "fake:///",
					    .cpu_interval_s = 2 };
	struct plant_load load = { .work = PLANT_CLOSED, .demand = 0.9 };

	log_init(LOG_PRIO_ERR);
	fake_host(4, 8 * KIB_PER_GIB, 1);
	for (unsigned i = 0; i < 2; i++)
		fake_guest(1, &load, NULL);
	*virt = virt_new(&opt);
	*loop = cpu_loop_ops.open(*virt, &opt);
	for (unsigned i = 0; i < 2; i++) {
		fake_mask(i, 0, 1);
		fake_metadata(i, "<policy cpu='off'/>");
	}
}

static void ticks(void *loop, unsigned n)
{
	while (n-- > 0) {
		fake_advance(2 * NS_PER_S);
		cpu_loop_ops.tick(loop);
	}
}

/* A guest that says so is left alone, and is taken up again when it no longer does. */
static void metadata_is_followed(void **state)
{
	struct virt *virt;
	void *loop;

	(void)state;
	two_left_alone(&virt, &loop);
	ticks(loop, 20);
	assert_int_equal(fake_pins(), 0);
	fake_metadata(1, NULL);
	ticks(loop, 20);
	assert_int_equal(fake_pins(), 1);
	assert_int_equal(fake_mask_of(0, 0), 1);
	cpu_loop_ops.close(loop);
	assert_int_equal(virt_free(virt), 0);
	fake_end();
}

/* What SIGHUP does: metadata whose event was lost are read anew. */
static void metadata_is_read_anew(void **state)
{
	struct virt *virt;
	void *loop;

	(void)state;
	two_left_alone(&virt, &loop);
	cpu_loop_ops.tick(loop);
	fake_deaf(true);
	for (unsigned i = 0; i < 2; i++)
		fake_metadata(i, NULL);
	ticks(loop, 20);
	assert_int_equal(fake_pins(), 0);
	virt_refresh(virt);
	ticks(loop, 20);
	assert_int_equal(fake_pins(), 1);
	cpu_loop_ops.close(loop);
	assert_int_equal(virt_free(virt), 0);
	fake_end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lists_of_pcpus),
		cmocka_unit_test(capabilities),
		cmocka_unit_test(grain),
		cmocka_unit_test(scope),
		cmocka_unit_test(strict_nodes),
		cmocka_unit_test(wide_bins_have_cores),
		cmocka_unit_test(memory_modes),
		cmocka_unit_test(interleaved_memory_is_in_both),
		cmocka_unit_test(cells_have_their_own),
		cmocka_unit_test(cells_of_a_definition),
		cmocka_unit_test(sizes),
		cmocka_unit_test(memory_kinds),
		cmocka_unit_test(hugepages),
		cmocka_unit_test(memory_devices),
		cmocka_unit_test(metadata),
		cmocka_unit_test(metadata_is_followed),
		cmocka_unit_test(metadata_is_read_anew),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
