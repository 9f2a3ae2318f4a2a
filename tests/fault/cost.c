/*
 * What vmbal costs: both loops over a simulated host of so many guests.  The calls that a
 * daemon would get, the CPU time of the loops' threads by getrusage(), what they keep in
 * memory.  What the daemon and libvirt's own library do for a call is not in it: see
 * tests/cost.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "host/log.h"
#include "host/options.h"
#include "host/virt.h"
#include "lib/units.h"
#include "loop/loop.h"
#include "tests/fake/fake.h"
#include "tests/fake/heap.h"

#define PCPUS  64
#define CPU_S  12 /* the intervals that the manual recommends */
#define MEM_S  5
#define WARM_S 60 /* all guests are known, and placed */
#define RUN_S  240

static struct options opt = { OPTIONS_TUNABLES, .uri = "fake:///", .overcommit = 1,
			      .cpu_interval_s = CPU_S, .mem_interval_s = MEM_S };

/* What some seconds of both loops took. */
struct cost {
	double cpu_tick_ms, mem_tick_ms; /* the loops' own time, per tick */
	double calls;                    /* per second */
};

static double thread_ms(void)
{
	struct rusage r;

	getrusage(RUSAGE_THREAD, &r);
	return 1e3 * (double)(r.ru_utime.tv_sec + r.ru_stime.tv_sec) +
	       (double)(r.ru_utime.tv_usec + r.ru_stime.tv_usec) / 1e3;
}

static void guests_begin(unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		struct plant_load load = { .work = PLANT_CLOSED,
					   .demand = 0.05 + 0.05 * (i % 10),
					   .wobble = 0.05 };
		struct plant_mem_guest conf = {
			.max_kib = KIB_PER_GIB,
			.start_kib = KIB_PER_GIB,
			.work = { .points = 1,
				  .point = { { 0, (150 << 10) + i % 7 * (60 << 10) } } },
			.noise = 0.02,
			.cache_kib = 60 << 10,
		};

		fake_guest(1, &load, &conf);
	}
}

static struct cost run(void *cpu, void *mem, unsigned seconds)
{
	struct cost c = { 0 };
	unsigned before = fake_calls(), cpu_ticks = 0;

	for (unsigned s = 1; s <= seconds; s++) {
		double begun_ms;

		fake_advance(NS_PER_S);
		begun_ms = thread_ms();
		mem_loop_ops.tick(mem);
		c.mem_tick_ms += thread_ms() - begun_ms;
		if (s % CPU_S)
			continue;
		begun_ms = thread_ms();
		cpu_loop_ops.tick(cpu);
		c.cpu_tick_ms += thread_ms() - begun_ms;
		cpu_ticks++;
	}
	c.mem_tick_ms /= seconds;
	c.cpu_tick_ms /= cpu_ticks;
	c.calls = (double)(fake_calls() - before) / seconds;
	return c;
}

static void measure(unsigned n)
{
	struct virt *virt;
	void *cpu;
	void *mem;
	struct cost c;
	size_t before;

	fake_host(PCPUS, n * 2 * KIB_PER_GIB, 1);
	guests_begin(n);
	before = heap_bytes();
	virt = virt_new(&opt);
	cpu = virt ? cpu_loop_ops.open(virt, &opt) : NULL;
	mem = virt ? mem_loop_ops.open(virt, &opt) : NULL;
	if (!cpu || !mem)
		abort();
	run(cpu, mem, WARM_S);
	c = run(cpu, mem, RUN_S);
	printf("%6u %10.1f %12.3f %12.3f %12.3f %10zu\n", n, c.calls, c.cpu_tick_ms,
	       c.mem_tick_ms, (c.mem_tick_ms + c.cpu_tick_ms / CPU_S) / 10,
	       (heap_bytes() - before) / 1024);
	cpu_loop_ops.close(cpu);
	mem_loop_ops.close(mem);
	virt_free(virt);
	fake_end();
}

int main(void)
{
	static const unsigned guests[] = { 10, 100, 1000 };

	log_init(LOG_PRIO_ERR);
	printf("simulated, vmbal cpu %d mem %d\n", CPU_S, MEM_S);
	puts("guests    calls/s  ms/cpu-tick  ms/mem-tick   % of a CPU   KiB kept");
	for (size_t i = 0; i < sizeof(guests) / sizeof(guests[0]); i++)
		measure(guests[i]);
	return 0;
}
